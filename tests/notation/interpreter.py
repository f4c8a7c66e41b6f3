"""A scalar interpreter of programs: plain loops over every index, one number at a time.

It shares no arithmetic with the engines. Given complex numbers it carries derivatives along: the imaginary part of
f(x + ih) / h is f'(x) to full precision, without the cancellation of differences.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.notation import Affine, Equation, Index, Program, Tensor
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

Array = npt.NDArray[Any]
Point = Mapping[Index, int]
STEP = 1e-20
FUNCTIONS = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh, "expm1": np.expm1, "log1p": np.log1p,
    "erf": np.vectorize(math.erf),
}  # fmt: skip


def points(indices: Iterable[Index]) -> Iterator[dict[Index, int]]:
    """Every value of the indices, the last one running fastest."""
    indices = tuple(indices)
    for values in itertools.product(*(range(i.size) for i in indices)):
        yield dict(zip(indices, values, strict=True))


def place(at: Iterable[Affine], point: Point) -> tuple[int, ...]:
    """The element that an address means at one point."""
    return tuple(a.constant + sum(c * point[i] for i, c in a.terms) for a in at)


def inside(at: tuple[int, ...], tensor: Tensor) -> bool:
    return all(0 <= k < extent for k, extent in zip(at, tensor.extents, strict=True))


def interpret(program: Program, arrays: Mapping[str, Array], number: type = np.float64) -> dict[str, Array]:
    """The program's outputs."""
    values = dict(arrays)
    with np.errstate(all="ignore"):
        for equation in program.equations:
            run(equation, values, number)
    return {t.name: values[t.name] for t in program.outputs}


def run(equation: Equation, values: dict[str, Array], number: type) -> None:
    """Write one equation's tensor."""
    tensor = equation.tensor
    if tensor.name not in values:
        values[tensor.name] = np.zeros(tensor.extents, number if tensor.kind == "float" else np.int64)
    for point in points(equation.indices):
        values[tensor.name][place(equation.at, point)] = evaluate(equation.value, point, values, number)


def evaluate(node: Expression, point: Point, values: Mapping[str, Array], number: type) -> Any:
    """One number: a node's value at one point."""

    def of(child: Expression) -> Any:
        return evaluate(child, point, values, number)

    match node:
        case Const(value):
            return number(float(value))
        case Position(affine):
            return number(place([affine], point)[0])
        case Access(tensor, at, outside):
            where = place(at, point)
            return values[tensor.name][where] if inside(where, tensor) else number(outside)
        case Add(terms):
            return sum((of(t) for t in terms[1:]), of(terms[0]))
        case Mul(factors):
            return product([of(f) for f in factors if not closed(f, of)], any(closed(f, of) for f in factors), number)
        case Div(numerator, denominator):
            return number(0) if closed(numerator, of) else of(numerator) / of(denominator)
        case Pow(base, exponent):
            return of(base) ** of(exponent)
        case Bracket(left, relation, right):
            return number(holds(of(left), relation, of(right)))
        case Call(function, args):
            return call(function, [of(a) for a in args], number)
        case Reduce(kind, over, body):
            found = [evaluate(body, {**point, **more}, values, number) for more in points(over)]
            return reduced(kind, found, number)
    raise TypeError(f"no meaning for {type(node).__name__}")


def closed(node: Expression, of: Any) -> bool:
    """Whether a false bracket among the factors makes the product 0, whatever else is in it."""
    match node:
        case Bracket():
            return bool(of(node) == 0)
        case Mul(factors):
            return any(closed(f, of) for f in factors)
        case Div(numerator, _):
            return closed(numerator, of)
    return False


def product(factors: list[Any], is_closed: bool, number: type) -> Any:
    result = number(1)
    for factor in factors:
        result = result * factor
    return number(0) if is_closed else result


def holds(left: Any, relation: str, right: Any) -> bool:
    a, b = left.real, right.real
    return bool({"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[relation])


def call(function: str, args: list[Any], number: type) -> Any:
    if function == "sigmoid":
        return 1 / (1 + np.exp(-args[0]))
    if function == "maximum":
        return larger(args[0], args[1])
    if function == "minimum":
        return -larger(-args[0], -args[1])
    if function == "constant":
        return number(args[0].real)
    return FUNCTIONS[function](args[0])


def larger(a: Any, b: Any) -> Any:
    if np.isnan(a) or np.isnan(b):
        return a + b
    return a if a.real > b.real else b


def reduced(kind: str, found: list[Any], number: type) -> Any:
    if kind == "sum":
        return sum(found[1:], found[0])
    best = 0
    for k, value in enumerate(found):
        if not np.isnan(found[best]) and (np.isnan(value) or value.real > found[best].real):
            best = k
    return found[best] if kind == "max" else best


def slope(program: Program, arrays: Mapping[str, Array], direction: Mapping[str, Array], weight: Array) -> float:
    """The derivative of `sum(weight * output)` along a direction; the program has one output."""
    moved = {
        name: array.astype(complex) + 1j * STEP * direction[name] if name in direction else array
        for name, array in arrays.items()
    }
    (output,) = interpret(program, moved, complex).values()
    return float(np.sum((output.imag / STEP) * weight))
