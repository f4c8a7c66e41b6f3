"""How good a classifier is: loss, accuracy, confusion matrix, precision and recall per class."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Predict = Callable[[Array], Array]
LossValue = Callable[[Array, Array], float]

WORST_KEPT = 16


@dataclass(frozen=True)
class ClassScore:
    """One class: `support` images of it, `recall` of them found; `precision` of those called so are right.

    `precision` or `recall` is None when there is nothing to divide by.
    """

    name: str
    support: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Mistake:
    """A wrongly classified image: its index in the dataset, and by how much the wrong class was preferred."""

    index: int
    true: int
    predicted: int
    margin: float


@dataclass(frozen=True)
class Evaluation:
    """The result of running a classifier over a dataset. `confusion[true, predicted]` counts images."""

    images: int
    loss: float
    accuracy: float
    confusion: NDArray[np.int64]
    classes: list[str]
    worst: list[Mistake] = field(default_factory=list)

    @property
    def per_class(self) -> list[ClassScore]:
        """Precision and recall of each class, in the order of `classes`."""
        right = np.diagonal(self.confusion)
        support, called = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return [
            ClassScore(name, int(support[k]), _ratio(right[k], called[k]), _ratio(right[k], support[k]))
            for k, name in enumerate(self.classes)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the single mistakes as plain lists and numbers."""
        return {
            "images": self.images,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "per_class": [
                {"name": s.name, "support": s.support, "precision": s.precision, "recall": s.recall}
                for s in self.per_class
            ],
        }

    def __str__(self) -> str:
        return f"{self.images:,} images: accuracy {self.accuracy:.2%}, loss {self.loss:.4f}"


def measure(
    batches: Iterable[tuple[Array, Array]],
    predict: Predict,
    loss_value: LossValue,
    classes: Sequence[str],
    after_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Run `predict` over all batches (in the dataset's order) and count.

    The loss is the mean over images, not over batches, so a smaller last batch does not weigh more.
    `after_batch` is told how many images each batch had.
    """
    count = len(classes)
    confusion = np.zeros((count, count), dtype=np.int64)
    loss_sum, seen = 0.0, 0
    worst: list[Mistake] = []
    for x, labels in batches:
        output = predict(x)
        loss_sum += loss_value(output, labels) * len(labels)
        predicted = output.argmax(axis=1)
        np.add.at(confusion, (labels, predicted), 1)
        worst = _merge_worst(worst, output, labels, predicted, seen)
        seen += len(labels)
        if after_batch is not None:
            after_batch(len(labels))
    accuracy = float(np.trace(confusion)) / seen if seen else 0.0
    return Evaluation(seen, loss_sum / seen if seen else 0.0, accuracy, confusion, list(classes), worst)


def count_correct(output: Array, labels: Array) -> int:
    """Return how many rows of `output` have their largest value at the label."""
    return int(np.count_nonzero(output.argmax(axis=1) == labels))


def one_hot(labels: Array, classes: int) -> NDArray[np.float32]:
    """Return labels (N,) as rows (N, classes) with a single 1."""
    return np.eye(classes, dtype=np.float32)[labels]


def _merge_worst(worst: list[Mistake], output: Array, labels: Array, predicted: Array, start: int) -> list[Mistake]:
    wrong = np.flatnonzero(predicted != labels)
    if not len(wrong):
        return worst
    margins = output[wrong, predicted[wrong]] - output[wrong, labels[wrong]]
    found = [
        Mistake(start + int(i), int(labels[i]), int(predicted[i]), float(margin))
        for i, margin in zip(wrong, margins, strict=True)
    ]
    return sorted(worst + found, key=lambda mistake: (-mistake.margin, mistake.index))[:WORST_KEPT]


def _ratio(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None
