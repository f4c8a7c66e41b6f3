"""`pellucid train`: what it writes, and what it says about input it cannot use."""

import gzip
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pellucid as pc
from pellucid.cli import main
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
    assert tomllib.loads((trained / "config.toml").read_text())["training"]["batch_size"] == 8


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
        (["digits", "--augment", "flop"], 2, ["no augmentation 'flop'", "flip, crop"]),
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


def test_a_smoothed_loss_is_kept_and_evaluated(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    pellucid("train", pictures, *QUICK, "--label-smoothing", 0.3, "--out", out)
    history = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert tomllib.loads((out / "config.toml").read_text())["training"]["label_smoothing"] == 0.3
    done = pellucid("eval", out, "--split", "validation", "--json")
    assert done.json["loss"] == pytest.approx(history[-1]["validation_loss"], rel=1e-5)


def test_smoothing_is_for_cross_entropy(pellucid: Command, tmp_path: Path) -> None:
    done = pellucid("train", "digits", "--loss", "mse", "--label-smoothing", "0.1", "--out", tmp_path / "a")
    done.failed_with(2, "label_smoothing is for cross_entropy, but the loss is 'mse'")


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


WRITTEN = ["--model", "notes-cnn", "--epochs", 2, "--batch-size", 8, "--optimizer", "adam", "--seed", 3]


def weights(run: Path) -> bytes:
    return (run / "ckpt" / "last" / "model.safetensors").read_bytes()


def test_the_configuration_of_a_run_repeats_it(
    pellucid: Command, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures.parent)
    assert pellucid("train", pictures.name, *WRITTEN, "--out", tmp_path / "a").code == 0
    monkeypatch.chdir(tmp_path)  # the data were named relative to another folder
    assert pellucid("train", "-c", "a/config.toml", "--out", "b").code == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    first, second = (tomllib.loads((tmp_path / name / "config.toml").read_text()) for name in "ab")
    assert first["run"].pop("out") != second["run"].pop("out")
    assert first == second
    assert first["data"]["name"] == str(pictures)
    assert first["optimizer"] == {"name": "adam", "lr": 0.001, "weight_decay": 0.0}
    pellucid("train", "-c", "a/config.toml").failed_with(2, "already holds a run", "--resume")


def test_resuming_needs_only_the_folder(pellucid: Command, pictures: Path, tmp_path: Path) -> None:
    assert pellucid("train", pictures, *WRITTEN, "--out", tmp_path / "a").code == 0
    again = pellucid("train", "--resume", "--out", tmp_path / "a", "--json")
    assert (again.code, len(again.json["history"])) == (0, 2), "it was finished"
    (tmp_path / "a").rename(tmp_path / "b")
    more = pellucid("train", "--resume", "--out", tmp_path / "b", "--epochs", 3, "--json")
    assert (more.code, len(more.json["history"])) == (0, 3)
    assert "changed on resuming: epochs 2 -> 3" in more.err
    config = tomllib.loads((tmp_path / "b" / "config.toml").read_text())
    assert (config["training"]["epochs"], config["run"]["out"]) == (3, str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("flags", "phrase"),
    [
        (["--seed", 4], "seed was 3, now 4"),
        (["--batch-size", 4], "batch_size was 8, now 4"),
        (["--optimizer", "sgd"], "optimizer.name was Adam, now SGD"),
        (["--model", "lenet5"], "model.model was notes-cnn, now lenet5"),
        (["digits"], "the data or their split are not the same"),
    ],
)
def test_resuming_as_something_else_is_refused(
    flags: list[object], phrase: str, pellucid: Command, once: Path, tmp_path: Path
) -> None:
    shutil.copytree(once, tmp_path / "a")
    before = (tmp_path / "a" / "config.toml").read_bytes()
    done = pellucid("train", *flags, "--resume", "--out", tmp_path / "a")
    done.failed_with(2, "was started with other settings", phrase)
    assert (tmp_path / "a" / "config.toml").read_bytes() == before


@pytest.fixture(scope="module")
def once(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "once"
    with pytest.raises(SystemExit) as left:
        main.main(["train", str(pictures), *map(str, WRITTEN), "--epochs", "1", "--out", str(out)])
    assert left.value.code == 0
    return out


def test_resuming_what_is_not_there(pellucid: Command, once: Path, tmp_path: Path) -> None:
    pellucid("train", "--resume").failed_with(2, "which run shall go on?")
    pellucid("train", "--resume", "--out", tmp_path / "a").failed_with(2, "There is no run to resume in")
    shutil.copytree(once, tmp_path / "b")
    (tmp_path / "b" / "config.toml").write_text("[training")
    pellucid("train", "--resume", "--out", tmp_path / "b").failed_with(2, "config.toml: this is not valid TOML")


def test_a_run_from_python_is_continued_on_the_command_line(pellucid: Command, tmp_path: Path) -> None:
    def train(out: Path, epochs: int) -> None:
        splits = pc.data.load("digits", size=28, validation=0.9, seed=5)
        model = pc.models.create("notes-cnn")
        pc.fit(model, splits, epochs, optimizer=pc.optim.AdamW(), out=out, seed=2, progress=False, report=False)

    train(tmp_path / "a", 1)
    train(tmp_path / "b", 2)
    assert pellucid("train", "--resume", "--out", tmp_path / "a", "--epochs", 2).code == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert pellucid("train", "-c", tmp_path / "b" / "config.toml", "--out", tmp_path / "c").code == 0
    assert weights(tmp_path / "c") == weights(tmp_path / "b")


def test_fewer_classes_than_the_data_have(pellucid: Command, tmp_path: Path) -> None:
    done = pellucid("train", "digits", "--option", "classes=5", "--out", tmp_path / "a")
    done.failed_with(2, "the model has 5 classes, but digits has 10", "leave out --option classes=5")
    assert not (tmp_path / "a").exists()


def test_a_folder_in_use_is_refused_before_the_data_are_read(pellucid: Command, once: Path) -> None:
    pellucid("train", "no-such-data", "--out", once).failed_with(2, "already holds a run")


def test_a_damaged_best_checkpoint_is_found_before_training_goes_on(
    pellucid: Command, once: Path, tmp_path: Path
) -> None:
    shutil.copytree(once, tmp_path / "a")
    os.truncate(tmp_path / "a" / "ckpt" / "best" / "model.safetensors", 40)
    before = weights(tmp_path / "a")
    done = pellucid("train", "--resume", "--out", tmp_path / "a", "--epochs", 2)
    done.failed_with(3, "best/model.safetensors is damaged")
    assert weights(tmp_path / "a") == before


@pytest.mark.parametrize("closing", ["2>&-", "<&- >&- 2>&-", "2>/dev/full", ">&-"])
def test_training_does_not_need_listeners(closing: str, pictures: Path, tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "pellucid", "train", str(pictures), *map(str, QUICK), "--out", "run"])
    done = subprocess.run(["bash", "-c", f"{command} {closing}"], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout == b""
    assert (tmp_path / "run" / "ckpt" / "last").is_dir()


def test_what_the_command_line_cannot_repeat_is_refused(pellucid: Command, tmp_path: Path) -> None:
    splits = pc.data.load("digits", validation=0.97)
    model = pc.Sequential([("flatten", pc.layers.Flatten()), ("fc", pc.layers.Linear(64, 10))])
    pc.fit(model, splits, 1, optimizer=pc.optim.Adam(betas=(0.8, 0.99)), out=tmp_path / "a", progress=False)
    done = pellucid("train", "-c", tmp_path / "a" / "config.toml", "--out", tmp_path / "b")
    done.failed_with(2, "there is no setting optimizer.betas")
    stored = (tmp_path / "a" / "config.toml").read_text().replace("betas = [\n    0.8,\n    0.99,\n]\n", "")
    (tmp_path / "own.toml").write_text(stored)
    done = pellucid("train", "-c", tmp_path / "own.toml", "--out", tmp_path / "b")
    done.failed_with(2, "There is no model 'Sequential'")
    assert not (tmp_path / "b").exists()


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
