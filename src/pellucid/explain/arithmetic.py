"""The value of an expression at given values of its indices, computed apart from any engine.

Indices may stand for whole arrays of values, so that the terms of a long sum are computed together. As in
the notation, a read outside its tensor gives 0 (or -infinity under a maximum), and a false bracket is
strongly zero. The numbers are float64, or exact rationals in arrays of objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from pellucid.errors import NotationError, UsageError
from pellucid.explain.part import Array, Parts
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

Point = Mapping[Index, Array | int]

NOWHERE: Point = {}
NOTHING: Parts = {}


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
RATIONAL_FUNCTIONS = {"maximum": np.maximum, "minimum": np.minimum, "constant": lambda x: x}
RELATIONS: dict[str, Any] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True)
class Arithmetic:
    """How numbers are represented: as float64, or `exact` as fractions."""

    exact: bool = False

    def value(self, node: Expression, point: Point = NOWHERE, parts: Parts = NOTHING) -> Array:
        """The value at a point: one number, or an array where indices stand for arrays; brackets give 0 or 1.

        Raises UsageError where exact arithmetic meets a function whose values are not rational.
        """
        with np.errstate(all="ignore"):  # infinity and not-a-number are values here, as in the engines
            return self._value(node, point, parts)

    def bodies(self, node: Reduce, point: Point, parts: Parts) -> Array:
        """What a sum or maximum runs over, in the order of its indices, along a last axis of its own."""
        size = box(node.indices)
        steps = np.unravel_index(np.arange(size), [i.size for i in node.indices])
        outer = {index: np.asarray(at)[..., None] for index, at in point.items()}
        inner = dict(zip(node.indices, steps, strict=True))
        body = self.value(node.body, {**outer, **inner}, parts)
        lead = np.broadcast_shapes(*(np.shape(at) for at in point.values()))
        return np.broadcast_to(body, (*lead, size))

    def number(self, value: object) -> Array:
        """Constants, positions and brackets, which are whole or decimal, as numbers of this arithmetic."""
        array = np.asarray(value)
        if not self.exact:
            return array if array.dtype.kind in "iub" else np.asarray(array, np.float64)
        return np.asarray(_to_fraction(array), object)

    def _value(self, node: Expression, point: Point, parts: Parts) -> Array:
        match node:
            case Const(number):
                return self.number(number if isinstance(number, int) or self.exact else float(number))
            case Position(affine):
                return self.number(place(affine, point))
            case Access():
                return read(node, point, parts)
            case Add(terms):
                return self._real(sum(self._value(term, point, parts) for term in terms))
            case Mul():
                return self._product(node, Const(1), point, parts)
            case Div(numerator, denominator):
                return self._product(numerator, denominator, point, parts)
            case Pow(base, exponent):
                return self._power(node, self._value(base, point, parts), self._value(exponent, point, parts))
            case Call(function, args):
                return self._call(function, [self._value(a, point, parts) for a in args])
            case Bracket(left, relation, right):
                holds = RELATIONS[relation](self._value(left, point, parts), self._value(right, point, parts))
                return self.number(np.asarray(holds, np.int64))
            case Reduce(kind):
                return reduced(kind, self.bodies(node, point, parts))
        raise NotationError(f"no arithmetic for {type(node).__name__}")

    def _real(self, value: object) -> Array:
        return np.asarray(value, object if self.exact else np.float64)

    def _power(self, node: Expression, base: Array, exponent: Array) -> Array:
        if self.exact and any(Fraction(e).denominator != 1 for e in np.ravel(exponent)):
            raise UsageError(f"fractions: the power {node} is not rational; leave out the option")
        return self._real(np.power(self._real(base), exponent))

    def _call(self, function: str, args: list[Array]) -> Array:
        if self.exact and function not in RATIONAL_FUNCTIONS:
            raise UsageError(f"fractions: the values of {function} are not rational; leave out the option")
        if function == "uniform":
            return np.asarray(uniform(*args), np.float64)
        return self._real(FUNCTIONS[function](*map(self._real, args)))

    def _product(self, numerator: Expression, denominator: Expression, point: Point, parts: Parts) -> Array:
        """A product over another expression; 0 where a bracket in it is false, whatever the factors are."""
        factors = _factors(numerator)
        one = self.number(1) if self.exact else np.asarray(1.0)
        value = reduce(np.multiply, (self._value(f, point, parts) for f in factors), one)
        if denominator != Const(1):
            value = np.divide(value, self._value(denominator, point, parts))
        brackets = [self._value(f, point, parts) == 1 for f in factors if isinstance(f, Bracket)]
        if not brackets:
            return np.asarray(value)
        return np.asarray(np.where(reduce(np.logical_and, brackets), value, self.number(0)))


FLOATS, RATIONALS = Arithmetic(), Arithmetic(exact=True)


def simplest(value: Fraction | float | int, dtype: type[np.floating[Any]] = np.float64) -> Fraction:
    """The fraction that a number was meant to be: the simplest one that rounds to it, or else the number itself."""
    if isinstance(value, Fraction | int | np.integer):
        return Fraction(value)
    exactly = Fraction(float(value))
    for limit in (1, 10, 100, 1000):
        candidate = exactly.limit_denominator(limit)
        if dtype(float(candidate)) == dtype(value):
            return candidate
    return exactly


_to_fraction = np.frompyfunc(lambda value: simplest(value) if math.isfinite(value) else value, 1, 1)


def place(affine: Affine, point: Point) -> Array:
    """An affine expression's value at a point."""
    total = np.asarray(affine.constant, np.int64)
    for index, coefficient in affine.terms:
        total = total + coefficient * np.asarray(point[index], np.int64)
    return np.asarray(total)


def read(access: Access, point: Point, parts: Parts) -> Array:
    """The elements an access reads; `access.outside` where it leaves its tensor."""
    part = parts[access.tensor.name]
    at = [place(affine, point) for affine in access.at]
    inside = [(a >= 0) & (a < extent) for a, extent in zip(at, access.tensor.extents, strict=True)]
    near = zip(at, part.origin, part.array.shape, strict=True)
    found = part.array[tuple(np.clip(a - first, 0, extent - 1) for a, first, extent in near)]
    if not at or all(np.all(i) for i in inside):
        return np.asarray(found)
    outside: Any = access.outside if found.dtype != object or access.outside else Fraction(0)
    return np.asarray(np.where(reduce(np.logical_and, inside), found, outside))


def reduced(kind: str, values: Array) -> Array:
    """The sum, maximum or place of the first maximum along the last axis."""
    if kind == "sum":
        return np.asarray(values.sum(axis=-1), object if values.dtype == object else np.float64)
    return np.asarray(values.max(axis=-1) if kind == "max" else values.argmax(axis=-1))


def _factors(node: Expression) -> list[Expression]:
    if isinstance(node, Mul):
        return [f for factor in node.factors for f in _factors(factor)]
    return [node]
