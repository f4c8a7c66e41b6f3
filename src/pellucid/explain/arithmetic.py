"""The value of an expression at given values of its indices, computed apart from any engine.

Indices may stand for whole arrays of values, so that the terms of a long sum are computed together. As in
the notation, a read outside its tensor gives 0 (or -infinity under a maximum), and a false bracket is
strongly zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import NotationError
from pellucid.notation.expression import (
    Access,
    Add,
    Bracket,
    Call,
    Const,
    Div,
    Expression,
    Mul,
    Position,
    Pow,
    Reduce,
)
from pellucid.notation.index import Affine, Index, box
from pellucid.notation.random import uniform

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Point = Mapping[Index, Array | int]

NOWHERE: Point = {}


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


FUNCTIONS: dict[str, Any] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "erf": np.vectorize(math.erf, [np.float64]),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "constant": lambda x: x,
}
RELATIONS: dict[str, Any] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def value(node: Expression, point: Point = NOWHERE, arrays: Arrays | None = None) -> Array:
    """The value at a point: one number, or an array where indices stand for arrays; brackets give 0 or 1."""
    with np.errstate(all="ignore"):  # infinity and not-a-number are values here, as in the engines
        return _value(node, point, arrays or {})


def _value(node: Expression, point: Point, arrays: Arrays) -> Array:
    match node:
        case Const(number):
            return np.asarray(number if isinstance(number, int) else float(number))
        case Position(affine):
            return place(affine, point)
        case Access():
            return read(node, point, arrays)
        case Add(terms):
            return np.asarray(sum(_value(term, point, arrays) for term in terms), np.float64)
        case Mul():
            return _product(node, Const(1), point, arrays)
        case Div(numerator, denominator):
            return _product(numerator, denominator, point, arrays)
        case Pow(base, exponent):
            power = np.asarray(_value(base, point, arrays), np.float64)
            return np.asarray(np.power(power, _value(exponent, point, arrays)))
        case Call("uniform", args):
            return np.asarray(uniform(*(_value(a, point, arrays) for a in args)), np.float64)
        case Call(function, args):
            numbers = [np.asarray(_value(a, point, arrays), np.float64) for a in args]
            return np.asarray(FUNCTIONS[function](*numbers))
        case Bracket(left, relation, right):
            holds = RELATIONS[relation](_value(left, point, arrays), _value(right, point, arrays))
            return np.asarray(holds, np.int64)
        case Reduce(kind):
            return reduced(kind, bodies(node, point, arrays))
    raise NotationError(f"no arithmetic for {type(node).__name__}")


def place(affine: Affine, point: Point) -> Array:
    """An affine expression's value at a point."""
    total = np.asarray(affine.constant, np.int64)
    for index, coefficient in affine.terms:
        total = total + coefficient * np.asarray(point[index], np.int64)
    return np.asarray(total)


def read(access: Access, point: Point, arrays: Arrays) -> Array:
    """The elements an access reads; `access.outside` where it leaves its tensor."""
    array = arrays[access.tensor.name]
    at = [place(affine, point) for affine in access.at]
    inside = [(a >= 0) & (a < extent) for a, extent in zip(at, array.shape, strict=True)]
    found = array[tuple(np.clip(a, 0, extent - 1) for a, extent in zip(at, array.shape, strict=True))]
    return np.asarray(np.where(reduce(np.logical_and, inside), found, access.outside) if at else found)


def bodies(node: Reduce, point: Point, arrays: Arrays) -> Array:
    """What a sum or maximum runs over, in the order of its indices, along a last axis of its own."""
    size = box(node.indices)
    steps = np.unravel_index(np.arange(size), [i.size for i in node.indices])
    outer = {index: np.asarray(at)[..., None] for index, at in point.items()}
    inner = dict(zip(node.indices, steps, strict=True))
    body = value(node.body, {**outer, **inner}, arrays)
    lead = np.broadcast_shapes(*(np.shape(at) for at in point.values()))
    return np.broadcast_to(body, (*lead, size))


def reduced(kind: str, values: Array) -> Array:
    """The sum, maximum or place of the first maximum along the last axis."""
    if kind == "sum":
        return np.asarray(values.sum(axis=-1), np.float64)
    return np.asarray(values.max(axis=-1) if kind == "max" else values.argmax(axis=-1))


def _product(numerator: Expression, denominator: Expression, point: Point, arrays: Arrays) -> Array:
    """A product over another expression; 0 where a bracket in it is false, whatever the factors are."""
    factors = _factors(numerator)
    number = reduce(np.multiply, (_value(f, point, arrays) for f in factors), np.asarray(1.0))
    if denominator != Const(1):
        number = np.divide(number, _value(denominator, point, arrays))
    brackets = [_value(f, point, arrays) == 1 for f in factors if isinstance(f, Bracket)]
    return np.asarray(np.where(reduce(np.logical_and, brackets), number, 0.0) if brackets else number)


def _factors(node: Expression) -> list[Expression]:
    if isinstance(node, Mul):
        return [f for factor in node.factors for f in _factors(factor)]
    return [node]
