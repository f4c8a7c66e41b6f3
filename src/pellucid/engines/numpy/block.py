"""Blocks: arrays whose axes are indices, and the views through which accesses read their tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from pellucid.notation.expression import Access
from pellucid.notation.index import Affine, Index

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Block:
    """The values of an expression at every point of its indices: one axis for each."""

    axes: tuple[Index, ...]
    array: Array

    def spread(self, axes: tuple[Index, ...]) -> Array:
        """The array with these axes, in this order; an axis the values do not depend on has length 1."""
        mine = [i for i in axes if i in self.axes]
        array = self.array.transpose([self.axes.index(i) for i in mine])
        if len(mine) == len(axes):
            return array
        return array[tuple(slice(None) if i in self.axes else None for i in axes)]


def union(blocks: Iterable[Block]) -> tuple[Index, ...]:
    """All axes of some blocks, in order of appearance."""
    return tuple(dict.fromkeys(i for block in blocks for i in block.axes))


class Padded:
    """The tensors of one equation, each with the margin that its accesses need around it."""

    def __init__(self, accesses: Iterable[Access], arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays
        self._margins: dict[tuple[str, float], list[tuple[int, int]]] = {}
        self._ready: dict[tuple[str, float], Array] = {}
        for access in accesses:
            key = (access.tensor.name, access.outside)
            margins = self._margins.setdefault(key, [(0, 0)] * len(access.at))
            for d, (affine, extent) in enumerate(zip(access.at, access.tensor.extents, strict=True)):
                low, high = affine.bounds
                margins[d] = (max(margins[d][0], -low), max(margins[d][1], high - extent + 1))

    def view(self, access: Access) -> Block:
        """The elements an access reads, without a copy."""
        key = (access.tensor.name, access.outside)
        margins = self._margins[key]
        if key not in self._ready:
            array = self._arrays[access.tensor.name]
            if any(low or high for low, high in margins):
                array = np.pad(array, margins, constant_values=access.outside)
            self._ready[key] = array
        return strided(self._ready[key], [a + low for a, (low, _) in zip(access.at, margins, strict=True)])


def strided(array: Array, at: list[Affine]) -> Block:
    """The view `array[at]`, one axis for each index; every point must lie inside the array."""
    axes = tuple(dict.fromkeys(i for affine in at for i in affine.indices))
    origin = array[tuple(slice(a.constant, a.constant + 1) for a in at)] if at else array
    strides = tuple(sum(a.coefficient(i) * s for a, s in zip(at, array.strides, strict=True)) for i in axes)
    shape = tuple(i.size for i in axes)
    return Block(axes, as_strided(origin, shape=shape, strides=strides) if at else array)
