"""A tiny network, training step and dataset that keep to train's protocols, so that the loop is tested alone.

The step is softmax regression with momentum and noise counted by the step number: small, and with every kind
of state a real one has, so that forgetting any of it while resuming changes the weights.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import CheckpointError
from pellucid.train.fit import train
from pellucid.train.folder import Resume
from pellucid.train.loop import Plan
from pellucid.train.progress import Progress, Silent
from pellucid.train.protocols import Machinery
from pellucid.train.run import Run
from pellucid.train.schedules import Constant, Schedule
from pellucid.train.settings import Interval

Array = NDArray[Any]

CLASSES = ["zero", "one", "two"]
SHAPE = (1, 4, 4)


class FakeModel:
    """Softmax regression."""

    def __init__(self, spec: dict[str, Any] | None = None) -> None:
        draw = np.random.default_rng(7)
        self.spec = spec
        self.parameters: dict[str, Array] = {
            "fc.weight": draw.normal(size=(len(CLASSES), math.prod(SHAPE))).astype(np.float32) * 0.1,
            "fc.bias": np.zeros(len(CLASSES), np.float32),
        }

    @property
    def states(self) -> dict[str, Array]:
        return {}

    def load(self, weights: Mapping[str, Array]) -> "FakeModel":
        assert {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in self.parameters.items()}
        self.parameters = {name: np.array(value) for name, value in weights.items()}
        return self

    def logits(self, x: Array) -> Array:
        flat = x.reshape(len(x), -1).astype(np.float32)
        return flat @ self.parameters["fc.weight"].T + self.parameters["fc.bias"]


class FakeStep:
    """One update; `hook` is called with the step number before it and may raise, kill or signal."""

    def __init__(self, model: FakeModel, hook: Callable[[int], None] | None = None) -> None:
        self.model, self.hook = model, hook
        self.inner = FakeModel()
        self.inner.load(model.parameters)
        self.momentum = {name: np.zeros_like(value) for name, value in model.parameters.items()}
        self.count = 0
        self.output: Array = np.zeros((0, len(CLASSES)), np.float32)
        self.rates: list[float] = []
        self.closed = False

    def __call__(self, x: Array, y: Array, *, learning_rate: float | None = None) -> float:
        assert learning_rate is not None
        if self.hook is not None:
            self.hook(self.count)
        noise = np.random.default_rng([11, self.count]).normal(size=x.shape).astype(np.float32)
        noisy = x + np.float32(0.05) * noise
        self.output = self.inner.logits(noisy)
        probability = softmax(self.output)
        loss = cross_entropy(self.output, y)
        difference = probability.copy()
        difference[np.arange(len(y)), y] -= 1
        difference /= len(y)
        gradients = {"fc.weight": difference.T @ noisy.reshape(len(x), -1), "fc.bias": difference.sum(0)}
        for name, gradient in gradients.items():
            self.momentum[name] = np.float32(0.9) * self.momentum[name] + gradient
            self.inner.parameters[name] = self.inner.parameters[name] - np.float32(learning_rate) * self.momentum[name]
        self.count += 1
        self.rates.append(learning_rate)
        return loss

    def state_dict(self) -> dict[str, Array]:
        state = {f"model.{name}": value.copy() for name, value in self.inner.parameters.items()}
        state |= {f"optimizer.momentum.{name}": value.copy() for name, value in self.momentum.items()}
        return state | {"counter.step": np.array(self.count)}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        if set(state) != set(self.state_dict()):
            raise CheckpointError("names differ")
        for name in self.momentum:
            self.inner.parameters[name] = state[f"model.{name}"].copy()
            self.momentum[name] = state[f"optimizer.momentum.{name}"].copy()
        self.count = int(state["counter.step"])

    def write_back(self) -> None:
        self.model.load(self.inner.parameters)

    def first_nonfinite(self, x: Array, y: Array) -> str | None:
        return "fc" if not np.isfinite(x).all() else None

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeDataset:
    images: Array
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> NDArray[np.float32]:
        return np.asarray(self.images[index], np.float32)


@dataclass
class FakeSplits:
    train: FakeDataset
    validation: FakeDataset | None
    test: FakeDataset | None = None
    classes: list[str] = field(default_factory=lambda: list(CLASSES))

    def description(self) -> str:
        return f"{len(self.train)} training images"

    def to_json(self) -> dict[str, Any]:
        return {"name": "fake", "classes": self.classes, "fingerprint": {"train": "abc"}}


def softmax(z: Array) -> Array:
    exponent = np.exp(z - z.max(axis=1, keepdims=True))
    return exponent / exponent.sum(axis=1, keepdims=True)


def cross_entropy(z: Array, y: Array) -> float:
    return float(-np.log(softmax(z)[np.arange(len(y)), y]).mean())


def make_dataset(count: int, seed: int) -> FakeDataset:
    """Noisy images whose class is the brightest of three rows."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, len(CLASSES), count)
    images = draw.normal(size=(count, *SHAPE)).astype(np.float32)
    images[np.arange(count), 0, labels] += 0.8
    return FakeDataset(images, labels.astype(np.int64))


def make_splits(train: int = 50, validation: int = 20) -> FakeSplits:
    return FakeSplits(make_dataset(train, 1), make_dataset(validation, 2) if validation else None)


def fake_batches(
    batch_size: int, dataset: FakeDataset, epoch: int | None, start: int
) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    order = np.arange(len(dataset))
    if epoch is not None:
        order = np.random.default_rng([5, epoch]).permutation(len(dataset))
    for first in range(start * batch_size, len(dataset), batch_size):
        chosen = order[first : first + batch_size]
        yield dataset.images[chosen], dataset.labels[chosen]


BATCH = 8  # 50 training images make 7 batches, the last of 2


def run_fake(
    out: Path | None = None,
    epochs: int = 3,
    *,
    resume: Resume = False,
    patience: int | None = None,
    learning_rate: float = 0.1,
    schedule: Schedule | None = None,
    interval: Interval | None = None,
    splits: FakeSplits | None = None,
    model: FakeModel | None = None,
    hook: Callable[[int], None] | None = None,
    progress: Progress | None = None,
    report: bool = False,
    fixed: dict[str, Any] | None = None,
    step: FakeStep | None = None,
    batches: Callable[..., Iterator[tuple[Array, NDArray[np.int64]]]] = fake_batches,
) -> Run:
    """Train the fake network as `fit` would train a real one."""
    model = FakeModel() if model is None else model
    step = FakeStep(model, hook) if step is None else step
    machinery = Machinery(
        step=step,
        predict=lambda x: step.model.logits(x),
        refresh=lambda: None,
        loss_value=cross_entropy,
        target=lambda images, labels: labels,
        batches=lambda dataset, epoch, start: batches(BATCH, dataset, epoch, start),
    )
    plan = Plan(
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=learning_rate,
        schedule=Constant() if schedule is None else schedule,
        patience=patience,
        interval=Interval() if interval is None else interval,
        settings={
            "fixed": {"batch_size": BATCH, "engine": "numpy", **(fixed or {})},
            "changeable": {"epochs": epochs, "learning_rate": learning_rate, "patience": patience},
        },
        config={"training": {"epochs": epochs, "patience": patience}, "optimizer": {"lr": learning_rate}},
        spec=model.spec,
    )
    splits = make_splits() if splits is None else splits
    return train(machinery, model, splits, plan, out, resume, progress or Silent(), report)


def same_weights(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Whether all weights are equal bit for bit."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and one[name].tobytes() == other[name].tobytes() for name in one
    )


def figures_of(run: Run) -> str:
    """The history without what depends on the clock."""
    timed = {"seconds", "images_per_second"}
    return json.dumps([{k: v for k, v in row.items() if k not in timed} for row in run.history])
