"""The loop with a fake step: history, early stopping, metrics files, the run folder."""

import csv
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import ConfigError, UsageError
from pellucid.train.run import load_run
from pellucid.train.settings import Interval
from pellucid.train.state import COLUMNS, better
from tests.train.fakes import (
    FakeModel,
    FakeStep,
    cross_entropy,
    figures_of,
    make_splits,
    run_fake,
    same_weights,
    softmax,
)


def test_history_has_a_row_per_epoch_and_the_model_the_last_weights() -> None:
    model = FakeModel()
    step = FakeStep(model)
    splits = make_splits()
    run = run_fake(epochs=4, model=model, step=step, splits=splits)
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4]
    assert all(tuple(row) == COLUMNS for row in run.history)
    assert same_weights(model.parameters, step.inner.parameters)
    assert run.stopped == "epochs"
    # the validation figures, counted here once more without batches
    assert splits.validation is not None
    logits = model.logits(splits.validation.images)
    assert run.history[-1]["validation_loss"] == pytest.approx(cross_entropy(logits, splits.validation.labels))
    right = (softmax(logits).argmax(1) == splits.validation.labels).mean()
    assert run.history[-1]["validation_accuracy"] == pytest.approx(right)
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]


def test_train_loss_is_the_mean_over_images_not_over_batches() -> None:
    """The last batch is smaller and weighs less."""
    losses: list[tuple[float, int]] = []

    class Recorder(FakeStep):
        def __call__(self, x, y, *, learning_rate=None):  # type: ignore[no-untyped-def]
            losses.append((super().__call__(x, y, learning_rate=learning_rate), len(y)))
            return losses[-1][0]

    run = run_fake(epochs=1, step=Recorder(FakeModel()))
    assert [n for _, n in losses] == [8, 8, 8, 8, 8, 8, 2]
    assert run.history[0]["train_loss"] == pytest.approx(sum(v * n for v, n in losses) / 50, rel=1e-12)


def test_the_schedule_multiplies_the_learning_rate_at_every_step() -> None:
    step = FakeStep(FakeModel())
    run = run_fake(epochs=2, step=step, schedule=lambda number: 1 / (1 + number), learning_rate=0.5)
    assert step.rates == pytest.approx([0.5 / (1 + number) for number in range(14)])
    assert run.history[1]["learning_rate"] == step.rates[-1]


def test_best_is_by_validation_accuracy_then_loss() -> None:
    def row(accuracy: float, loss: float) -> dict[str, float]:
        return {"validation_accuracy": accuracy, "validation_loss": loss}

    assert better(row(0.5, 9.0), None)
    assert better(row(0.6, 9.0), row(0.5, 1.0))
    assert better(row(0.5, 0.9), row(0.5, 1.0))
    assert not better(row(0.5, 1.0), row(0.5, 1.0))
    assert not better(row(0.4, 0.1), row(0.5, 1.0))
    without = {"validation_accuracy": None, "validation_loss": None, "train_loss": 1.0}
    assert better(without | {"train_accuracy": 0.9}, without | {"train_accuracy": 0.8})


def test_early_stopping_counts_epochs_without_a_better_one(tmp_path: Path) -> None:
    """With learning rate 0 nothing improves after the first epoch."""
    run = run_fake(tmp_path / "a", epochs=50, patience=3, learning_rate=0.0)
    assert len(run.history) == 4
    assert run.stopped == "patience"
    assert run.best == run.history[0]
    again = run_fake(tmp_path / "a", epochs=50, patience=3, learning_rate=0.0, resume=True)
    assert len(again.history) == 4, "nothing was asked for that was not done"
    more = run_fake(tmp_path / "a", epochs=60, patience=3, learning_rate=0.0, resume=True)
    assert len(more.history) == 7, "an extended run counts its patience anew"
    assert more.stopped == "patience"


def test_without_validation_the_training_figures_decide(tmp_path: Path) -> None:
    run = run_fake(tmp_path / "a", splits=make_splits(validation=0))
    assert run.history[0]["validation_loss"] is None
    assert run.best is not None
    assert run.best["train_accuracy"] == max(row["train_accuracy"] for row in run.history)
    with open(tmp_path / "a/metrics.csv", newline="") as file:
        assert [row["validation_loss"] for row in csv.DictReader(file)] == ["", "", ""]


def test_metrics_files_say_what_the_history_says(tmp_path: Path) -> None:
    run = run_fake(tmp_path / "a")
    with open(tmp_path / "a/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [{name: float(value) for name, value in row.items()} for row in rows] == run.history
    lines = (tmp_path / "a/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == run.history


def test_metrics_are_on_disk_after_each_epoch(tmp_path: Path) -> None:
    seen: list[int] = []

    def look(step: int) -> None:
        if step == 15:  # in the third epoch
            seen.append(len((tmp_path / "a/metrics.csv").read_text().splitlines()))
            seen.append(len((tmp_path / "a/metrics.jsonl").read_text().splitlines()))

    run_fake(tmp_path / "a", hook=look)
    assert seen == [3, 2]


def test_a_resumed_run_continues_the_same_metrics_files(tmp_path: Path) -> None:
    """Rows written after the checkpoint are made again, not kept twice."""
    run_fake(tmp_path / "a", epochs=2)
    for name in ("metrics.csv", "metrics.jsonl"):
        with open(tmp_path / "a" / name, "a") as file:
            file.write("half a line of a kill")
    run = run_fake(tmp_path / "a", epochs=3, resume=True)
    with open(tmp_path / "a/metrics.csv", newline="") as file:
        assert [float(row["train_loss"]) for row in csv.DictReader(file)] == [r["train_loss"] for r in run.history]
    assert [json.loads(x) for x in (tmp_path / "a/metrics.jsonl").read_text().splitlines()] == run.history


def test_the_run_folder_describes_the_run(tmp_path: Path) -> None:
    run = run_fake(tmp_path / "a")
    config = tomllib.loads((tmp_path / "a/config.toml").read_text())
    assert config == {"training": {"epochs": 3}, "optimizer": {"lr": 0.1}}
    environment = json.loads((tmp_path / "a/env.json").read_text())
    assert environment["packages"]["numpy"] == np.__version__
    assert json.loads((tmp_path / "a/data.json").read_text()) == run.data
    assert {path.name for path in (tmp_path / "a/ckpt").iterdir()} == {"last", "best"}
    assert {path.name for path in (tmp_path / "a/ckpt/last").iterdir()} == {
        "model.safetensors",
        "state.safetensors",
        "state.json",
    }
    log = (tmp_path / "a/log.txt").read_text()
    assert "started" in log and "finished after 3 epochs (epochs)" in log


def test_load_run_gives_back_best_and_last(tmp_path: Path) -> None:
    weights: dict[int, dict[str, np.ndarray]] = {}
    model = FakeModel()

    def remember(step: int) -> None:
        if step % 7 == 0:
            weights[step // 7] = dict(model.parameters)

    run = run_fake(tmp_path / "a", epochs=4, model=model, hook=remember)
    weights[4] = dict(model.parameters)
    best = load_run(tmp_path / "a", model=FakeModel())
    assert run.best is not None and best.best == run.best
    assert same_weights(best.model.parameters, weights[run.best["epoch"]])
    last = load_run(tmp_path / "a", "last", model=FakeModel())
    assert same_weights(last.model.parameters, weights[4])
    assert best.history == last.history == run.history
    assert best.data == run.data and best.stopped == "epochs"
    assert str(last).startswith(f"Run in {tmp_path / 'a'}: 4 epochs, best after epoch {run.best['epoch']}")


def test_a_folder_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    run_fake(tmp_path / "a", epochs=1)
    before = sorted((tmp_path / "a").rglob("*"))
    with pytest.raises(UsageError, match=r"already holds a run. Resume it .*--resume.*another folder"):
        run_fake(tmp_path / "a", epochs=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"b is not empty. Choose another folder"):
        run_fake(tmp_path / "b")
    with pytest.raises(UsageError, match="is not a run folder"):
        run_fake(tmp_path / "b", resume=True)
    (tmp_path / "c").write_text("")
    with pytest.raises(UsageError, match="c is a file"):
        run_fake(tmp_path / "c")
    assert sorted((tmp_path / "a").rglob("*")) == before
    assert os.listdir(tmp_path / "b") == ["thesis.txt"], "not even a lock was left"


def test_resume_without_a_run_is_an_error_and_auto_starts_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no run to resume"):
        run_fake(tmp_path / "a", resume=True)
    assert not (tmp_path / "a").exists()
    with pytest.raises(ConfigError, match="resume needs the folder"):
        run_fake(resume=True)
    first = run_fake(tmp_path / "a", resume="auto", epochs=2)
    second = run_fake(tmp_path / "a", resume="auto", epochs=3)
    assert len(second.history) == 3
    assert second.history[:2] == first.history


def test_resuming_as_another_training_is_refused(tmp_path: Path) -> None:
    run_fake(tmp_path / "a", epochs=1, fixed={"seed": 0})
    with pytest.raises(UsageError, match=r"other settings: seed was 0, now 1. Resuming continues the same"):
        run_fake(tmp_path / "a", epochs=2, fixed={"seed": 1}, resume=True)


def test_what_may_change_on_resuming_is_written_down(tmp_path: Path) -> None:
    run_fake(tmp_path / "a", epochs=1)
    run = run_fake(tmp_path / "a", epochs=2, learning_rate=0.01, resume=True)
    assert run.history[1]["learning_rate"] == 0.01
    log = (tmp_path / "a/log.txt").read_text()
    assert "changed on resuming: learning_rate 0.1 -> 0.01" in log
    assert "changed on resuming: epochs 1 -> 2" in log
    assert tomllib.loads((tmp_path / "a/config.toml").read_text())["optimizer"] == {"lr": 0.01}


def test_two_processes_cannot_train_in_one_folder(tmp_path: Path) -> None:
    """The second is refused with the first one's number; after the first has ended, its lock is nobody's."""
    code = (
        "import sys; from pathlib import Path; from tests.train.fakes import run_fake\n"
        "from pellucid.errors import UsageError\n"
        "try: run_fake(Path(sys.argv[1]), resume=True)\n"
        "except UsageError as error: print(error); sys.exit(error.exit_code)\n"
    )
    results = []

    def try_in_another_process(step: int) -> None:
        if step == 3:
            command = [sys.executable, "-c", code, str(tmp_path / "a")]
            results.append(subprocess.run(command, capture_output=True, text=True, timeout=60))

    run_fake(tmp_path / "a", hook=try_in_another_process)
    assert results[0].returncode == 2, results[0].stderr
    assert f"Another process (number {os.getpid()}) is training in {tmp_path / 'a'}" in results[0].stdout
    run_fake(tmp_path / "a", epochs=4, resume=True)


def test_the_step_sees_every_image_once_per_epoch_in_another_order() -> None:
    seen: list[bytes] = []

    class Recorder(FakeStep):
        def __call__(self, x, y, *, learning_rate=None):  # type: ignore[no-untyped-def]
            seen.extend(image.tobytes() for image in x)
            return super().__call__(x, y, learning_rate=learning_rate)

    splits = make_splits()
    run_fake(epochs=2, step=Recorder(FakeModel()), splits=splits)
    everything = sorted(image.tobytes() for image in splits.train.images)
    assert sorted(seen[:50]) == everything and sorted(seen[50:]) == everything
    assert seen[:50] != seen[50:]


def test_equal_runs_are_equal(tmp_path: Path) -> None:
    one, other = run_fake(tmp_path / "a"), run_fake(tmp_path / "b", interval=Interval(steps=2))
    assert figures_of(one) == figures_of(other)
    assert same_weights(one.model.parameters, other.model.parameters)
    weights = [(tmp_path / name / "ckpt/last/model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1], "equal weights are equal files"
