"""How long training takes until a test accuracy is reached: LeNet-5 on MNIST, with nothing hidden.

The recipe is fixed beforehand: batches of 64, SGD with momentum 0.9, a learning rate that falls in a straight line from
0.05 to 0 over the epochs, all 60,000 training images. The test images are looked at after each epoch, to tell when the
accuracy was reached; nothing is chosen by them. Reading the files, compiling and evaluating are timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import data, execution, models, optim, training

MODEL, DATA = "lenet5", "mnist"
BATCH, RATE, MOMENTUM, EPOCHS = 64, 0.05, 0.9, 6
EVALUATED = 500
"""Test images that are evaluated at once."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Epoch:
    """Seconds of training and of evaluation in one epoch, the mean loss, and the test accuracy after it."""

    training: float
    evaluation: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Race:
    """The whole run; `reached` is the number of the epoch after which the accuracy was reached, or None."""

    target: float
    images: int
    loading: float
    compiling: float
    epochs: tuple[Epoch, ...]

    @property
    def reached(self) -> int | None:
        found = (number for number, epoch in enumerate(self.epochs, 1) if epoch.accuracy >= self.target)
        return next(found, None)

    @property
    def training(self) -> float:
        """Seconds of training altogether."""
        return sum(epoch.training for epoch in self.epochs)

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self) | {"reached": self.reached, "training": self.training, "model": MODEL, "data": DATA}

    def lines(self) -> list[str]:
        """For people."""
        best = max(epoch.accuracy for epoch in self.epochs)
        verdict = (
            f"{100 * self.target:.2f}% reached after {self.reached} epochs: {self.training:.2f} s of training"
            if self.reached
            else f"{100 * self.target:.2f}% NOT reached in {len(self.epochs)} epochs; the best was {100 * best:.2f}%"
        )
        evaluating = sum(epoch.evaluation for epoch in self.epochs)
        rate = self.images * len(self.epochs) / self.training
        return [
            verdict,
            f"besides: reading {self.loading:.2f} s, compiling {self.compiling:.2f} s, evaluating {evaluating:.2f} s",
            f"{rate:,.0f} images per second of training, preparing the batches included",
        ]


def race(
    target: float, *, threads: int, root: Path | None = None, epochs: int = EPOCHS, say: Say | None = None
) -> Race:
    """Train until the accuracy is reached, or for all epochs; DataError when the data are not there."""
    clock = time.perf_counter
    start = clock()
    splits = data.load(DATA, root=root, validation=0.0)
    loading = clock() - start
    start = clock()
    runner = _Runner(splits, threads, epochs)
    compiling = clock() - start
    found: list[Epoch] = []
    for number in range(epochs):
        found.append(runner.epoch(number))
        if say is not None:
            say(f"epoch {number + 1}: {100 * found[-1].accuracy:.2f}% of the test images, {found[-1].training:.2f} s")
        if found[-1].accuracy >= target:
            break
    runner.close()
    return Race(target, len(splits.train), loading, compiling, tuple(found))


class _Runner:
    """The compiled training step and the compiled model, ready to go."""

    def __init__(self, splits: data.Splits, threads: int, epochs: int) -> None:
        self.splits, self.steps = splits, epochs * -(-len(splits.train) // BATCH)
        self.done = 0
        shape = splits.image_shape
        self.model = models.create(MODEL).init(seed=0)
        optimizer = optim.SGD(RATE, momentum=MOMENTUM)
        self.step = training.compile_training(
            self.model, BATCH, shape, optimizer=optimizer, engine="native", threads=threads
        )
        self._compile_all(shape)
        self.infer = execution.compile(self.model, EVALUATED, shape, "native", threads=threads)

    def _compile_all(self, shape: tuple[int, ...]) -> None:
        """A step is compiled when its number of images first occurs: make that now, and undo what it did."""
        before = self.step.state_dict()
        for size in {min(BATCH, len(self.splits.train)), len(self.splits.train) % BATCH or BATCH}:
            self.step(np.zeros((size, *shape), np.float32), np.zeros(size, np.int64), learning_rate=0.0)
        self.step.load_state_dict(before)

    def epoch(self, number: int) -> Epoch:
        """Train on all images once, in an order of this epoch's own, then count right answers."""
        start = time.perf_counter()
        losses = []
        for x, y in data.Batches(self.splits.train, BATCH, seed=0, epoch=number):
            losses.append(self.step(x, y, learning_rate=RATE * (1 - self.done / self.steps)))
            self.done += 1
        middle = time.perf_counter()
        accuracy = self._accuracy()
        end = time.perf_counter()
        return Epoch(middle - start, end - middle, float(np.mean(losses)), accuracy)

    def _accuracy(self) -> float:
        test = self.splits.test
        assert test is not None
        self.step.write_back()
        self.infer.update()
        right = 0
        for x, y in data.Batches(test, EVALUATED, shuffle=False):
            right += int((self.infer(x).argmax(axis=1) == y).sum())
        return right / len(test)

    def close(self) -> None:
        """Give back threads and memory."""
        self.step.close()
        self.infer.close()
