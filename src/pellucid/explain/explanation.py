"""`explain`: from a question in words to a trace and its text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid import losses
from pellucid.explain import locate, text
from pellucid.explain.trace import Trace, trace
from pellucid.explain.values import Question, evaluate
from pellucid.layers.base import Layer
from pellucid.losses import Loss


@dataclass(frozen=True)
class Explanation:
    """One number of a network, opened; `str()` is its text, `trace` the same as data."""

    trace: Trace

    @property
    def value(self) -> float | int:
        """The number itself, computed in float64."""
        return self.trace.value

    def text(self, digits: int = 6) -> str:
        """Plain text, the result with that many significant digits."""
        return text.render(self.trace, digits)

    def __str__(self) -> str:
        return self.text().rstrip("\n")


def explain(
    model: Layer,
    x: npt.ArrayLike,
    what: str,
    target: npt.ArrayLike | None = None,
    loss: str | Loss = "cross_entropy",
    *,
    full: bool = False,
    training: bool = False,
    seed: int = 0,
    step: int = 0,
) -> Explanation:
    """Open one number of a model on a batch x (N, C, H, W) into the arithmetic that gives it.

    `what` names it: "conv2[3,4,5]" a layer's output for image 0, "conv2[7,3,4,5]" for image 7 of the batch,
    "conv1.weight[2,0,1,1]" a parameter, "input[0,12,12]" a pixel, "loss" the loss, and "d ..." the gradient
    of the loss by any of them. Loss and gradients need the target: a label for each image, or what else the
    loss takes.

    Everything is computed in float64. Sums of more than 12 terms show their 8 largest and the sum of the
    others, unless `full`. With `training` the layers behave as while training, at that seed and step.

    Raises UsageError for a number that does not exist, ShapeError for coordinates outside its tensor.
    """
    labels = None if target is None else np.atleast_1d(np.asarray(target))
    question = Question(model, np.asarray(x), labels, losses.get(loss), training, seed, step)
    name, coordinates = locate.parse(what)
    tensor, values = evaluate(question, name)
    place = locate.element(tensor, coordinates, tensor in values.of_images)
    return Explanation(trace(values.program, values.arrays, tensor, place, full=full))
