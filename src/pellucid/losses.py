"""Losses: what training makes small. Each is the mean over the images of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.layers.activation import softmax
from pellucid.layers.base import axes
from pellucid.notation import Tensor, bracket, log, sum_over

Values = npt.NDArray[Any]


class Loss:
    """A loss: `forward` writes its equations for the model's output and a target."""

    name = "loss"

    def target(self, output: Tensor, target: Values) -> Tensor:
        """The tensor for targets like these, checked against the output they belong to.

        Raises ShapeError for targets of the wrong shape, DataError for values that cannot be targets.
        """
        if tuple(target.shape) != output.extents:
            raise ShapeError(
                f"{self.name}: targets of shape {target.shape} do not fit outputs of shape {output.extents}"
            )
        return Tensor("T", output.extents, role="input", name="target", differentiable=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss, a single number."""
        raise UsageError(f"{type(self).__name__} has no equation: define forward(self, output, target)")


class CrossEntropy(Loss):
    """Categorical cross-entropy, on logits (the usual way) or on probabilities.

        L = -sum(n,k) T[n,k] * log(P[n,k]) / N      with P = softmax(Z) and T the one-hot target

    Targets are labels (N,) of whole numbers, or distributions (N, K) whose rows add up to 1. `label_smoothing` e
    replaces T by (1 - e) * T + e / K. On logits log(P) is computed as Z - M - log(S), without tiny probabilities.

    Gradient by the logits: (P - T) / N, the notes' `s - y`.

    Source: the notes `architecture`; label smoothing: Szegedy et al., CVPR 2016.

    Raises UsageError for other options, ShapeError and DataError for targets that do not fit.
    """

    name = "cross_entropy"

    def __init__(self, label_smoothing: float = 0.0, *, inputs: str = "logits") -> None:
        if not 0 <= label_smoothing < 1:
            raise UsageError(
                f"CrossEntropy: label_smoothing must be at least 0 and less than 1; got {label_smoothing!r}"
            )
        if inputs not in ("logits", "probabilities"):
            raise UsageError(f'CrossEntropy: inputs are "logits" or "probabilities"; got {inputs!r}')
        self.label_smoothing = label_smoothing
        self.inputs = inputs

    def target(self, output: Tensor, target: Values) -> Tensor:
        if len(output.extents) != 2:
            raise ShapeError(
                f'cross_entropy expects outputs (N, classes), but "{output.name}" has the shape {output.extents}'
            )
        n, classes = output.extents
        if target.dtype.kind in "iu":
            if target.shape != (n,):
                raise ShapeError(
                    f"cross_entropy: {n} images need {n} labels, but the labels have the shape {target.shape}"
                )
            outside = (target < 0) | (target >= classes)
            if outside.any():
                place = int(np.flatnonzero(outside)[0])
                raise DataError(
                    f"cross_entropy: label {target[place]} of image {place} is not one of the {classes} classes "
                    f"0 to {classes - 1}"
                )
            return Tensor("y", (n,), role="input", kind="int", name="target")
        tensor = super().target(output, target)
        tensor.simplex = True
        if n and np.abs(target.sum(axis=1) - 1).max() > 1e-4:
            raise DataError("cross_entropy: every row of the target must add up to 1, as probabilities do")
        return tensor

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        n, k = axes(output)
        images, classes = output.extents
        wanted = bracket(k, "==", target[n]) if target.kind == "int" else target[n, k]
        if self.label_smoothing:
            smooth = Tensor("T", output.extents, differentiable=False, simplex=True)
            smooth[n, k] = wanted * (1 - self.label_smoothing) + self.label_smoothing / classes
            wanted = smooth[n, k]
        loss = Tensor("L")
        if self.inputs == "probabilities":
            loss[()] = -sum_over([n, k], wanted * log(output[n, k])) / images
            return loss
        m, _, s, p = softmax(output)
        loss[()] = -sum_over([n, k], wanted * (output[n, k] - m[n] - log(s[n]))) / images
        loss.companions = (p,)
        return loss


class OutputCrossEntropy(Loss):
    """The cross-entropy of every output by itself, as in the notes `training`, on probabilities.

        L = -sum(n,k) (T[n,k] * log(P[n,k]) + (1 - T[n,k]) * log(1 - P[n,k])) / N

    Targets are labels (N,) or numbers (N, K) between 0 and 1. Gradient by P: (-T/P + (1-T)/(1-P)) / N.

    Raises ShapeError and DataError for targets that do not fit.
    """

    name = "output_cross_entropy"

    def target(self, output: Tensor, target: Values) -> Tensor:
        if target.dtype.kind in "iu" and target.ndim == 1:
            return CrossEntropy().target(output, target)
        if target.size and (target.min() < 0 or target.max() > 1):
            raise DataError("output_cross_entropy: every target lies between 0 and 1")
        return super().target(output, target)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        every = axes(output)
        loss = Tensor("L")
        if target.kind == "int":
            labels, target = target, Tensor("T", output.extents, differentiable=False)
            target[every] = bracket(every[1], "==", labels[every[0]])
        wanted = target[every]
        # Each half is 0 where its weight is: an exact 0 times an infinite logarithm does not count.
        on = bracket(wanted, ">", 0) * wanted * log(output[every])
        off = bracket(wanted, "<", 1) * (1 - wanted) * log(1 - output[every])
        loss[()] = -sum_over(every, on + off) / output.extents[0]
        return loss


class MeanSquaredError(Loss):
    """The mean of the squared differences, over all elements.

        L = sum(n,k) (Y[n,k] - T[n,k])^2 / (N*K)

    Gradient: 2 * (Y - T) / (N*K). Raises ShapeError when target and output differ in shape.
    """

    name = "mse"

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        every = axes(output)
        loss = Tensor("L")
        loss[()] = sum_over(every, (output[every] - target[every]) ** 2) / output.size
        return loss


def names() -> tuple[str, ...]:
    """The names that `loss=` accepts."""
    return CrossEntropy.name, OutputCrossEntropy.name, MeanSquaredError.name


def get(loss: str | Loss, *, label_smoothing: float = 0.0) -> Loss:
    """A loss by name; `label_smoothing` is cross-entropy's. UsageError for unknown names, or another loss smoothed."""
    if label_smoothing and loss != CrossEntropy.name:
        raise UsageError(f"label_smoothing is for {CrossEntropy.name}, but the loss is {loss!r}")
    if isinstance(loss, Loss):
        return loss
    if loss == CrossEntropy.name:
        return CrossEntropy(label_smoothing)
    for kind in (OutputCrossEntropy, MeanSquaredError):
        if kind.name == loss:
            return kind()
    raise UsageError(f"unknown loss {loss!r}: choose one of {', '.join(names())}")
