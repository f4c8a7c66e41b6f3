"""`pellucid experiment depth`: a real pair of networks on few digits, and arguments that mean nothing."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command

QUICK = ["--depths", "20", "--epochs", 1, "--images", 40, "--batch-size", 20, "--engine", "numpy"]


def test_two_networks_are_trained_and_compared(pellucid: Command, tmp_path: Path) -> None:
    done = pellucid("experiment", "depth", "digits", *QUICK, "--validation", 0.9, "--out", tmp_path / "a", "--json")
    assert done.code == 0, done.err
    networks = {row["network"]: row for row in done.json["networks"]}
    assert set(networks) == {"plain20", "resnet20"}
    assert all(0 <= row["train_error"] <= 1 and row["epochs"] == 1 for row in networks.values())
    assert done.json["budget"]["images"] == 40
    assert done.json["verdict"][-1] == "One seed each: small differences may be chance."
    assert {"curves.csv", "curves.json", "experiment.json"} <= {path.name for path in (tmp_path / "a").iterdir()}
    again = pellucid("experiment", "depth", "digits", *QUICK, "--validation", 0.9, "--out", tmp_path / "a")
    assert again.code == 0 and "plain20, seed 0: already trained" in again.err
    assert again.out.splitlines()[0].split() == [
        "network", "epochs", "seeds", "training", "error", "validation", "error", "minutes"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["--depths", "20,deep"], "no list of whole numbers, such as 20,56"),
        (["--depths", "18"], "no plain and residual networks of depths [18]"),
        (["--augment", "flop"], "no augmentation 'flop'"),
        (["--schedule", "cosin"], "Did you mean 'cosine'"),
        (["--lr", -1], "lr"),
        (["--images", 1000000], "images must be from 1 to"),
        (["--epochs", 0], "0 is not in the range x>=1"),
    ],
)
def test_what_means_nothing(arguments: list[object], phrase: str, pellucid: Command, tmp_path: Path) -> None:
    done = pellucid("experiment", "depth", "digits", "--engine", "numpy", "--out", tmp_path / "a", *arguments)
    done.failed_with(2, phrase)
    assert not (tmp_path / "a").exists()
