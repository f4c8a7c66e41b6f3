"""`pellucid train` from the weights of another run, and with other runs as teachers."""

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from pellucid.formats.safetensors import load_weights
from tests.cli.conftest import Command

QUICK = ["--model", "notes-cnn", "--epochs", 1, "--batch-size", 8]


@pytest.mark.parametrize("source", ["a", "a/ckpt/best/model.safetensors"])
def test_a_run_starts_from_the_weights_of_another(
    source: str, pellucid: Command, pictures: Path, tmp_path: Path
) -> None:
    pellucid("train", pictures, *QUICK, "--out", tmp_path / "a")
    tiny = ["--lr", "1e-30", "--weight-decay", "0"]  # nothing moves: the weights stay those it started from
    more = pellucid("train", pictures, *QUICK, *tiny, "--seed", 9, "--init", tmp_path / source, "--out", tmp_path / "b")
    assert more.code == 0
    best = load_weights(tmp_path / "a" / "ckpt" / "best" / "model.safetensors").tensors
    last = load_weights(tmp_path / "b" / "ckpt" / "last" / "model.safetensors").tensors
    assert best.keys() == last.keys()
    assert all(np.array_equal(best[name], last[name]) for name in best)
    assert tomllib.loads((tmp_path / "b" / "config.toml").read_text())["model"]["init"] == str(tmp_path / source)


def test_a_run_that_goes_on_needs_its_start_no_more(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    pellucid("train", pictures, *QUICK, "--out", tmp_path / "a")
    pellucid("train", pictures, *QUICK, "--init", tmp_path / "a", "--out", tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert pellucid("train", "--resume", "--out", tmp_path / "b", "--epochs", 2).code == 0


def test_weights_that_cannot_be_a_start_are_explained(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    pellucid("train", pictures, *QUICK, "--out", tmp_path / "a")
    other = ["--model", "lenet5", "--epochs", 1]
    for source, code, phrase in (
        (tmp_path / "a", 3, "another network"),
        (tmp_path, 2, "holds no run"),
        ("none", 3, "none does not exist"),
    ):
        done = pellucid("train", pictures, *other, "--init", source, "--out", tmp_path / "b")
        done.failed_with(code, phrase)
        assert not (tmp_path / "b").exists()


def test_a_run_learns_from_others(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        pellucid("train", pictures, *QUICK, "--seed", seed, "--set", "data.seed=0", "--out", tmp_path / name)
    teachers = f"{tmp_path / 'a'}, {tmp_path / 'b'}"
    taught = ["train", pictures, *QUICK, "--teacher", teachers]
    assert pellucid(*taught, "--teacher-mirror", "--out", tmp_path / "c").code == 0
    stored = tomllib.loads((tmp_path / "c" / "config.toml").read_text())
    assert stored["training"]["teacher"] == f"{tmp_path / 'a'},{tmp_path / 'b'}"
    assert stored["training"]["teacher_mirror"] is True
    assert pellucid("train", "--resume", "--out", tmp_path / "c", "--epochs", 2).code == 0
    pellucid("train", pictures, *QUICK, "--out", tmp_path / "alone")
    weights = [load_weights(tmp_path / run / "ckpt/last/model.safetensors").tensors for run in ("c", "alone")]
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_teachers_that_cannot_teach_are_explained(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    pellucid("train", pictures, *QUICK, "--out", tmp_path / "a")
    for data, source, phrase in (
        ("digits", tmp_path / "a", "was trained on data with other classes, "),
        (pictures, tmp_path, "holds no run"),
        (pictures, tmp_path / "none", "does not exist"),
        (pictures, f"{tmp_path / 'a'},", "a folder is missing at a comma"),
    ):
        done = pellucid("train", data, *QUICK, "--teacher", source, "--out", tmp_path / "b")
        done.failed_with(2, phrase)
        assert not (tmp_path / "b").exists()
