"""A cone in exact arithmetic: every number a fraction, where what goes in is rational and all that is computed too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pellucid.errors import UsageError
from pellucid.explain.arithmetic import RATIONALS, simplest
from pellucid.explain.part import Array, Part
from pellucid.notation import Equation, Program, Tensor
from pellucid.notation.expression import Reduce
from pellucid.notation.index import box

MOST = 200_000
"""So many terms are added at most: fractions are slow."""


def run(program: Program, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """All tensors of a program by name, as arrays of fractions; whole numbers of the notation stay whole.

    Raises UsageError where a value is not rational.
    """
    parts = {name: Part.whole(array) for name, array in arrays.items()}
    for equation in program:
        _compute(equation, parts)
    return {name: part.array for name, part in parts.items()}


def check(program: Program) -> None:
    """Raise UsageError for a program in which too much would have to be computed."""
    work = sum(map(_terms, program))
    if work > MOST:
        raise UsageError(f"fractions: {work:,} terms would have to be added, more than {MOST:,}; leave out the option")


def rational(tensor: Tensor, array: Array) -> Array:
    """A tensor's numbers as the fractions that they were meant to be: 0.1 in float32 is 1/10."""
    if tensor.kind == "int":
        return array.astype(np.int64)
    kind = np.float32 if array.dtype == np.float32 else np.float64
    found = np.empty(array.shape, object)
    found.ravel()[:] = [simplest(value, kind) for value in array.ravel()]
    return found


def _compute(equation: Equation, parts: dict[str, Part]) -> None:
    tensor, indices = equation.tensor, equation.indices
    grid = np.meshgrid(*(np.arange(i.size) for i in indices), indexing="ij", sparse=False) if indices else []
    point = dict(zip(indices, grid, strict=True))
    if tensor.name not in parts:
        empty = np.zeros(tensor.extents, np.int64)
        parts[tensor.name] = Part.whole(empty if tensor.kind == "int" else np.asarray(RATIONALS.number(empty), object))
    value = RATIONALS.value(equation.value, point, parts)
    at = tuple(np.asarray(sum((c * point[i] for i, c in a.terms), np.asarray(a.constant))) for a in equation.at)
    parts[tensor.name].array[at] = value


def _terms(equation: Equation) -> int:
    inner = [box(node.indices) for node in equation.value.walk() if isinstance(node, Reduce)]
    return box(equation.indices) * max(1, sum(inner))
