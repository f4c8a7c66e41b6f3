"""`pellucid eval`: figures, requirements, and runs that cannot be read."""

import shutil
from pathlib import Path

import pytest

from pellucid.cli.eval import Requirement
from pellucid.errors import UsageError
from tests.cli.conftest import Command


def test_the_figures_as_json(pellucid: Command, trained: Path) -> None:
    done = pellucid("eval", trained, "--json")
    assert done.code == 0
    assert done.json["split"] == "test"
    assert done.json["classes"] == ["lying", "upright"]
    confusion = done.json["confusion"]
    right, every = confusion[0][0] + confusion[1][1], sum(map(sum, confusion))
    assert done.json["images"] == every == 12
    assert done.json["accuracy"] == pytest.approx(right / every)
    assert done.json["accuracy"] >= 0.9


def test_the_figures_as_text(pellucid: Command, trained: Path) -> None:
    done = pellucid("eval", trained, "--split", "validation", "--weights", "last")
    assert done.code == 0
    assert done.out.startswith("validation: ")
    assert "class    images  precision  recall" in done.out


def test_the_figures_over_mirror_images(pellucid: Command, trained: Path) -> None:
    assert pellucid("eval", trained, "--mirror").out.startswith("test, averaged over mirror images: ")
    done = pellucid("eval", trained, "--mirror", "--json")
    assert done.json["mirror"] is True
    assert done.json["loss"] != pellucid("eval", trained, "--json").json["loss"]


@pytest.mark.parametrize(
    ("requirements", "code", "message"),
    [
        (["accuracy>=0.5", "loss < 5"], 0, "holds: accuracy "),
        (["accuracy>=50%"], 0, ">= 0.5"),
        (["accuracy>1"], 6, "pellucid: error: accuracy must be > 1, but is "),
        (["accuracy>=0.1", "loss<=0"], 6, "pellucid: error: loss must be <= 0, but is "),
    ],
)
def test_requirements_decide_the_exit_code(
    requirements: list[str], code: int, message: str, pellucid: Command, trained: Path
) -> None:
    done = pellucid("eval", trained, "--json", *[word for text in requirements for word in ("--require", text)])
    assert done.code == code
    assert message in done.err
    assert done.json["images"] == 12  # the figures are printed in any case


def test_a_value_that_is_not_a_number_fulfils_nothing() -> None:
    values = {"accuracy": 1.0, "loss": float("nan")}
    assert not Requirement.parse("loss<1").holds(values)
    assert not Requirement.parse("loss>=1").holds(values)


@pytest.mark.parametrize("text", ["acc>=0.9", "accuracy", "accuracy>=", "accuracy=>0.9", "accuracy>=0.9.1", ""])
def test_a_requirement_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError, match=r"accuracy or loss.*'accuracy>=0\.99'"):
        Requirement.parse(text)


def test_a_folder_that_is_no_run(pellucid: Command, tmp_path: Path) -> None:
    pellucid("eval", tmp_path).failed_with(2, str(tmp_path), "no run")
    pellucid("eval", tmp_path / "none").failed_with(2, "none", "no run")


def damaged(trained: Path, tmp_path: Path, name: str) -> tuple[Path, Path]:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    return run, run / name


@pytest.mark.parametrize("name", ["ckpt/best/model.safetensors", "ckpt/best/state.json", "data.json", "config.toml"])
def test_a_damaged_file_is_named(name: str, pellucid: Command, trained: Path, tmp_path: Path) -> None:
    run, file = damaged(trained, tmp_path, name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] + b"\xff{")
    pellucid("eval", run).failed_with(3, file.name.split(".")[0])


def test_weights_of_another_network(pellucid: Command, trained: Path, pictures: Path, tmp_path: Path) -> None:
    run, _ = damaged(trained, tmp_path, "")
    other = tmp_path / "other"
    arguments = ["--model", "notes-cnn", "--option", "classes=3", "--epochs", 1, "--out", other]
    assert pellucid("train", pictures, *arguments).code == 0
    shutil.copy(other / "ckpt" / "best" / "model.safetensors", run / "ckpt" / "best" / "model.safetensors")
    pellucid("eval", run).failed_with(3, "ckpt/best")


def test_data_that_have_changed(pellucid: Command, trained: Path, pictures: Path, tmp_path: Path) -> None:
    moved = tmp_path / "bars"
    shutil.copytree(pictures, moved)
    assert pellucid("eval", trained, "--data-root", moved).code == 0
    (moved / "lying" / "00.png").unlink()
    pellucid("eval", trained, "--data-root", moved).failed_with(3, str(moved), "no longer those of the run")
