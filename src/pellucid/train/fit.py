"""`fit`: train a network on images, with everything that must not be lost kept in the run's folder."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pellucid import engines
from pellucid.data import Transform
from pellucid.errors import CheckpointError, ConfigError, DataError, PellucidError
from pellucid.formats.safetensors import difference_report, shapes
from pellucid.train import augmentation, checkpoint, schedules
from pellucid.train.assemble import assemble
from pellucid.train.config import check_config, configuration_of
from pellucid.train.environment import describe_environment
from pellucid.train.folder import Resume, RunFolder
from pellucid.train.interrupt import StopRequest
from pellucid.train.loop import Loop, Plan, joined
from pellucid.train.outcome import write_outcome
from pellucid.train.progress import Progress, make_progress
from pellucid.train.protocols import Machinery, Model, Splits
from pellucid.train.run import Run
from pellucid.train.settings import (
    changes,
    check_same,
    counted,
    describe_object,
    fingerprint,
    parse_interval,
    weights_fingerprint,
)
from pellucid.train.state import TrainingState


def fit(
    model: Any,
    splits: Any,
    epochs: int = 10,
    batch_size: int = 64,
    *,
    optimizer: Any = None,
    loss: Any = "cross_entropy",
    out: str | Path | None = None,
    seed: int = 0,
    engine: str | None = None,
    dtype: str = "float32",
    threads: int | None = None,
    patience: int | None = None,
    resume: Resume = False,
    schedule: str | schedules.Schedule = "constant",
    augment: str | Sequence[Transform] | None = None,
    ema_decay: float | None = None,
    teachers: Sequence[Any] = (),
    teacher_mirror: bool = False,
    progress: bool = True,
    checkpoint_every: int | str | None = None,
    report: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Run:
    """Train `model` on `splits.train` for `epochs` passes; it has the last weights then.

    optimizer: by default SGD with lr 0.05 and momentum 0.9. patience: stop after so many epochs without a
    better validation accuracy (or equal accuracy and smaller loss). out: a new folder that receives
    checkpoints, metrics, plots and report.html; without it nothing is written. resume: continue the run in
    `out` exactly where it stopped, "auto" if there is one; epochs, patience, learning rate, schedule,
    threads and checkpoint_every may differ from before, and more epochs extend a finished run. schedule: a
    name (see `schedules.get`) or any function of the step. augment: random changes to the training images, by
    name ("flip,crop", see `augmentation.get`) or transforms of your own; they are functions of seed, epoch
    and image, so a resumed run sees the same ones. ema_decay: keep running averages of the weights, of which so
    large a share (0.999) stays at each step; they are what is validated, saved and left in the model.
    teachers: trained networks; the probabilities that they give for the changed images are the targets then,
    instead of the labels (knowledge distillation, see `train.teachers.Teachers`). teacher_mirror: show them every
    second image mirrored. checkpoint_every: steps (500) or time ("10min"; default "5min") between checkpoints
    within an epoch; the end of every epoch is saved in any case. config: what config.toml shall say; by default
    the tables that `pellucid train -c` needs to train the same way.

    SIGINT and SIGTERM finish the step, save, and raise TrainingInterrupted (a KeyboardInterrupt); a second
    one stops at once. Raises DivergedError when the loss or a parameter is no longer finite, ResourceError
    when the disk refuses, UsageError for a folder that cannot be used, DataError without training images.
    """
    _check_numbers(epochs, batch_size, patience)
    if teacher_mirror and not teachers:
        raise ConfigError("teacher_mirror says how images are shown to teachers, but there are none.")
    asked = None if config is None else check_config(config)
    transforms = augmentation.get(augment)
    engine = engine or engines.default(dtype)
    if splits.train is None or len(splits.train) == 0:
        raise DataError("There are no training images. Check the data folder and the size of the validation split.")
    if out is not None:
        RunFolder(out).check(resume)
    machinery, optimizer, loss_function = assemble(
        model,
        splits,
        batch_size,
        optimizer,
        loss,
        transforms=transforms,
        seed=seed,
        engine=engine,
        dtype=dtype,
        threads=threads,
        ema_decay=ema_decay or 0.0,
        teachers=teachers,
        teacher_mirror=teacher_mirror,
    )
    try:
        steps = schedules.total_steps(len(splits.train), batch_size, epochs)
        chosen = schedules.get(schedule, steps) if isinstance(schedule, str) else schedule
        described = describe_object(optimizer)
        learning_rate = optimizer.lr
        fixed = {
            "model": getattr(model, "spec", None),
            "data_sha256": fingerprint(splits),
            "batch_size": batch_size,
            "loss": describe_object(loss_function),
            "optimizer": {key: value for key, value in described.items() if key != "lr"},
            "augment": augmentation.describe(transforms),
            "ema_decay": ema_decay,
            "teachers": [weights_fingerprint(teacher) for teacher in teachers] or None,
            "teacher_mirror": teacher_mirror or None,
            "seed": seed,
            "engine": engine,
            "dtype": dtype,
        }
        changeable = {
            "epochs": epochs,
            "learning_rate": learning_rate,
            "schedule": schedules.describe(chosen),
            "patience": patience,
            "threads": threads,
            "checkpoint_every": checkpoint_every,
        }
        if asked is None:
            values = {**fixed, **changeable}
            asked = configuration_of(model, splits, optimizer, loss_function, schedule, values)
        plan = Plan(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule=chosen,
            patience=patience,
            interval=parse_interval(checkpoint_every),
            settings={"fixed": fixed, "changeable": changeable},
            config=asked,
            spec=getattr(model, "spec", None),
        )
        return train(machinery, model, splits, plan, out, resume, make_progress(progress), report)
    finally:
        machinery.close()


def train(
    machinery: Machinery,
    model: Model,
    splits: Splits,
    plan: Plan,
    out: str | Path | None,
    resume: Resume,
    progress: Progress,
    report: bool,
) -> Run:
    """Carry out a plan with machinery that is already put together; `fit` explains the rest."""
    if resume and out is None:
        raise ConfigError("resume needs the folder of the run to continue: out=...")
    with ExitStack() as stack:
        stack.callback(progress.close)
        folder, state = None, TrainingState()
        if out is not None:
            folder = RunFolder(out)
            stored = folder.open(resume)
            stack.enter_context(folder)
            if stored:
                state = _restore(folder, machinery, plan, progress)
            _write_descriptions(folder, splits, plan, state)
        with StopRequest() as stop:
            try:
                Loop(machinery, splits, plan, state, folder, progress, stop).run()
            except PellucidError as error:
                _log_failure(folder, error)
                raise
        machinery.step.write_back()
        if folder is not None:
            folder.log(f"finished after {counted(state.epoch, 'epoch')} ({state.finished})")
            if report:
                write_outcome(folder, machinery, model, splits, plan, state, progress)
        return Run(
            model,
            state.history,
            state.best,
            None if folder is None else folder.path,
            state.finished,
            splits.to_json(),
            plan.config,
        )


def _restore(folder: RunFolder, machinery: Machinery, plan: Plan, progress: Progress) -> TrainingState:
    """Continue from the last checkpoint: put its numbers into the step and return its position."""
    stored = checkpoint.load(folder.last)
    settings = stored.settings
    check_same(settings.get("fixed", {}), plan.settings.get("fixed", {}), folder.path)
    arrays = joined(stored)
    expected = shapes(machinery.step.state_dict())
    difference = difference_report(expected, shapes(arrays))
    if difference:
        raise CheckpointError(f"{folder.last} belongs to another network or optimiser: {difference}.")
    machinery.step.load_state_dict(arrays)
    state = stored.position
    if state.best is not None:
        checkpoint.load(folder.best)  # when it is damaged, it is better to know before training than after it
    changed = changes(settings.get("changeable", {}), plan.settings.get("changeable", {}))
    _extend(state, plan, bool(changed))
    text = f"resumed at epoch {state.epoch + 1}, batch {state.batch}" if state.finished is None else "already finished"
    for line in [text, *(f"changed on resuming: {change}" for change in changed)]:
        folder.log(line)
        progress.message(f"{folder.path}: {line}")
    return state


def _extend(state: TrainingState, plan: Plan, changed: bool) -> None:
    """Let a finished run go on if the plan now asks for more; patience then starts counting anew."""
    if state.finished is not None and state.epoch < plan.epochs and changed:
        if state.finished == "patience":
            state.since_best = 0
        state.finished = None
    if state.finished is None and state.epoch >= plan.epochs:
        state.finished = "epochs"


def _write_descriptions(folder: RunFolder, splits: Splits, plan: Plan, state: TrainingState) -> None:
    fixed = plan.settings.get("fixed", {})
    threads = plan.settings.get("changeable", {}).get("threads")
    folder.write_toml("config.toml", plan.config)
    folder.write_json("env.json", describe_environment(str(fixed.get("engine", "")), threads))
    folder.write_json("data.json", splits.to_json())
    folder.rewrite_metrics(state.history)
    if state.step == 0:
        folder.log("started")


def _log_failure(folder: RunFolder | None, error: PellucidError) -> None:
    if folder is None:
        return
    try:
        folder.log(f"{type(error).__name__}: {error}")
    except PellucidError:
        return  # a full disk cannot take the line either; the error itself is on its way to the user


def _check_numbers(epochs: int, batch_size: int, patience: int | None) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("patience", patience)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"{name} must be a whole number of at least 1, but is {value!r}.")
