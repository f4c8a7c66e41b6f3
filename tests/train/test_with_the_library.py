"""`fit`, `evaluate` and `load_run` with real layers, optimisers and digits."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import CheckpointError, ConfigError, DataError, DivergedError, ResourceError, UsageError
from pellucid.execution import Inference
from pellucid.train import TrainingInterrupted, checkpoint, evaluate, fit, load_run
from pellucid.training import TrainingStep
from tests.train.fakes import figures_of, same_weights
from tests.train.faults import as_nobody, in_child


@pytest.fixture(scope="module")
def digits() -> pc.data.Splits:
    """The embedded digits, 8x8, most of them kept for validation: 143 train in an instant."""
    return pc.data.load("digits", validation=0.9)


def network() -> pc.Sequential:
    """Everything whose state could be forgotten: dropout draws random numbers, Adam counts its steps."""
    layers = [pc.layers.Conv2d(1, 3, 3), pc.layers.ReLU(), pc.layers.MaxPool2d(2), pc.layers.Dropout(0.3)]
    return pc.Sequential([*layers, pc.layers.Flatten(), pc.layers.Linear(27, 10)])


def train(digits: Any, out: Path | None = None, **changes: Any) -> Any:
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 32, "optimizer": pc.optim.Adam(lr=0.01), "seed": 3}
    settings |= {"report": False, "progress": False}
    return fit(network(), digits, out=out, **settings | changes)


def test_a_network_learns_and_the_run_says_so(digits: Any, tmp_path: Path) -> None:
    run = train(digits, tmp_path / "a", epochs=12, report=True)
    assert run.best is not None and run.best["validation_accuracy"] > 0.5
    stored = load_run(tmp_path / "a", model=network())
    measured = evaluate(stored.model, digits.validation)
    assert measured.accuracy == run.best["validation_accuracy"]
    assert measured.loss == pytest.approx(run.best["validation_loss"], rel=1e-6)
    predicted = pc.predict(stored.model, digits.validation.batch(range(len(digits.validation)))[0]).argmax(1)
    assert measured.accuracy == np.mean(predicted == digits.validation.labels)
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (digits.validation.labels, predicted), 1)
    assert np.array_equal(measured.confusion, expected)
    assert same_weights(load_run(tmp_path / "a", "last", model=network()).model.parameters, run.model.parameters)
    assert {path.name for path in (tmp_path / "a/plots").iterdir()} == {
        "curves.png",
        "confusion.png",
        "worst.png",
    }
    page = (tmp_path / "a/report.html").read_text()
    for text in ("conv1", f"{measured.accuracy:.2%}", "adam", "digits: 10 classes", "data:image/png;base64,"):
        assert text in page, text
    assert not re.search(r"<script|https?:", page)


def test_the_registry_rebuilds_a_model_from_its_folder(tmp_path: Path) -> None:
    splits = pc.data.load("digits", size=28, validation=0.97)
    model = pc.models.create("lenet5", activation="relu")
    run = fit(model, splits, epochs=1, out=tmp_path / "a", report=False, progress=False)
    stored = load_run(tmp_path / "a", "last")
    assert stored.model.spec == {
        "model": "lenet5",
        "options": {**pc.models.options("lenet5"), "activation": "relu"},
    }
    assert same_weights(stored.model.parameters, run.model.parameters)
    config = tomllib.loads((tmp_path / "a/config.toml").read_text())
    assert config == stored.config
    assert config["training"] == {
        "epochs": 1,
        "batch_size": 64,
        "seed": 0,
        "loss": "cross_entropy",
        "schedule": "constant",
    }
    assert config["optimizer"] == {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
    assert config["data"] == {"name": "digits", "validation": 0.97, "seed": 0, "bad_files": "error"}
    assert config["model"] == {"name": "lenet5", "options": stored.model.spec["options"]}


def test_equal_seeds_give_equal_weights(digits: Any) -> None:
    one, same, other = train(digits), train(digits), train(digits, seed=4)
    assert same_weights(one.model.parameters, same.model.parameters)
    assert figures_of(one) == figures_of(same)
    assert not same_weights(one.model.parameters, other.model.parameters)


def test_training_gives_back_threads_and_memory(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what only measures the validation images, and also when nothing was trained."""
    closed: list[str] = []
    for kind in (TrainingStep, Inference):
        close = kind.close
        monkeypatch.setattr(kind, "close", lambda self, close=close: closed.append(type(self).__name__) or close(self))
    train(digits)
    assert closed == ["Inference", "TrainingStep"]
    with pytest.raises(ConfigError):
        train(digits, checkpoint_every="often")
    assert closed == ["Inference", "TrainingStep"] * 2


class Until:
    """A constant schedule that sends a signal before a step, to stop a real training anywhere."""

    def __init__(self, step: int, number: int = signal.SIGTERM) -> None:
        self.step, self.number = step, number

    def __call__(self, step: int) -> float:
        if step == self.step:
            os.kill(os.getpid(), self.number)
        return 1.0


@pytest.mark.parametrize("at", [0, 2, 4, 5, 8])
def test_stopped_and_resumed_equals_not_stopped(digits: Any, tmp_path: Path, at: int) -> None:
    """Five batches per epoch; with dropout, Adam's moments and a last batch that is smaller."""
    expected = train(digits)
    with pytest.raises(TrainingInterrupted):
        train(digits, tmp_path / "a", schedule=Until(at))
    assert checkpoint.load(tmp_path / "a/ckpt/last").position.step == at + 1
    run = train(digits, tmp_path / "a", resume=True)
    assert same_weights(run.model.parameters, expected.model.parameters)
    assert figures_of(run) == figures_of(expected)


KILLED = """
import signal, sys
from pathlib import Path
import pellucid as pc
from tests.train.test_with_the_library import Until, train
digits = pc.data.load("digits", validation=0.9)
train(digits, Path(sys.argv[1]), schedule=Until(7, signal.SIGKILL), checkpoint_every=2)
"""


def test_killed_and_resumed_in_other_processes_equals_not_killed(digits: Any, tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert checkpoint.load(tmp_path / "a/ckpt/last").position.step == 6
    run = train(digits, tmp_path / "a", resume=True)
    assert same_weights(run.model.parameters, train(digits).model.parameters)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seed": 4}, "seed was 3, now 4"),
        ({"batch_size": 16}, "batch_size was 32, now 16"),
        ({"loss": "mse"}, "loss.name was CrossEntropy, now MeanSquaredError"),
        ({"optimizer": pc.optim.SGD(0.01)}, "optimizer.name was Adam, now SGD"),
        (
            {"optimizer": pc.optim.Adam(0.01, betas=(0.8, 0.999))},
            "optimizer.betas was [0.9, 0.999], now [0.8, 0.999]",
        ),
        ({"dtype": "float64"}, "dtype was float32, now float64"),
    ],
)
def test_another_training_is_not_resumed(digits: Any, tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    train(digits, tmp_path / "a", epochs=1)
    with pytest.raises(UsageError) as caught:
        train(digits, tmp_path / "a", resume=True, **change)
    assert complaint in str(caught.value)


def test_other_data_or_another_network_is_not_resumed(digits: Any, tmp_path: Path) -> None:
    train(digits, tmp_path / "a", epochs=1)
    other = pc.data.load("digits", validation=0.9, seed=5)
    with pytest.raises(UsageError, match=r"started with other settings: the data or their split are not the same"):
        train(other, tmp_path / "a", resume=True)
    larger = pc.Sequential([pc.layers.Flatten(), pc.layers.Linear(64, 10)])
    with pytest.raises(CheckpointError, match=r"missing: model\.fc1\.weight|shape mismatch: model\.fc1\.weight"):
        fit(
            larger,
            digits,
            epochs=2,
            batch_size=32,
            optimizer=pc.optim.Adam(lr=0.01),
            seed=3,
            out=tmp_path / "a",
            resume=True,
            progress=False,
        )
    with pytest.raises(CheckpointError, match="holds the weights of another network"):
        load_run(tmp_path / "a", model=larger)


@pytest.mark.parametrize(("loss", "last"), [("output_cross_entropy", [pc.layers.Sigmoid()]), ("mse", [])])
def test_losses_that_compare_every_output(digits: Any, loss: str, last: list[pc.Layer]) -> None:
    """Labels become rows with a single 1 for the losses that know no labels."""
    model = pc.Sequential([pc.layers.Flatten(), pc.layers.Linear(64, 10), *last])
    run = fit(model, digits, epochs=8, loss=loss, optimizer=pc.optim.Adam(lr=0.02), progress=False)
    assert run.history[-1]["validation_accuracy"] > 0.4
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"] / 2
    measured = evaluate(run.model, digits.validation, loss=loss)
    assert measured.loss == pytest.approx(run.history[-1]["validation_loss"], rel=1e-6)


def test_an_evaluation_over_mirror_images(digits: Any) -> None:
    model = network().init(0)
    images = digits.validation.batch(range(len(digits.validation)))[0]
    outputs = (pc.predict(model, images) + pc.predict(model, np.ascontiguousarray(images[..., ::-1]))) / 2
    measured = evaluate(model, digits.validation, mirror=True)
    assert measured.accuracy == np.mean(outputs.argmax(1) == digits.validation.labels)
    assert measured.accuracy != evaluate(model, digits.validation).accuracy


def test_a_learning_rate_that_is_too_large_names_a_layer(digits: Any, tmp_path: Path) -> None:
    with pytest.raises(DivergedError) as caught:
        train(digits, tmp_path / "a", optimizer=pc.optim.SGD(lr=1e20))
    assert caught.value.exit_code == 4
    assert re.search(
        r'Epoch 1, batch \d of 5 .*: .*; the first value .* is in "(conv1|fc1|loss|d \S+)"', str(caught.value)
    )
    assert np.isfinite(checkpoint.load(tmp_path / "a/ckpt/last").weights["conv1.weight"]).all()


def test_without_matplotlib_the_training_is_the_same(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = train(digits, tmp_path / "a", report=True, progress=True)
    message = "The pictures were not drawn. Plots need matplotlib, which is not installed. "
    message += 'Install it with: pip install "pellucid[plots]"'
    assert capsys.readouterr().err.count(message) == 1
    assert message in (tmp_path / "a/log.txt").read_text()
    assert "The pictures were not drawn." in (tmp_path / "a/report.html").read_text()
    assert not (tmp_path / "a/plots").exists()
    assert same_weights(run.model.parameters, train(digits).model.parameters)


def test_the_report_names_hostile_classes_harmlessly(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images, labels = draw.random((24, 1, 6, 6), np.float32), np.arange(24) % 2
    names = ["<script>alert(1)</script>", 'b & "c" <img src=x onerror=alert(2)>']
    splits = pc.data.from_arrays((images, labels), validation=0.5, classes=names, name="<b>")
    model = pc.Sequential([pc.layers.Flatten(), pc.layers.Linear(36, 2)])
    fit(model, splits, epochs=1, out=tmp_path / "a<u>", progress=False)
    page = (tmp_path / "a<u>/report.html").read_text()
    assert not re.search(r"<(script|b|u)>|<img src=x", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "Training run a&lt;u&gt;" in page


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, but is 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1, but is 2.5"),
        ({"patience": -1}, "patience must be"),
        ({"checkpoint_every": "often"}, "checkpoint_every must be a number of steps"),
        ({"checkpoint_every": 0}, "checkpoint_every must be"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"optimizer": 0.1}, "optimizer must be one of pellucid.optim"),
    ],
)
def test_wrong_arguments_are_refused(digits: Any, tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train(digits, tmp_path / "a", **change)
    assert complaint in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_without_training_images_there_is_nothing_to_do(digits: Any) -> None:
    class Nothing:
        train = None

    with pytest.raises(DataError, match="no training images"):
        train(Nothing())


def test_an_unwritable_folder_is_reported_by_name(digits: Any, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("")
    told = tmp_path / "told"
    told.mkdir(mode=0o777)
    told.chmod(0o777)

    def body() -> None:
        with as_nobody():
            try:
                train(digits, locked / "run")
            except ResourceError as error:
                (told / "message").write_text(str(error))

    assert in_child(body) == 0
    message = (told / "message").read_text()
    assert message.startswith(f"Could not create the run folder {locked / 'run'}: Permission denied")
    assert "Give yourself write permission there, or choose another folder." in message
    with pytest.raises(ResourceError, match=r"Not a directory.*A part of that path is a file"):
        train(digits, tmp_path / "file/run")


def test_what_is_no_run_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run: it has no folder ckpt"):
        load_run(tmp_path)
    with pytest.raises(UsageError, match="nowhere holds no run: it does not exist"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "ckpt").mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint 'best': no epoch has been finished yet"):
        load_run(tmp_path)
    with pytest.raises(UsageError, match='which must be "best" or "last"'):
        load_run(tmp_path, "first")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("config.toml", "= nonsense", "config.toml is damaged"),
        ("config.toml", None, "config.toml is missing"),
        ("data.json", "{", "data.json is damaged"),
        ("data.json", "[]", "data.json is damaged: it is not a table"),
        ("data.json", None, "data.json is missing"),
    ],
)
def test_damaged_descriptions_are_named(
    digits: Any, tmp_path: Path, name: str, content: str | None, complaint: str
) -> None:
    train(digits, tmp_path / "a", epochs=1)
    (tmp_path / "a" / name).unlink()
    if content is not None:
        (tmp_path / "a" / name).write_text(content)
    with pytest.raises(CheckpointError) as caught:
        load_run(tmp_path / "a", model=network())
    assert complaint in str(caught.value)


def test_a_network_built_in_python_must_be_given(digits: Any, tmp_path: Path) -> None:
    train(digits, tmp_path / "a", epochs=1)
    with pytest.raises(UsageError, match=r"call load_run\(folder, model=\.\.\.\) with an equal one"):
        load_run(tmp_path / "a")


def test_a_damaged_last_does_not_hide_the_best(digits: Any, tmp_path: Path) -> None:
    run = train(digits, tmp_path / "a", epochs=3)
    assert run.best is not None
    (tmp_path / "a/ckpt/last/state.json").write_text("{")
    stored = load_run(tmp_path / "a", "best", model=network())
    assert stored.best == run.best
    assert len(stored.history) == run.best["epoch"], "it knows only as much as the best checkpoint does"
    with pytest.raises(CheckpointError, match=r"last/state\.json is damaged"):
        load_run(tmp_path / "a", "last", model=network())


def test_a_run_says_in_a_line_what_it_is(digits: Any) -> None:
    run = train(digits)
    assert run.best is not None and run.folder is None
    expected = f"Run: 2 epochs, best after epoch {run.best['epoch']} (validation accuracy"
    assert str(run).startswith(expected)
    assert str(dataclasses.replace(run, best=None)) == "Run: no epoch finished"


def test_fewer_epochs_than_were_done_leave_the_run_as_it_is(digits: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted):
        train(digits, tmp_path / "a", schedule=Until(6))
    run = train(digits, tmp_path / "a", epochs=1, resume=True)
    assert len(run.history) == 1 and run.stopped == "epochs"


def test_checkpoints_by_time(digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an interval that is always over, every step is saved."""
    saved: list[int] = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda folder, stored: (saved.append(stored.position.step), save(folder, stored))
    )
    train(digits, tmp_path / "a", epochs=1, checkpoint_every="0.000001s")
    assert sorted(set(saved)) == [0, 1, 2, 3, 4, 5]


def test_averages_are_what_is_validated_saved_and_left(digits: Any, tmp_path: Path) -> None:
    settings = {"ema_decay": 0.9, "epochs": 3}
    run = train(digits, tmp_path / "a", **settings)
    assert run.config["training"]["ema_decay"] == 0.9
    stored = load_run(tmp_path / "a", "last", model=network()).model.parameters
    assert same_weights(stored, run.model.parameters)
    assert not same_weights(stored, train(digits, epochs=3).model.parameters)
    measured = evaluate(run.model, digits.validation)
    assert measured.accuracy == run.history[-1]["validation_accuracy"]
    train(digits, tmp_path / "b", **settings | {"epochs": 2})
    assert same_weights(train(digits, tmp_path / "b", **settings, resume=True).model.parameters, stored)
    with pytest.raises(UsageError, match=r"ema_decay was 0\.9, now not set"):
        train(digits, tmp_path / "b", resume=True)


def test_teachers_replace_the_labels(digits: Any, tmp_path: Path) -> None:
    """The labels are false, so whatever is right was learnt from the teacher; a resumed run goes on the same way."""
    teacher = train(digits, epochs=12).model
    false = dataclasses.replace(digits.train, labels=(digits.train.labels + 1) % 10)
    splits = dataclasses.replace(digits, train=false)
    settings = {"teachers": [teacher], "epochs": 10}
    run = train(splits, tmp_path / "a", **settings)
    assert run.history[-1]["validation_accuracy"] > 0.5
    assert run.history[-1]["train_accuracy"] < 0.2
    assert train(splits, epochs=10).history[-1]["validation_accuracy"] < 0.2
    train(splits, tmp_path / "b", **settings | {"epochs": 4})
    resumed = train(splits, tmp_path / "b", **settings, resume=True)
    assert same_weights(resumed.model.parameters, run.model.parameters)
    with pytest.raises(UsageError, match="teachers was"):
        train(splits, tmp_path / "b", epochs=11, teachers=[network().init(seed=1)], resume=True)


def test_mirrored_views_need_a_teacher(digits: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are none"):
        train(digits, tmp_path / "a", teacher_mirror=True)
    assert not (tmp_path / "a").exists()


def test_a_teacher_of_another_number_of_classes_is_refused(digits: Any, tmp_path: Path) -> None:
    other = pc.Sequential([pc.layers.Flatten(), pc.layers.Linear(64, 3)]).init(seed=0)
    with pytest.raises(UsageError, match=r"teacher 2 gives outputs of shape \(3,\) for an image, .* 10 classes"):
        train(digits, tmp_path / "a", teachers=[network().init(seed=1), other])
    assert not (tmp_path / "a").exists()
