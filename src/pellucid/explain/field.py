"""Receptive fields: the boxes of the image and of the feature map before, on which a number depends."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.explain.cone import cone
from pellucid.explain.part import Array, Box, element_box
from pellucid.explain.values import Source
from pellucid.notation import Tensor
from pellucid.notation.expression import accesses


@dataclass(frozen=True)
class Field:
    """A box of a feature map or image (n, c, i, j), and the map (i, j) around it to draw."""

    tensor: Tensor
    box: Box
    picture: Array

    @property
    def channel(self) -> int:
        """The channel that is drawn: the first of the box."""
        return self.box[1][0]


def receptive_fields(source: Source, tensor: Tensor, coordinates: tuple[int, ...]) -> tuple[Field, ...]:
    """The receptive fields of an element of a forward tensor: on what its equation reads, and on the image."""
    if tensor not in source.of_images:
        return ()
    boxes = cone({tensor: element_box(coordinates)}).boxes
    read = [a.tensor for e in tensor.definition for a in accesses(e.value)]
    wanted = [t for t in dict.fromkeys([*read, source.image]) if t in boxes and t in source.of_images]
    maps = [t for t in wanted if len(t.extents) == 4 and t.kind == "float" and max(t.extents[2:]) > 1]
    return tuple(Field(t, boxes[t], _picture(source, t, boxes[t])) for t in maps[:1] + maps[1:][-1:])


def _picture(source: Source, tensor: Tensor, box: Box) -> Array:
    """The first image and channel of the box, all rows and columns."""
    rows, columns = tensor.extents[2:]
    first = ((box[0][0],) * 2, (box[1][0],) * 2, (0, rows - 1), (0, columns - 1))
    part = source.parts({tensor: first})[tensor.name]
    n, c = box[0][0] - part.origin[0], box[1][0] - part.origin[1]
    picture: Array = part.array[n, c]
    return picture
