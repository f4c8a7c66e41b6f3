"""Losses: one value for a batch, and its gradient by the output."""

import math

import numpy as np
import numpy.typing as npt

from tests.oracles.result import Array, flat


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> Array:
    """Labels (N,) as rows with a single 1."""
    rows = np.zeros((len(labels), classes))
    for n, label in enumerate(labels.tolist()):
        rows[n, label] = 1.0
    return rows


def _targets(target: npt.NDArray[np.generic], classes: int) -> Array:
    return one_hot(target.astype(np.int64), classes) if target.ndim == 1 else target.astype(np.float64)


def cross_entropy(z: Array, target: npt.NDArray[np.generic], *, label_smoothing: float = 0.0) -> tuple[float, Array]:
    """-sum(t log softmax(z)), the mean over the batch; smoothing blends the target with 1 / K."""
    batch, classes = z.shape
    targets = _targets(target, classes)
    total, dz = 0.0, np.zeros(z.shape)
    for n in range(batch):
        row = flat(z[n])
        largest = max(row)
        log_sum = largest + math.log(math.fsum(math.exp(e - largest) for e in row))
        wanted = [(1 - label_smoothing) * t + label_smoothing / classes for t in flat(targets[n])]
        weight = math.fsum(wanted)
        for k in range(classes):
            total -= wanted[k] * (row[k] - log_sum)
            dz[n, k] = (weight * math.exp(row[k] - log_sum) - wanted[k]) / batch
    return total / batch, dz


def output_cross_entropy(o: Array, target: npt.NDArray[np.generic]) -> tuple[float, Array]:
    """The notes' -(y log o + (1 - y) log(1 - o)), summed over every output, the mean over the batch."""
    batch, outputs = o.shape
    targets = _targets(target, outputs)
    total, do = 0.0, np.zeros(o.shape)
    for n in range(batch):
        for k in range(outputs):
            p, t = float(o[n, k]), float(targets[n, k])
            total -= t * math.log(p) + (1 - t) * math.log(1 - p)
            do[n, k] = (-t / p + (1 - t) / (1 - p)) / batch
    return total / batch, do


def mean_squared_error(o: Array, target: npt.NDArray[np.generic]) -> tuple[float, Array]:
    """(o - y)**2, the mean over all elements."""
    targets = _targets(target, o.shape[1])
    total, do = 0.0, np.zeros(o.shape)
    for at in np.ndindex(*o.shape):
        difference = float(o[at]) - float(targets[at])
        total += difference * difference
        do[at] = 2 * difference / o.size
    return total / o.size, do
