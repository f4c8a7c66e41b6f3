"""What an equation reads for the elements of a box: index ranges, followed from the left-hand side to each access.

The indices that share a dimension or a bracket are enumerated together, all others apart from each other, so that the
cost is that of the windows and not that of the sums.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from pellucid.look.region import Box, Coordinates, boxes_of
from pellucid.notation import Affine, Equation, Index, Tensor
from pellucid.notation.expression import Access, Bracket, Const, Div, Expression, Mul, Position

RELATIONS = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip

SPATIAL = 2
"""Dimensions before this one count images and channels, which no padding surrounds."""


@dataclass(frozen=True)
class Reading:
    """One access of an equation, with the brackets on positions that must hold where it counts."""

    equation: Equation
    access: Access
    conditions: tuple[Bracket, ...]
    _known: dict[tuple[object, ...], list[dict[int, Coordinates]]] = field(default_factory=dict, compare=False)

    @property
    def tensor(self) -> Tensor:
        return self.access.tensor

    @cached_property
    def groups(self) -> list[tuple[Index, ...]]:
        """The indices in groups that have nothing to do with each other."""
        together = [set(a.indices) for a in (*self.equation.at, *self.access.at)]
        together += [{i for a in _affines(c) for i in a.indices} for c in self.conditions]
        groups: list[set[Index]] = []
        for indices in filter(None, together):
            touching = [g for g in groups if g & indices]
            groups = [g for g in groups if not g & indices] + [indices.union(*touching)]
        return [tuple(sorted(group, key=lambda i: i.name)) for group in groups]

    def boxes(self, box: Box, clip: bool) -> Iterator[Box]:
        """The elements read for a box of elements written.

        With `clip` only those inside the tensor; otherwise also what lies before and beyond it in the dimensions of
        space, as if the image went on for ever.
        """
        for side, affine in zip(box, self.equation.at, strict=True):
            if not affine.terms and affine.constant not in side:
                return
        parts = []
        for number, group in enumerate(self.groups):
            # The same sides come again and again: all channels, the same few rows.
            key = (number, clip, *(box[d].tobytes() for d in self._written_by(group)))
            if key not in self._known:
                self._known[key] = self._group(group, box, clip)
            if not self._known[key]:
                return
            parts.append(self._known[key])
        fixed = {d: np.array([a.constant]) for d, a in enumerate(self.access.at) if not a.terms}
        if clip and any(not 0 <= side[0] < self.tensor.extents[d] for d, side in fixed.items()):
            return
        for choice in product(*parts):
            sides = fixed | {d: side for part in choice for d, side in part.items()}
            yield tuple(sides[d] for d in range(len(self.access.at)))

    def _group(self, group: tuple[Index, ...], box: Box, clip: bool) -> list[dict[int, Coordinates]]:
        """The coordinates that a group of indices reaches in the dimensions that it addresses."""
        grid = np.meshgrid(*(self._values(index, box, clip) for index in group), indexing="ij")
        point = {index: values.ravel() for index, values in zip(group, grid, strict=True)}
        holds = np.ones(grid[0].size, bool)
        for side, affine in zip(box, self.equation.at, strict=True):
            if len(affine.terms) > 1 and affine.terms[0][0] in point:
                holds &= np.isin(_place(affine, point), side)
        for condition in self.conditions:
            if any(i in point for a in _affines(condition) for i in a.indices):
                holds &= _holds(condition, point)
        dimensions = [d for d, a in enumerate(self.access.at) if a.terms and a.terms[0][0] in point]
        columns = [np.broadcast_to(_place(self.access.at[d], point), holds.shape) for d in dimensions]
        for d, column in zip(dimensions, columns, strict=True):
            if clip or d < SPATIAL:
                holds &= (column >= 0) & (column < self.tensor.extents[d])
        if not holds.any():
            return []
        if not dimensions:
            return [{}]
        if len(dimensions) == 1:
            return [{dimensions[0]: np.unique(columns[0][holds])}]
        points = np.stack([column[holds] for column in columns], axis=1)
        return [dict(zip(dimensions, sides, strict=True)) for sides in boxes_of(points)]

    def _written_by(self, group: tuple[Index, ...]) -> list[int]:
        """The dimensions of the left-hand side that a group of indices addresses."""
        return [d for d, affine in enumerate(self.equation.at) if affine.terms and affine.terms[0][0] in group]

    def _values(self, index: Index, box: Box, clip: bool) -> Coordinates:
        """The values an index may have: those at which the box is written, where it alone says so."""
        for dimension, (side, affine) in enumerate(zip(box, self.equation.at, strict=True)):
            if len(affine.terms) == 1 and affine.terms[0][0] == index:
                step = affine.terms[0][1]
                exact = (side - affine.constant) % step == 0
                values = (side[exact] - affine.constant) // step
                beyond = not clip and dimension >= SPATIAL
                return values if beyond else np.asarray(values[(values >= 0) & (values < index.size)])
        return np.arange(index.size)


def readings(equation: Equation) -> list[Reading]:
    """The accesses of an equation to tensors that a network computes or is given as its input."""
    found = _under(equation.value, ())
    return [Reading(equation, a, c) for a, c in found if a.tensor.role in ("input", "defined")]


def _under(node: Expression, conditions: tuple[Bracket, ...]) -> Iterator[tuple[Access, tuple[Bracket, ...]]]:
    if isinstance(node, Access):
        yield node, conditions
    factors = node.factors if isinstance(node, Mul) else ()
    if isinstance(node, Div):
        factors = (node.numerator,)
    here = tuple(b for factor in factors for b in _brackets(factor))
    for child in node.children:
        yield from _under(child, (*conditions, *(c for c in here if c not in conditions)))


def _brackets(node: Expression) -> list[Bracket]:
    """The brackets among a product's factors that compare positions."""
    if isinstance(node, Mul):
        return [b for factor in node.factors for b in _brackets(factor)]
    return [node] if isinstance(node, Bracket) and all(_is_whole(side) for side in node.children) else []


def _is_whole(side: Expression) -> bool:
    return isinstance(side, Position) or (isinstance(side, Const) and isinstance(side.value, int))


def _affine(side: Expression) -> Affine:
    return side.affine if isinstance(side, Position) else Affine.of(side.value if isinstance(side, Const) else None)


def _affines(condition: Bracket) -> list[Affine]:
    return [_affine(side) for side in condition.children]


def _place(affine: Affine, point: Mapping[Index, Coordinates]) -> Coordinates:
    """An affine expression's values at points, given by an array for each index."""
    total = np.asarray(affine.constant, np.int64)
    for index, coefficient in affine.terms:
        total = total + coefficient * point[index]
    return total


def _holds(condition: Bracket, point: Mapping[Index, Coordinates]) -> npt.NDArray[np.bool_]:
    left, right = (_place(side, point) for side in map(_affine, condition.children))
    return np.asarray(RELATIONS[condition.relation](left, right))
