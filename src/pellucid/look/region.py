"""Sets of elements of a tensor, exactly: unions of boxes whose sides are sets of coordinates.

A box is a Cartesian product, one set of coordinates for each dimension. Sides need not be intervals: what a dilated or
strided layer reads has holes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Coordinates = npt.NDArray[np.int64]
Box = tuple[Coordinates, ...]


@dataclass
class Region:
    """A union of boxes, none of which lies inside another."""

    boxes: list[Box] = field(default_factory=list)

    def add(self, box: Box) -> None:
        """Take a box into the union; boxes that differ in one dimension only become one."""
        while True:
            if any(_contains(other, box) for other in self.boxes):
                return
            self.boxes = [other for other in self.boxes if not _contains(box, other)]
            for place, other in enumerate(self.boxes):
                merged = _merged(box, other)
                if merged is not None:
                    box = merged
                    del self.boxes[place]
                    break
            else:
                self.boxes.append(box)
                return

    def __iter__(self) -> Iterator[Box]:
        return iter(self.boxes)

    def bounds(self, dimension: int) -> tuple[int, int]:
        """The smallest and the largest coordinate in a dimension; the region must not be empty."""
        sides = [box[dimension] for box in self.boxes]
        return min(int(side[0]) for side in sides), max(int(side[-1]) for side in sides)

    def mask(self, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """The region in a tensor of this shape, in which it must lie."""
        inside = np.zeros(shape, bool)
        for box in self.boxes:
            inside[np.ix_(*box)] = True
        return inside


def _contains(box: Box, other: Box) -> bool:
    return all(
        o[0] >= b[0] and o[-1] <= b[-1] and len(o) <= len(b) and bool(np.isin(o, b).all())
        for b, o in zip(box, other, strict=True)
    )


def _merged(one: Box, other: Box) -> Box | None:
    """The union as one box, if the two differ in one dimension only."""
    different = [d for d, (a, b) in enumerate(zip(one, other, strict=True)) if not np.array_equal(a, b)]
    if len(different) != 1:
        return None
    (dimension,) = different
    side = np.union1d(one[dimension], other[dimension])
    return (*one[:dimension], side, *one[dimension + 1 :])


def boxes_of(points: Coordinates) -> Iterable[Box]:
    """Points, one in each row, as boxes: one if they are a product, otherwise cut along the first dimension."""
    points = np.unique(points, axis=0)
    sides = tuple(np.unique(column) for column in points.T)
    if len(points) == int(np.prod([len(side) for side in sides])):
        return [sides]
    region = Region()
    for first in sides[0]:
        for rest in boxes_of(points[points[:, 0] == first, 1:]):
            region.add((np.array([first]), *rest))
    return region
