"""Receptive fields, exactly: which elements of the input an element of a network depends on.

The set is followed backwards through the equations by their index expressions. Branches need no rule of their own: what
a sum or a concatenation reads is the union of what its inputs read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pellucid.look.reads import SPATIAL, Reading, readings
from pellucid.look.region import Box, Region
from pellucid.notation import Tensor
from pellucid.notation.program import order


@dataclass(frozen=True)
class Field:
    """The receptive field of a layer's elements, away from the border, one number for each axis of the input.

    `size` is how far the fields of all channels together reach, padding counted, `jump` how many input elements lie
    between those of neighbours, `start` the first input element of the field of element 0 (negative within the
    padding). A layer without rows and columns of its own has no jump.
    """

    layer: str
    shape: tuple[int, ...]
    size: tuple[int, ...]
    jump: tuple[int, ...] | None
    start: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


class Fields:
    """The receptive fields in one network; `source` is its input."""

    def __init__(self, source: Tensor) -> None:
        self.source = source
        self._readings: dict[Tensor, list[Reading]] = {}

    def of(self, tensor: Tensor, place: tuple[int, ...], *, clip: bool = True) -> Region:
        """The elements of the input that one element depends on, through any path.

        Exactly those that its equations read; a weight that is 0 still reads. Without `clip` the field of an image
        that goes on for ever, also beyond the border.
        """
        return self.of_box(tensor, tuple(np.array([k]) for k in place), clip=clip)

    def of_box(self, tensor: Tensor, box: Box, *, clip: bool = True) -> Region:
        """The same for all elements of a box together."""
        needed = {tensor: Region([box])}
        for reader in reversed(order([tensor])):
            for reading in self._of(reader) if reader in needed else ():
                for box in needed[reader]:
                    for found in reading.boxes(box, clip):
                        needed.setdefault(reading.tensor, Region()).add(found)
        return needed.get(self.source, Region())

    def _of(self, tensor: Tensor) -> list[Reading]:
        if tensor not in self._readings:
            self._readings[tensor] = [r for equation in tensor.definition for r in readings(equation)]
        return self._readings[tensor]

    def field(self, layer: str, tensor: Tensor) -> Field | None:
        """The field of a layer's elements, measured in the middle; None if they do not depend on the input."""
        here = self._of_all_channels(tensor, 0)
        if not here.boxes:
            return None
        bounds = [here.bounds(d) for d in self.axes()]
        size = tuple(high - low + 1 for low, high in bounds)
        shape = tensor.extents[1:]
        if len(tensor.extents) != len(self.source.extents) or len(tensor.extents) <= SPATIAL:
            return Field(layer, shape, size, None, tuple(low for low, _ in bounds))
        beside = self._of_all_channels(tensor, 1)
        jump = tuple(beside.bounds(d)[0] - low for d, (low, _) in zip(self.axes(), bounds, strict=True))
        middle = (extent // 2 for extent in tensor.extents[SPATIAL:])
        start = tuple(low - j * m for (low, _), j, m in zip(bounds, jump, middle, strict=True))
        return Field(layer, shape, size, jump, start)

    def _of_all_channels(self, tensor: Tensor, beside: int) -> Region:
        """The field of the middle, or of the place so far beside it, for image 0 and all channels."""
        sides = [np.arange(extent) for extent in tensor.extents[:SPATIAL]]
        sides[0] = sides[0][:1]
        sides += [np.array([extent // 2 + beside]) for extent in tensor.extents[SPATIAL:]]
        return self.of_box(tensor, tuple(sides), clip=False)

    def axes(self) -> range:
        """The dimensions of the input along which fields reach: rows and columns, or the places in a sentence."""
        rank = len(self.source.extents)
        return range(min(SPATIAL, rank - 1), rank)


def fields(source: Tensor, tensors: Iterable[tuple[str, Tensor]]) -> list[Field]:
    """The fields of several layers of one network, by name."""
    found = Fields(source)
    rows = (found.field(layer, tensor) for layer, tensor in tensors)
    return [row for row in rows if row is not None]
