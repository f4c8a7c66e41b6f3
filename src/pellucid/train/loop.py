"""The training loop: batches, epochs, validation, checkpoints; written against small protocols."""

import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DivergedError, PellucidError
from pellucid.train import checkpoint
from pellucid.train.checkpoint import Checkpoint
from pellucid.train.folder import RunFolder
from pellucid.train.interrupt import StopRequest, TrainingInterrupted
from pellucid.train.metrics import Evaluation, count_correct, measure
from pellucid.train.progress import Now, Progress
from pellucid.train.protocols import Machinery, Splits
from pellucid.train.schedules import Schedule
from pellucid.train.settings import Interval
from pellucid.train.state import Row, TrainingState, better

Array = NDArray[Any]

PREFIX = "model."  # of the network's own numbers in a step's state
_ESTIMATE_AFTER = 10  # batches, before a time left is shown


@dataclass(frozen=True)
class Plan:
    """What a training is to do."""

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    patience: int | None = None
    interval: Interval = field(default_factory=Interval)
    settings: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] | None = None


class _Stopped(Exception):
    """The validation was left because of a signal."""


class Loop:
    """Trains from `state` on until the plan is fulfilled; saves into `folder` if there is one."""

    def __init__(
        self,
        machinery: Machinery,
        splits: Splits,
        plan: Plan,
        state: TrainingState,
        folder: RunFolder | None,
        progress: Progress,
        stop: StopRequest,
    ) -> None:
        self.machinery, self.splits, self.plan, self.state = machinery, splits, plan, state
        self.folder, self.progress, self.stop = folder, progress, stop
        self.batches = math.ceil(len(splits.train) / plan.batch_size)
        self._last_batch: tuple[Array, Array] | None = None
        self._saved_at = self._began_at = time.monotonic()
        self._began_step = state.step

    def run(self) -> None:
        """Train. Raises DivergedError, ResourceError, or TrainingInterrupted after a signal."""
        if self.folder is not None and not checkpoint.exists(self.folder.last):
            self._save_last()  # so that there is a good checkpoint from the first step on
        while self.state.finished is None:
            self._train_epoch()
            self._end_epoch()
            if self.stop.requested and self.state.finished is None:
                self._leave()

    def _train_epoch(self) -> None:
        state, step = self.state, self.machinery.step
        self.progress.start_epoch(state.epoch + 1, self.plan.epochs, self.batches, state.batch)
        if state.batch >= self.batches:
            return  # only the validation was missing when this run was stopped
        with _closed(self.machinery.batches(self.splits.train, state.epoch, state.batch)) as source:
            began = time.perf_counter()
            for x, labels in source:
                state.learning_rate = self.plan.learning_rate * self.plan.schedule(state.step)
                loss = step(x, self.machinery.target(x, labels), learning_rate=state.learning_rate)
                self._last_batch = (x, labels)
                if not math.isfinite(loss):
                    self._diverged(f"the loss became {loss}", state.batch)
                state.loss_sum += loss * len(labels)
                state.correct += count_correct(step.output, labels)
                state.seen += len(labels)
                state.batch += 1
                state.step += 1
                state.seconds += time.perf_counter() - began
                self.progress.update(self._now())
                self._after_step()
                began = time.perf_counter()

    def _after_step(self) -> None:
        if self.stop.requested:
            self._save_last()
            self._leave()
        every = self.plan.interval
        due = every.steps is not None and self.state.step % every.steps == 0
        if every.seconds is not None and time.monotonic() - self._saved_at >= every.seconds:
            due = True
        if due and self.state.batch < self.batches:  # otherwise the end of the epoch saves
            self._save_last()

    def _end_epoch(self) -> None:
        began = time.perf_counter()
        self._finite_state()
        validation = self._validate()
        state = self.state
        row = self._row(validation, time.perf_counter() - began)
        is_best = better(row, state.best)
        state.history.append(row)
        state.epoch += 1
        state.since_best = 0 if is_best else state.since_best + 1
        state.best = row if is_best else state.best
        if state.epoch >= self.plan.epochs:
            state.finished = "epochs"
        elif self.plan.patience is not None and state.since_best >= self.plan.patience:
            state.finished = "patience"
        state.start_epoch()
        self._record(row, is_best)

    def _record(self, row: Row, is_best: bool) -> None:
        """Write an epoch down; best before last, so that a kill in between only repeats work."""
        if self.folder is not None:
            now = self._snapshot()
            self.folder.append_metrics(row)
            if is_best:
                checkpoint.save(self.folder.best, now)
            checkpoint.save(self.folder.last, now)
            self._saved_at = time.monotonic()
        self.progress.end_epoch(row, self.plan.epochs, is_best)

    def _row(self, validation: Evaluation | None, validation_seconds: float) -> Row:
        state = self.state
        return {
            "epoch": state.epoch + 1,
            "train_loss": state.loss_sum / state.seen,
            "train_accuracy": state.correct / state.seen,
            "validation_loss": None if validation is None else validation.loss,
            "validation_accuracy": None if validation is None else validation.accuracy,
            "images_per_second": state.seen / max(state.seconds, 1e-9),
            "seconds": state.seconds + validation_seconds,
            "learning_rate": state.learning_rate,
        }

    def _validate(self) -> Evaluation | None:
        self.machinery.step.write_back()
        self.machinery.refresh()
        if self.splits.validation is None:
            return None
        with _closed(self.machinery.batches(self.splits.validation, None, 0)) as source:
            try:
                result = measure(
                    source,
                    self.machinery.predict,
                    self.machinery.loss_value,
                    self.splits.classes,
                    after_batch=self._leave_validation,
                )
            except _Stopped:
                self._save_last()
                self._leave()
        if not math.isfinite(result.loss):
            raise DivergedError(
                f"After epoch {self.state.epoch + 1} the validation loss became {result.loss}, although the"
                f" training loss and all parameters are finite. {self._kept()}"
                "Use a smaller learning rate, or check the validation images."
            )
        return result

    def _leave_validation(self, images: int) -> None:
        if self.stop.requested:
            raise _Stopped

    def _save_last(self) -> None:
        if self.folder is not None:
            checkpoint.save(self.folder.last, self._snapshot())
        self._saved_at = time.monotonic()

    def _finite_state(self) -> dict[str, Array]:
        """Return the step's state; numbers that are not finite must not replace a good checkpoint."""
        everything = self.machinery.step.state_dict()
        for name, values in everything.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                self._diverged(f"{name.removeprefix(PREFIX)} is no longer finite", self.state.batch - 1)
        return everything

    def _snapshot(self) -> Checkpoint:
        everything = self._finite_state()
        weights = {name[len(PREFIX) :]: v for name, v in everything.items() if name.startswith(PREFIX)}
        rest = {name: v for name, v in everything.items() if not name.startswith(PREFIX)}
        return Checkpoint(weights, rest, self.state, self.plan.settings, self.plan.spec)

    def _leave(self) -> NoReturn:
        self.machinery.step.write_back()
        where = f"epoch {self.state.epoch + 1}, batch {self.state.batch} of {self.batches}"
        saved = "nothing was saved, because the run has no folder (out=...)"
        if self.folder is not None:
            saved = f"saved in {self.folder.last}. Continue with resume=True (on the command line: --resume)"
            self.folder.log(f"stopped by {self.stop.requested} at {where}")
        raise TrainingInterrupted(f"Stopped by {self.stop.requested} at {where}; {saved}.")

    def _diverged(self, what: str, batch: int) -> NoReturn:
        """Name the layer and the batch (from 0), and keep the batch for study."""
        layer, kept = None, ""
        if self._last_batch is not None:
            x, labels = self._last_batch
            kept = self._keep_batch(x, labels)
            self._go_back_to(batch)
            layer = self.machinery.step.first_nonfinite(x, self.machinery.target(x, labels))
        first = f'; the first value that is not finite is in "{layer}"' if layer else ""
        step = self.state.epoch * self.batches + batch + 1
        raise DivergedError(
            f"Epoch {self.state.epoch + 1}, batch {batch + 1} of {self.batches} (step {step}): {what}{first}."
            f" {kept}{self._kept()}Use a smaller learning rate (it was {self.state.learning_rate:g}),"
            " or check the images of this batch."
        )

    def _go_back_to(self, batch: int) -> None:
        """Put the step back to where it was before a batch, by training again from the checkpoint.

        The step has spoilt its parameters by then. Keeping a copy at every step would cost all trainings
        time; training a few batches once more costs only the one that failed.
        """
        if self.folder is None:
            return
        stored = checkpoint.load(self.folder.last)
        self.machinery.step.load_state_dict(joined(stored))
        position = stored.position
        if position.epoch != self.state.epoch:
            return
        missing = batch - position.batch
        with _closed(self.machinery.batches(self.splits.train, position.epoch, position.batch)) as source:
            for number, (x, labels) in zip(range(missing), source, strict=False):
                rate = self.plan.learning_rate * self.plan.schedule(position.step + number)
                self.machinery.step(x, self.machinery.target(x, labels), learning_rate=rate)

    def _keep_batch(self, x: Array, labels: Array) -> str:
        if self.folder is None:
            return ""
        data = io.BytesIO()
        np.savez(data, images=x, labels=labels)
        try:
            self.folder.write_bytes("diverged.npz", data.getvalue())
        except PellucidError as error:  # the divergence matters more
            return f"The batch could not be kept ({error}) "
        return f"The batch is kept in {self.folder.path / 'diverged.npz'}. "

    def _kept(self) -> str:
        if self.folder is None:
            return "The model has the parameters it had after the epoch before. "
        return f"The last good checkpoint is {self.folder.last}. "

    def _now(self) -> Now:
        state = self.state
        done = state.step - self._began_step
        left = None
        if done >= _ESTIMATE_AFTER:
            missing = (self.plan.epochs - state.epoch) * self.batches - state.batch
            left = (time.monotonic() - self._began_at) / done * missing
        return Now(
            state.batch,
            self.batches,
            state.loss_sum / state.seen,
            state.correct / state.seen,
            state.seen / max(state.seconds, 1e-9),
            left,
        )


def joined(stored: Checkpoint) -> dict[str, Array]:
    """Return a checkpoint's arrays as the step's state names them."""
    return {PREFIX + name: values for name, values in stored.weights.items()} | stored.state


@contextmanager
def _closed(source: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Stop the thread behind an iterator of batches also when the loop is left early."""
    try:
        yield source
    finally:
        close: Callable[[], None] | None = getattr(source, "close", None)
        if close is not None:
            close()
