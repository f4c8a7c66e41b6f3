"""Parts: boxes of a tensor's elements with their numbers, where not the whole tensor is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Number = float | int | Fraction
Box = tuple[tuple[int, int], ...]
"""The first and the last coordinate in every dimension."""


@dataclass(frozen=True)
class Part:
    """The numbers of a box that begins at `origin` within its tensor."""

    origin: tuple[int, ...]
    array: Array

    @staticmethod
    def whole(array: Array) -> Part:
        """All of a tensor."""
        return Part((0,) * np.ndim(array), np.asarray(array))

    @staticmethod
    def of(array: Array, box: Box) -> Part:
        """The box of a tensor whose numbers are all there; a view."""
        return Part(tuple(low for low, _ in box), array[tuple(slice(low, high + 1) for low, high in box)])

    def element(self, coordinates: Sequence[int]) -> Number:
        """One number, by its coordinates within the tensor."""
        return number(self.array[tuple(c - o for c, o in zip(coordinates, self.origin, strict=True))])


Parts = Mapping[str, Part]
"""Parts by the names of their tensors."""


def number(value: object) -> Number:
    """One element of an array as a plain number."""
    array = np.asarray(value)
    if array.dtype == object:
        found = array.item()
        return found if isinstance(found, Fraction) else float(found)
    return int(array) if array.dtype.kind in "iub" else float(array)


def element_box(coordinates: Sequence[int]) -> Box:
    """The box of a single element."""
    return tuple((c, c) for c in coordinates)


def full_box(extents: Sequence[int]) -> Box:
    """The box of a whole tensor."""
    return tuple((0, extent - 1) for extent in extents)


def hull(one: Box | None, other: Box) -> Box:
    """The smallest box that holds both."""
    if one is None:
        return other
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
