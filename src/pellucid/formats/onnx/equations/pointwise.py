"""Operators that work value by value, with operands spread to a common shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

from pellucid.errors import UsageError
from pellucid.formats.onnx.rules import (
    Attributes,
    Operand,
    Rule,
    broadcast,
    given,
    known,
    number,
    optional,
    places,
    required,
    spread,
    unary,
)
from pellucid.notation import (
    Access,
    Expression,
    Tensor,
    bracket,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    sigmoid,
    sqrt,
    tanh,
)
from pellucid.notation.expression import Const, Pow


def _elu(x: Expression, scale: float, inner: float = 1.0) -> Expression:
    """X above 0, scale * (exp(X / inner) - 1) below."""
    below = minimum(x, 0)
    return maximum(x, 0) + scale * expm1(below if inner == 1 else below / inner)


def _softplus(x: Expression) -> Expression:
    """log(1 + exp(X)), without overflow."""
    return maximum(x, 0) + log1p(exp(-_absolute(x)))


def _absolute(x: Expression) -> Expression:
    return maximum(x, -x)


def _hard_sigmoid(x: Expression, alpha: float, beta: float) -> Expression:
    return maximum(minimum(alpha * x + beta, 1), 0)


def _gelu(attributes: Attributes, x: Access) -> Expression:
    """x times the share of a normal distribution below x, or the usual approximation of it by tanh."""
    if attributes.text("approximate", "none") == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def _shrink(attributes: Attributes, x: Access) -> Expression:
    limit, bias = attributes.real("lambd", 0.5), attributes.real("bias", 0.0)
    return bracket(x, "<", -limit) * (x + bias) + bracket(x, ">", limit) * (x - bias)


UNARY: dict[str, Callable[[Attributes, Access], Expression]] = {
    "Abs": lambda a, x: _absolute(x),
    "Acosh": lambda a, x: log(x + sqrt(x * x - 1)),
    "Asinh": lambda a, x: log(x + sqrt(x * x + 1)),
    "Atanh": lambda a, x: (log1p(x) - log1p(-x)) / 2,
    "Celu": lambda a, x: _elu(x, a.real("alpha", 1.0), a.real("alpha", 1.0)),
    "Cosh": lambda a, x: (exp(x) + exp(-x)) / 2,
    "Elu": lambda a, x: _elu(x, a.real("alpha", 1.0)),
    "Erf": lambda a, x: erf(x),
    "Exp": lambda a, x: exp(x),
    "Gelu": _gelu,
    "HardSigmoid": lambda a, x: _hard_sigmoid(x, a.real("alpha", 0.2), a.real("beta", 0.5)),
    "HardSwish": lambda a, x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "LeakyRelu": lambda a, x: maximum(x, 0) + a.real("alpha", 0.01) * minimum(x, 0),
    "Log": lambda a, x: log(x),
    "Mish": lambda a, x: x * tanh(_softplus(x)),
    "Neg": lambda a, x: -x,
    "Reciprocal": lambda a, x: 1 / x,
    "Relu": lambda a, x: maximum(x, 0),
    "Selu": lambda a, x: a.real("gamma", 1.0507009873554805) * _elu(x, a.real("alpha", 1.6732632423543772)),
    "Shrink": _shrink,
    "Sigmoid": lambda a, x: sigmoid(x),
    "Sign": lambda a, x: bracket(x, ">", 0) - bracket(x, "<", 0),
    "Sinh": lambda a, x: (expm1(x) - expm1(-x)) / 2,
    "Softplus": lambda a, x: _softplus(x),
    "Softsign": lambda a, x: x / (1 + _absolute(x)),
    "Sqrt": lambda a, x: sqrt(x),
    "Swish": lambda a, x: x * sigmoid(a.real("alpha", 1.0) * x),
    "Tanh": lambda a, x: tanh(x),
    "ThresholdedRelu": lambda a, x: bracket(x, ">", a.real("alpha", 1.0)) * x,
}


def spread_over(function: Callable[[list[Expression]], Expression], least: int) -> Rule:
    """The rule of a function of several values, spread to a common shape."""

    def equations(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
        tensors = given(operands, least)
        every = places(broadcast([x.extents for x in tensors]))
        y = Tensor("Y", tuple(index.size for index in every))
        y[every] = function([spread(x, every) for x in tensors])
        return [y]

    return Rule(equations, learned=tuple(range(least)))


def _power(values: list[Expression]) -> Expression:
    """A power; an exponent that is not a known number takes the way through the logarithm, as the notation has it."""
    base, exponent = values
    return Pow(base, exponent) if isinstance(exponent, Const) else exp(exponent * log(base))


NARY: dict[str, tuple[Callable[[list[Expression]], Expression], int]] = {
    "Add": (lambda v: v[0] + v[1], 2),
    "Div": (lambda v: v[0] / v[1], 2),
    "Max": (lambda v: reduce(maximum, v), 1),
    "Mean": (lambda v: reduce(lambda a, b: a + b, v) / len(v), 1),
    "Min": (lambda v: reduce(minimum, v), 1),
    "Mul": (lambda v: v[0] * v[1], 2),
    "PRelu": (lambda v: maximum(v[0], 0) + v[1] * minimum(v[0], 0), 2),
    "Sub": (lambda v: v[0] - v[1], 2),
    "Sum": (lambda v: reduce(lambda a, b: a + b, v), 1),
}


def _clip(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """The nearest value between two limits, which are attributes in sets before 11, operands later."""
    x = required(operands, 0)
    y, every = Tensor("Y"), places(x.extents)
    value: Expression = x[every]
    for place, name, bound in ((1, "min", maximum), (2, "max", minimum)):
        limit = optional(operands, place)
        if limit is not None:
            value = bound(value, spread(limit, every))
        elif name in attributes.values:
            value = bound(value, attributes.real(name, 0.0))
    y[every] = value
    return [y]


def _identity(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    return [required(operands, 0)]


def _cast(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Numbers stay what they are from one floating-point type to another; integers become floating-point numbers."""
    x = required(operands, 0)
    if attributes.integer("to", 1) not in _FLOATS:
        raise UsageError("a value that is computed can be cast to a floating-point type only")
    if x.kind == "float":
        return [x]
    y, every = Tensor("Y"), places(x.extents)
    y[every] = x[every] * 1.0
    return [y]


def _dropout(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """At inference nothing is dropped; the mask is all ones."""
    x, ratio, training = required(operands, 0), known(operands, 1), known(operands, 2)
    share = attributes.real("ratio", 0.5) if ratio is None else number(ratio)
    if training is not None and number(training) and share:
        raise UsageError("Dropout in training mode drops at random; models are read as at inference")
    mask, every = Tensor("K", kind="int"), places(x.extents)
    mask[every] = Expression.of(1)
    return [x, mask]


_FLOATS = {1, 10, 11, 16}  # FLOAT, FLOAT16, DOUBLE and BFLOAT16 in TensorProto.DataType


RULES: dict[str, Rule] = {
    **{name: unary(function) for name, function in UNARY.items()},
    **{name: spread_over(function, least) for name, (function, least) in NARY.items()},
    "Cast": Rule(_cast),
    "Clip": Rule(_clip),
    "Dropout": Rule(_dropout, static=(1, 2), outputs=2),
    "Identity": Rule(_identity),
    "Pow": Rule(spread_over(_power, 2).equations),
}
