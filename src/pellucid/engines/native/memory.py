"""Where tensors live: the margins around them, their strides, and one arena for all that a step computes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from pellucid.notation import Affine, Equation, Tensor
from pellucid.notation.expression import Access, accesses

ALIGNMENT = 64
ELEMENT = 4
ALWAYS = (-1, 1 << 60)
"""The life of a place whose zeros must stay."""


@dataclass(frozen=True)
class Buffer:
    """A tensor's place in memory: rows in C order inside a margin of zeros, 4-byte elements.

    `outside` tells a tensor that the caller owns (an input, a parameter, an output): its array is used in place.
    """

    tensor: Tensor
    margins: tuple[tuple[int, int], ...]
    outside: bool = False

    @property
    def extents(self) -> tuple[int, ...]:
        """With the margins."""
        return tuple(e + low + high for e, (low, high) in zip(self.tensor.extents, self.margins, strict=True))

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements."""
        strides = [1]
        for extent in reversed(self.extents[1:]):
            strides.insert(0, strides[0] * extent)
        return tuple(strides) if self.extents else ()

    @property
    def origin(self) -> int:
        """The tensor's first element, counted from the buffer's beginning."""
        return sum(low * stride for (low, _), stride in zip(self.margins, self.strides, strict=True))

    @property
    def elements(self) -> int:
        return math.prod(self.extents)

    @property
    def has_margin(self) -> bool:
        return any(low or high for low, high in self.margins)

    def place(self, at: Iterable[Affine]) -> Affine:
        """The element an address stands for, counted from the buffer's beginning."""
        total = Affine((), self.origin)
        for affine, stride in zip(at, self.strides, strict=True):
            total = total + affine * stride
        return total

    def covers(self, access: Access) -> bool:
        """Whether every element the access reads lies inside the buffer, margins included."""
        return all(
            a.bounds[0] >= -low and a.bounds[1] < e + high
            for a, e, (low, high) in zip(access.at, self.tensor.extents, self.margins, strict=True)
        )


def margins(equations: Iterable[Equation]) -> dict[Tensor, tuple[tuple[int, int], ...]]:
    """How far accesses that read 0 outside their tensor leave it, for each tensor and dimension."""
    found: dict[Tensor, list[tuple[int, int]]] = {}
    for equation in equations:
        for read in accesses(equation.value):
            if read.outside != 0:
                continue  # a maximum's -infinity is selected when it is read, not stored
            here = found.setdefault(read.tensor, [(0, 0)] * len(read.at))
            for d, (affine, extent) in enumerate(zip(read.at, read.tensor.extents, strict=True)):
                low, high = affine.bounds
                here[d] = max(here[d][0], -low), max(here[d][1], high - extent + 1)
    return {tensor: tuple(each) for tensor, each in found.items()}


@dataclass
class Arena:
    """Offsets (bytes) of buffers in one block of memory; buffers whose lives do not overlap may share."""

    size: int = 0
    offsets: dict[Tensor, int] = field(default_factory=dict)


def plan(buffers: Iterable[Buffer], lives: Mapping[Tensor, tuple[int, int]], unwritten: Set[Tensor]) -> Arena:
    """Place buffers, the largest first, each at the lowest offset that no buffer alive with it occupies.

    `lives` are the first and last kernel groups that use a tensor. Zeros are set once, and stay: a buffer with a margin
    shares its place only with others of the same form, whose zeros are in the same places, and a tensor with elements
    that no equation writes (`unwritten`) with none.
    """
    arena = Arena()
    placed: list[tuple[int, int, tuple[int, int]]] = []
    for together in sorted(_sharing(buffers, lives, unwritten), key=lambda group: -group[0].elements):
        first = together[0]
        size = -(-first.elements * ELEMENT // ALIGNMENT) * ALIGNMENT
        lasting = first.has_margin or first.tensor in unwritten
        life = ALWAYS if lasting else lives[first.tensor]
        offset = 0
        for begin, end, other in sorted(placed):
            if other[0] <= life[1] and life[0] <= other[1]:
                if begin - offset >= size:
                    break
                offset = max(offset, end)
        placed.append((offset, offset + size, life))
        arena.offsets |= {buffer.tensor: offset for buffer in together}
        arena.size = max(arena.size, offset + size)
    return arena


def _sharing(
    buffers: Iterable[Buffer], lives: Mapping[Tensor, tuple[int, int]], unwritten: Set[Tensor]
) -> list[list[Buffer]]:
    """The buffers in groups that use one place after another; only those with margins of the same form do."""
    groups: list[list[Buffer]] = []
    forms: dict[tuple[object, ...], list[list[Buffer]]] = {}
    for buffer in sorted(buffers, key=lambda b: lives[b.tensor][0]):
        if not buffer.has_margin or buffer.tensor in unwritten:
            groups.append([buffer])
            continue
        alike = forms.setdefault((buffer.extents, buffer.margins), [])
        over = [group for group in alike if lives[group[-1].tensor][1] < lives[buffer.tensor][0]]
        if over:
            over[0].append(buffer)
        else:
            alike.append([buffer])
    return groups + [group for alike in forms.values() for group in alike]
