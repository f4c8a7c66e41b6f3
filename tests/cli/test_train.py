"""`pellucid train`: what it writes, and what it says about input it cannot use."""

import gzip
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Command

QUICK = ["--model", "notes-cnn", "--epochs", 1, "--batch-size", 8]


def test_a_run_folder_has_everything_that_was_promised(trained: Path) -> None:
    names = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    checkpoint = {"model.safetensors", "state.safetensors", "state.json"}
    expected = {
        "config.toml",
        "env.json",
        "data.json",
        "metrics.csv",
        "metrics.jsonl",
        "log.txt",
        "report.html",
    }
    assert expected <= names
    assert {f"ckpt/{which}/{name}" for which in ("best", "last") for name in checkpoint} <= names
    assert {"plots/curves.png", "plots/confusion.png"} <= names
    assert tomllib.loads((trained / "config.toml").read_text())["batch_size"] == 8


def test_people_are_told_on_stderr_and_json_is_alone_on_stdout(
    pellucid: Command, pictures: Path, tmp_path: Path
) -> None:
    done = pellucid("train", pictures, *QUICK, "--out", tmp_path / "run", "--json")
    assert done.code == 0
    assert done.json["folder"] == str(tmp_path / "run")
    assert done.json["stopped"] == "epochs"
    assert len(done.json["history"]) == 1
    assert "2 classes" in done.err
    assert "5,662 parameters" in done.err  # 6,070 with 10 classes; 51 fewer for each class less
    assert "epoch 1/1" in done.err


def test_resuming_extends_a_finished_run(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    arguments = ["train", pictures, "--model", "notes-cnn", "--batch-size", 8, "--out", tmp_path / "run"]
    assert pellucid(*arguments, "--epochs", 1).code == 0
    again = pellucid(*arguments, "--epochs", 1)
    again.failed_with(2, "already holds a run", "--resume")
    more = pellucid(*arguments, "--epochs", 2, "--resume", "--json")
    assert more.code == 0
    assert [row["epoch"] for row in more.json["history"]] == [1, 2]
    other = pellucid(*arguments, "--epochs", 3, "--resume", "--seed", 1)
    other.failed_with(2, "was started with other settings", "seed was 0, now 1")


@pytest.mark.parametrize(
    ("arguments", "code", "phrases"),
    [
        (["digits", "--model", "lenet"], 2, ["There is no model 'lenet'. Did you mean lenet5?"]),
        (["digits", "--modle", "lenet5"], 2, ["no such option", "--model"]),
        (["digits", "--option", "activation=tahn"], 2, ["tahn", "tanh"]),
        (["digits", "--option", "activatoin=tanh"], 2, ["lenet5 has no option 'activatoin'"]),
        (
            ["digits", "--option", "tanh"],
            2,
            ["--option tanh: write it as key=value", "--option activation=tanh"],
        ),
        (["digits", "--optimizer", "adam", "--momentum", "0.9"], 2, ["adam takes betas, not momentum"]),
        (["digits", "--optimizer", "sdg"], 2, ["'sdg'", "'sgd'"]),
        (["digits", "--loss", "hinge"], 2, ["unknown loss 'hinge'", "cross_entropy"]),
        (
            ["digits", "--schedule", "cosin"],
            2,
            ["no learning-rate schedule 'cosin'", "Did you mean 'cosine'"],
        ),
        (["digits", "--engine", "cuda"], 2, ["unknown engine 'cuda'"]),
        (["digits", "--epochs", "0"], 2, ["training.epochs must be at least 1"]),
        (["digits", "--epochs", "many"], 2, ["'many' is not a valid integer"]),
        (["digits", "--lr", "nan"], 2, ["optimizer.lr must be more than 0"]),
        (["digits", "--checkpoint-every", "often"], 2, ["checkpoint_every", "10min"]),
        (["digits", "--model", "notes-mlp"], 2, ["takes 3 numbers, not images"]),
        (["digits", "-c", "none.toml"], 3, ["none.toml: cannot read the configuration"]),
        (["digits", "--set", "model.nam=lenet5"], 2, ["no setting model.nam. Did you mean model.name?"]),
        (
            ["digit"],
            3,
            ["'digit' is neither a folder or zip archive nor a known data set", "Did you mean 'digits'"],
        ),
        ([], 2, ["which data?"]),
    ],
)
def test_what_cannot_be_trained_is_explained(
    arguments: list[object], code: int, phrases: list[str], pellucid: Command, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = pellucid("train", *arguments, "--out", out)
    done.failed_with(code, *phrases)
    assert not out.exists()


def test_a_run_needs_a_place(pellucid: Command) -> None:
    pellucid("train", "digits").failed_with(2, "--out runs/first")


def test_an_empty_folder(pellucid: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    pellucid("train", tmp_path / "empty", "--out", tmp_path / "run").failed_with(3, str(tmp_path / "empty"))


def test_a_truncated_picture_is_named_before_training_and_can_be_dropped(
    pellucid: Command, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bars"
    shutil.copytree(pictures, folder)
    damaged = folder / "lying" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    done = pellucid("train", folder, *QUICK, "--out", tmp_path / "run")
    done.failed_with(3, str(damaged), "drop")
    assert not (tmp_path / "run").exists()
    done = pellucid("train", folder, *QUICK, "--bad-files", "drop", "--out", tmp_path / "run", "--json")
    assert done.code == 0
    assert "07.png" in done.err


def test_a_corrupted_idx_file(pellucid: Command, tmp_path: Path) -> None:
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x03 this is no IDX file"))
    done = pellucid("train", "mnist", "--data-root", tmp_path, "--out", tmp_path / "run")
    done.failed_with(3, "idx", str(tmp_path))


def test_data_that_is_not_there_is_not_fetched_unasked(
    pellucid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PELLUCID_DATA", raising=False)
    pellucid("train", "mnist", "--out", tmp_path / "run").failed_with(3, "mnist", "download")


def test_a_folder_that_cannot_be_written(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = pellucid("train", pictures, *QUICK, "--out", tmp_path / "file" / "run")
    done.failed_with(5, str(tmp_path / "file"))
    pellucid("train", pictures, *QUICK, "--out", tmp_path / "file").failed_with(2, "is a file")


def test_a_full_disk_leaves_no_traceback(pictures: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: the system refuses the same write."""
    command = shlex.join([sys.executable, "-m", "pellucid", "train", str(pictures), *map(str, QUICK), "--out", "run"])
    limited = ["bash", "-c", f"ulimit -f 4; {command}"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 5, done.stderr
    assert "pellucid: error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_loss_that_explodes(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    done = pellucid("train", pictures, *QUICK, "--lr", "1e30", "--out", tmp_path / "run")
    done.failed_with(4, "batch", "Use a smaller learning rate")
    assert (tmp_path / "run" / "ckpt" / "last" / "model.safetensors").exists()


def test_print_config_trains_nothing(pellucid: Command, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[training]\nepochs = 7\n[model.options]\nactivation = 'relu'\n")
    done = pellucid("train", "digits", "-c", file, "--optimizer", "adam", "--print-config")
    assert done.code == 0
    config = tomllib.loads(done.out)
    assert config["training"]["epochs"] == 7
    assert config["model"]["options"] == {"activation": "relu"}
    assert "lr" not in config["optimizer"]  # the rate that suits SGD is not passed on to Adam
    assert f"epochs = 7                       # {file}" in done.out
    assert 'name = "adam"                    # --optimizer' in done.out


def test_an_interrupted_run_is_saved_and_can_be_continued(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    arguments = [
        "train",
        str(pictures),
        "--model",
        "notes-cnn",
        "--batch-size",
        "8",
        "--out",
        str(tmp_path / "run"),
    ]
    running = subprocess.Popen(
        [sys.executable, "-m", "pellucid", *arguments, "--epochs", "100000"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("epoch 1/"):
            break
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "pellucid: Stopped by SIGINT" in err
    assert "--resume" in err
    assert "Traceback" not in err
    done = pellucid(
        *arguments, "--epochs", len((tmp_path / "run" / "metrics.csv").read_text().splitlines()), "--resume"
    )
    assert done.code == 0
    assert "resumed at epoch" in done.err
