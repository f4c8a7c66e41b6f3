"""The pointwise functions an equation may apply, each with its derivative.

A derivative is a rule that, given the arguments and the function's own value, builds the factor by which the
incoming gradient is multiplied, one for each argument. `None` marks an argument that passes no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pellucid.notation.expression import Call, Const, Expression, bracket


@dataclass(frozen=True)
class Function:
    """A pointwise function: how many arguments it takes, its derivative by each, how it is typeset."""

    arguments: int
    derivative: Callable[[tuple[Expression, ...], Expression], tuple[Expression | None, ...]]
    latex: str


def _maximum(args: tuple[Expression, ...], value: Expression) -> tuple[Expression, Expression]:
    # Where both are equal the second argument has the gradient: max(x, 0) has slope 0 at 0, as in the notes.
    return bracket(args[0], ">", args[1]), bracket(args[0], "<=", args[1])


def _minimum(args: tuple[Expression, ...], value: Expression) -> tuple[Expression, Expression]:
    return bracket(args[0], "<=", args[1]), bracket(args[0], ">", args[1])


FUNCTIONS: dict[str, Function] = {
    "exp": Function(1, lambda a, y: (y,), r"\exp"),
    "log": Function(1, lambda a, y: (Const(1) / a[0],), r"\log"),
    "sqrt": Function(1, lambda a, y: (Const(1) / (Const(2) * y),), r"\sqrt"),
    "tanh": Function(1, lambda a, y: (Const(1) - y * y,), r"\tanh"),
    "sigmoid": Function(1, lambda a, y: (y * (Const(1) - y),), r"\sigma"),
    "erf": Function(
        1, lambda a, y: (Const(2 / math.sqrt(math.pi)) * Call("exp", (-(a[0] * a[0]),)),), r"\operatorname{erf}"
    ),
    "log1p": Function(1, lambda a, y: (Const(1) / (Const(1) + a[0]),), r"\operatorname{log1p}"),
    "expm1": Function(1, lambda a, y: (y + Const(1),), r"\operatorname{expm1}"),
    "maximum": Function(2, _maximum, r"\max"),
    "minimum": Function(2, _minimum, r"\min"),
    # A constant to the derivation: the maximum subtracted in a softmax changes rounding, not the value.
    "constant": Function(1, lambda a, y: (None,), ""),
    # uniform(seed, stream, step, position): see pellucid.notation.random.
    "uniform": Function(4, lambda a, y: (None, None, None, None), r"\operatorname{uniform}"),
}


def exp(x: Expression) -> Expression:
    """e to the power x."""
    return Call("exp", (x,))


def log(x: Expression) -> Expression:
    """The natural logarithm."""
    return Call("log", (x,))


def expm1(x: Expression) -> Expression:
    """exp(x) - 1, exact where x is near 0."""
    return Call("expm1", (x,))


def log1p(x: Expression) -> Expression:
    """log(1 + x), exact where x is near 0."""
    return Call("log1p", (x,))


def erf(x: Expression) -> Expression:
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return Call("erf", (x,))


def sqrt(x: Expression) -> Expression:
    """The square root."""
    return Call("sqrt", (x,))


def tanh(x: Expression) -> Expression:
    """The hyperbolic tangent."""
    return Call("tanh", (x,))


def sigmoid(x: Expression) -> Expression:
    """1 / (1 + exp(-x)), computed without overflow."""
    return Call("sigmoid", (x,))


def maximum(x: Expression, y: Expression | float) -> Expression:
    """The larger of two values; where they are equal the gradient goes to the second."""
    return Call("maximum", (x, Expression.of(y)))


def minimum(x: Expression, y: Expression | float) -> Expression:
    """The smaller of two values; where they are equal the gradient goes to the first."""
    return Call("minimum", (x, Expression.of(y)))


def constant(x: Expression) -> Expression:
    """The value of x, through which no gradient flows."""
    return Call("constant", (x,))


def uniform(seed: Expression, stream: Expression, step: Expression, position: Expression) -> Expression:
    """A reproducible random number in [0, 1), a function of its four integer arguments alone."""
    return Call("uniform", (seed, stream, step, position))
