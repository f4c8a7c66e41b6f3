"""The proof of a gradient: the slope of the loss as differences see it, and how far rounding can have led astray."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from pellucid.errors import UsageError
from pellucid.explain.arithmetic import FLOATS
from pellucid.explain.part import Number
from pellucid.explain.trace import Literal, Node, Operation, Read, Reduction, Trace, with_numbers
from pellucid.explain.values import Source
from pellucid.notation import Tensor
from pellucid.notation.expression import Add, Const, Div, Mul

STEPS = (1e-5, 1e-7)
"""How far the element is moved to either side, relative to its size where that exceeds 1.

The first step serves a smooth loss. Where moving the element makes some maximum or ReLU of a deep network change
sides, the difference sees a corner that the gradient does not; the smaller step meets fewer of them.
"""

GOOD = 1e-6
"""A difference quotient that is this close, relatively, is not improved."""

ROUNDOFF = {"float64": sys.float_info.epsilon / 2, "float32": float(np.finfo(np.float32).eps) / 2}
"""The largest relative error of one rounding."""


@dataclass(frozen=True)
class Difference:
    """The loss with an element moved by `step` to either side."""

    step: float
    above: float
    below: float

    @property
    def slope(self) -> float:
        """(L(+step) - L(-step)) / (2 step)."""
        return (self.above - self.below) / (2 * self.step)

    @property
    def rounding(self) -> float:
        """How far the slope is off if each of the two losses is off by a last digit, its own or that of 1.

        A loss of 0 is no exact one: it is what is left of larger numbers.
        """
        return 2 * ROUNDOFF["float64"] * max(1.0, abs(self.above), abs(self.below)) / self.step

    def is_enough(self, gradient: float, step: float) -> bool:
        """Whether the slope agrees, or another step's would be further off by rounding alone."""
        apart = abs(self.slope - gradient)
        return apart <= max(GOOD * abs(gradient), self.rounding * self.step / step)


@dataclass(frozen=True)
class Proof:
    """What stands beside a gradient.

    `difference` is the loss's central difference; `reference` the number as the engine computes it in float64, whole
    arrays at a time; `bounds` how far the last equation, computed from the same operands in float64 or float32, can be
    from its exact value by rounding alone.
    """

    difference: Difference
    reference: Number
    bounds: dict[str, float]

    @property
    def slope(self) -> float:
        return self.difference.slope

    def disagreement(self, value: Number) -> float:
        """How far the slope is from the gradient, relative to the larger of them (0 for equal numbers)."""
        return relative_difference(float(value), self.slope)


def prove(source: Source, trace: Trace, tensor: Tensor, coordinates: tuple[int, ...], reference: Number) -> Proof:
    """The proof of a traced gradient of the loss by an element of a forward tensor."""
    loss = source.loss
    if loss is None:
        raise UsageError("a gradient is proved by the loss: say the target")
    here = source.whole(tensor) if tensor.definition else np.array(source.given(tensor), np.float64)
    run = source.prepare({loss: ()}, known=[tensor])

    def moved(by: float) -> float:
        array = np.array(here, np.float64)
        array[coordinates] += by
        return float(array if tensor is loss else run({tensor: array})[loss.name].array)

    best: Difference | None = None
    for step in (s * max(1.0, abs(float(here[coordinates]))) for s in STEPS):
        if best is not None and best.is_enough(float(trace.value), step):
            break
        found = Difference(step, moved(step), moved(-step))
        best = found if best is None else min(best, found, key=lambda d: abs(d.slope - float(trace.value)))
    assert best is not None
    bounds = {kind: 0.0 if trace.tree is None else rounding_bound(trace.tree, unit) for kind, unit in ROUNDOFF.items()}
    return Proof(best, reference, bounds)


def relative_difference(one: float, other: float) -> float:
    """How far apart two numbers are, relative to the larger of them; 0 for equal ones."""
    largest = max(abs(one), abs(other))
    return abs(one - other) / largest if largest else 0.0


def rounding_bound(node: Node, unit: float) -> float:
    """The largest error of a node's value by rounding, its operands being as they are, to first order in `unit`.

    Each operation adds the rounding of its result to what its operands' errors become in it; n terms added one
    after another round n - 1 times, none by more than the sum of their sizes.
    Source: Higham, "Accuracy and stability of numerical algorithms", chapters 3 and 4.
    """
    if isinstance(node, Reduction):
        return _reduction_bound(node, unit)
    if not isinstance(node, Operation):
        assert isinstance(node, Read | Literal)
        return 0.0
    errors = [rounding_bound(part, unit) for part in node.parts]
    sizes = [abs(float(part.value)) for part in node.parts]
    match node.expression:
        case Add():
            return sum(errors) + unit * (len(sizes) - 1) * sum(sizes)
        case Mul():
            product = float(np.prod(sizes))
            grown = sum(e * float(np.prod(sizes[:k] + sizes[k + 1 :])) for k, e in enumerate(errors))
            return grown + unit * (len(sizes) - 1) * product
        case Div():
            quotient = abs(float(node.value))
            return errors[0] / sizes[1] + quotient * errors[1] / sizes[1] + unit * quotient if sizes[1] else 0.0
    return _moved_by_errors(node, errors) + 2 * unit * abs(float(node.value))


def _reduction_bound(node: Reduction, unit: float) -> float:
    own = [rounding_bound(term.body, unit) for term in node.terms]
    if node.kind != "sum":
        return max(own, default=0.0)
    sizes = [abs(float(term.body.value)) for term in node.terms]
    # No folded term is larger than the smallest shown, nor rounds worse than the worst shown.
    size = sum(sizes) + node.folded * min(sizes, default=0.0)
    return sum(own) + node.folded * max(own, default=0.0) + unit * (node.size - 1) * size


def _moved_by_errors(node: Operation, errors: list[float]) -> float:
    """How far a function's value moves when its arguments are off by their errors, each by itself."""
    moved = 0.0
    for k, error in enumerate(errors):
        for sign in (1, -1):
            parts = tuple(
                Literal(Const(v), v)
                for v in (float(p.value) + (sign * error if j == k else 0.0) for j, p in enumerate(node.parts))
            )
            there = float(FLOATS.value(with_numbers(Operation(node.expression, 0, parts))))
            moved = max(moved, abs(there - float(node.value))) if np.isfinite(there) else moved
    return moved
