"""The cone of a number: the boxes of all tensors that it depends on, and the equations cut down to them.

Index ranges go backwards through the equations. A box of Y[i] = sum(u) X[2*i + u - 1] needs the box of X that
its i reach; what lies outside X stays outside, since a box never leaves its tensor. The cut equations are a
program of smaller tensors, which any engine runs: of a network with millions of numbers only those are
computed that one number needs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pellucid.explain.part import Box, hull
from pellucid.notation import Affine, Equation, Expression, Index, Program, Tensor
from pellucid.notation.expression import Access, accesses, substitute, transform
from pellucid.notation.program import order

Ranges = dict[Index, tuple[int, int]]


@dataclass(frozen=True)
class Cone:
    """What boxes of some tensors depend on: a box of every tensor, and the ranges of every equation's indices."""

    boxes: dict[Tensor, Box]
    ranges: dict[Tensor, list[tuple[Equation, Ranges]]]

    def program(self, wanted: Collection[Tensor]) -> tuple[Program, dict[Tensor, Tensor]]:
        """The equations cut down to the boxes, and each tensor's cut counterpart.

        A tensor of which no equation writes the box is given there; it is 0.
        """
        cut = {tensor: self._counterpart(tensor) for tensor in self.boxes}
        for tensor, equations in self.ranges.items():
            cut[tensor].definition += [self._cut(equation, ranges, cut) for equation, ranges in equations]
        return Program.of([cut[tensor] for tensor in wanted]), cut

    def _counterpart(self, tensor: Tensor) -> Tensor:
        shape = tuple(high - low + 1 for low, high in self.boxes[tensor])
        role = "defined" if self.ranges.get(tensor) else "input"
        return Tensor(tensor.symbol, shape, role=role, kind=tensor.kind, name=tensor.name)  # type: ignore[arg-type]

    def _cut(self, equation: Equation, ranges: Ranges, cut: Mapping[Tensor, Tensor]) -> Equation:
        shifted = {i: Affine(((Index(i.name, high - low + 1), 1),), low) for i, (low, high) in ranges.items()}

        def from_origin(tensor: Tensor, at: tuple[Affine, ...]) -> tuple[Affine, ...]:
            return tuple(affine - low for affine, (low, _) in zip(at, self.boxes[tensor], strict=True))

        def moved(node: Expression) -> Expression:
            if not isinstance(node, Access):
                return node
            return Access(cut[node.tensor], from_origin(node.tensor, node.at), node.outside)

        at = tuple(affine.substitute(shifted) for affine in equation.at)
        value = transform(substitute(equation.value, shifted), moved)
        return Equation(cut[equation.tensor], from_origin(equation.tensor, at), value)


def cone(demands: Mapping[Tensor, Box], known: Collection[Tensor] = ()) -> Cone:
    """The cone of these boxes; the equations of tensors that are `known` are not followed."""
    boxes: dict[Tensor, Box] = dict(demands)
    found: dict[Tensor, list[tuple[Equation, Ranges]]] = {}
    for tensor in reversed(order(demands)):
        if tensor not in boxes or tensor in known:
            continue
        wanted = boxes[tensor]
        for equation in tensor.definition:
            ranges = ranges_of(equation.at, wanted)
            if ranges is None:
                continue
            found.setdefault(tensor, []).append((equation, ranges))
            boxes[tensor] = hull(boxes[tensor], tuple(bounds(affine, ranges) for affine in equation.at))
            for access in accesses(equation.value):
                boxes[access.tensor] = hull(boxes.get(access.tensor), read_box(access, ranges))
    return Cone(boxes, found)


def read_box(access: Access, ranges: Ranges) -> Box:
    """The elements that an access reads of its tensor; its nearest one where all of them lie outside."""
    box = []
    for affine, extent in zip(access.at, access.tensor.extents, strict=True):
        low, high = bounds(affine, ranges)
        low, high = max(low, 0), min(high, extent - 1)
        box.append((low, high) if low <= high else (min(low, extent - 1),) * 2)
    return tuple(box)


def bounds(affine: Affine, ranges: Ranges) -> tuple[int, int]:
    """The smallest and the largest value while some indices keep to ranges."""
    low = high = affine.constant
    for index, coefficient in affine.terms:
        first, last = ranges.get(index, (0, index.size - 1))
        low += coefficient * (first if coefficient > 0 else last)
        high += coefficient * (last if coefficient > 0 else first)
    return low, high


def ranges_of(at: tuple[Affine, ...], box: Box) -> Ranges | None:
    """The ranges of the indices outside of which `at` leaves the box; None if it never enters it."""
    ranges: Ranges = {i: (0, i.size - 1) for affine in at for i in affine.indices}
    changed = True
    while changed:
        changed = False
        for affine, (low, high) in zip(at, box, strict=True):
            least, most = bounds(affine, ranges)
            if least > high or most < low:
                return None
            for index, coefficient in affine.terms:
                narrow = _narrowed(affine, index, coefficient, (low, high), ranges)
                if narrow[0] > narrow[1]:
                    return None
                changed |= narrow != ranges[index]
                ranges[index] = narrow
    return ranges


def _narrowed(affine: Affine, index: Index, coefficient: int, box: tuple[int, int], ranges: Ranges) -> tuple[int, int]:
    """The range of one index, given those of the others."""
    low, high = bounds(affine - Affine(((index, coefficient),)), ranges)
    ends = (box[0] - high, box[1] - low) if coefficient > 0 else (low - box[1], high - box[0])
    size = abs(coefficient)
    first, last = ranges[index]
    return max(first, -(-ends[0] // size)), min(last, ends[1] // size)
