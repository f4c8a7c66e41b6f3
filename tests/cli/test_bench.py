"""`pellucid bench`: that it runs, what it prints, what it refuses. How fast anything is, is never tested."""

from dataclasses import replace
from pathlib import Path

import pytest

from pellucid.bench import accuracy, measure, opponent
from pellucid.bench.workloads import CONVOLUTIONS, Workload
from tests.cli.conftest import Command

QUICK = ("--rounds", "1", "--seconds", "0", "--no-memory", "--threads", "1", "--against", "nothing")


def test_a_network(pellucid: Command) -> None:
    done = pellucid("bench", "notes-cnn", "--batch-size", "2", *QUICK)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["notes-cnn", "training"], ["notes-cnn", "inference"]]
    assert "PyTorch" not in lines[0]
    assert "1/2: notes-cnn, training step, batch 2" in done.err


def test_json(pellucid: Command) -> None:
    done = pellucid("bench", "notes-cnn", "--batch-size", "2", "--training", "--json", *QUICK)
    machine, (row,) = done.json["machine"], done.json["results"]
    assert machine["threads"] == 1
    assert machine["torch"] is None
    assert row["name"] == "notes-cnn"
    assert row["correct"] is True
    assert row["times"]["native"]["median"] > 0
    assert row["peak"] > 1e8


def test_markdown(pellucid: Command) -> None:
    done = pellucid("bench", "notes-cnn", "--batch-size", "2", "--training", "--markdown", *QUICK)
    header, rule, row = done.out.splitlines()
    assert header.startswith("| workload | run | batch | Pellucid | of peak |")
    assert set(rule) == {"|", "-", " "}
    assert row.startswith("| notes-cnn | training step | 2 | ")
    assert header.count("|") == rule.count("|") == row.count("|")


def test_layers(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.bench.workloads.CONVOLUTIONS", ((2, 4, 4, 6, 3, 1), *CONVOLUTIONS))
    done = pellucid("bench", "--layers", "--only", "6x6 4->4", "--json", *QUICK)
    assert [row["what"] for row in done.json["results"]] == ["forward", "input gradient", "weight gradient"]
    assert all(row["correct"] for row in done.json["results"])


def test_a_wrong_answer_leaves_with_six(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    right = measure.measure

    def wrong(workload: Workload, settings: measure.Settings) -> measure.Result:
        return replace(right(workload, settings), distance=0.5, where="d conv1.weight")

    monkeypatch.setattr(measure, "measure", wrong)
    done = pellucid("bench", "notes-cnn", "--batch-size", "1", "--training", *QUICK)
    assert done.code == 6
    assert "WRONG (d conv1.weight: 5e-01)" in done.out
    assert "notes-cnn, training step: d conv1.weight differs from numpy's by 5.0e-01: no result." in done.err


def test_without_torch_it_is_measured_alone(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opponent, "installed", lambda: False)
    arguments = ("bench", "notes-cnn", "--batch-size", "1", "--training", *QUICK[:-2])
    done = pellucid(*arguments)
    assert done.code == 0, done.err
    assert "PyTorch is not installed here: Pellucid is measured alone" in done.err
    pellucid(*arguments, "--against", "torch").failed_with(7, "needs PyTorch", "pip install torch")
    pellucid(*arguments, "--mode", "eager").failed_with(7, "needs PyTorch")


def test_training_to_an_accuracy(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = (accuracy.Epoch(1.0, 0.5, 0.1, 0.97), accuracy.Epoch(1.0, 0.5, 0.1, 0.991))

    def race(target: float, **_: object) -> accuracy.Race:
        return accuracy.Race(target, 60_000, 0.1, 0.2, epochs)

    monkeypatch.setattr(accuracy, "race", race)
    done = pellucid("bench", "--to-accuracy", "0.99")
    assert done.code == 0
    assert done.out.startswith("99.00% reached after 2 epochs: 2.00 s of training\n")
    assert pellucid("bench", "--to-accuracy", "0.99", "--json").json["reached"] == 2
    assert pellucid("bench", "--to-accuracy", "0.995").code == 6


def test_the_data_for_it_must_be_there(pellucid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELLUCID_DATA", raising=False)
    pellucid("bench", "--to-accuracy", "0.9", "--data-root", tmp_path).failed_with(3, '"mnist" needs four IDX files')


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["lenet6"], ["unknown model 'lenet6'", "lenet5"]),
        (["lenet5", "--layers"], ["--layers measures single layers"]),
        (["--layers", "--training"], ["--layers measures single layers"]),
        (["--layers", "--only", "9x9"], ["no layer's name contains '9x9'"]),
        (["--only", "3x3"], ["add --layers"]),
        (["lenet5", "--mode", "lazy"], ["no mode 'lazy'", "channels_last"]),
        (["--to-accuracy", "99"], ["99"]),
        (["--rounds", "0"], ["0"]),
    ],
)
def test_what_cannot_be_measured(arguments: list[str], phrases: list[str], pellucid: Command) -> None:
    pellucid("bench", *arguments).failed_with(2, *phrases)
