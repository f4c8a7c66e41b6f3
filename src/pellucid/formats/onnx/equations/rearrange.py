"""Operators that bring values to other places: turned, repeated, in blocks, or chosen one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pellucid.errors import DataError, ShapeError
from pellucid.formats.onnx.rules import (
    Attributes,
    Operand,
    Rule,
    axis,
    broadcast,
    known_integers,
    like,
    places,
    required,
    spread,
)
from pellucid.notation import Expression, Index, Tensor, bracket, sum_over


def _transpose(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x = required(operands, 0)
    order = attributes.integers("perm") or tuple(reversed(range(len(x.extents))))
    if sorted(order) != list(range(len(x.extents))):
        raise ShapeError(f"perm {order} is no order of {len(x.extents)} axes")
    every, y = places(x.extents), like(x, "Y")
    y[tuple(every[d] for d in order)] = x[every]
    return [y]


def _expand(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, shape = required(operands, 0), known_integers(operands, 1)
    every = places(broadcast([x.extents, shape or ()]))
    y = like(x, "Y", tuple(index.size for index in every))
    y[every] = spread(x, every)
    return [y]


def _tile(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[size*a + k] = X[k] for every repeat a."""
    x, repeats = required(operands, 0), known_integers(operands, 1)
    if repeats is None or len(repeats) != len(x.extents):
        raise DataError(f"Tile needs {len(x.extents)} numbers of repeats")
    every, y = places(x.extents), like(x, "Y")
    again = [Index(f"r{d}", count) for d, count in enumerate(repeats)]
    y[tuple(a * k.size + k if a.size > 1 else k for a, k in zip(again, every, strict=True))] = x[every]
    return [y]


def _depth_to_space(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, size = required(operands, 0), attributes.integer("blocksize", 0)
    if len(x.extents) != 4 or size < 1 or x.extents[1] % (size * size):
        raise ShapeError(f"blocks of {size}x{size} do not fit {x.extents}")
    n, c, i, j = places((x.extents[0], x.extents[1] // (size * size), *x.extents[2:]))
    u, v = Index("u", size), Index("v", size)
    depth_first = attributes.text("mode", "DCR") == "DCR"
    channel = (u * size + v) * c.size + c if depth_first else c * (size * size) + u * size + v
    y = Tensor("Y")
    y[n, c, i * size + u, j * size + v] = x[n, channel, i, j]
    return [y]


def _space_to_depth(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, size = required(operands, 0), attributes.integer("blocksize", 0)
    if len(x.extents) != 4 or size < 1 or x.extents[2] % size or x.extents[3] % size:
        raise ShapeError(f"blocks of {size}x{size} do not fit {x.extents}")
    n, c, i, j = places((*x.extents[:2], x.extents[2] // size, x.extents[3] // size))
    u, v = Index("u", size), Index("v", size)
    depth_first = attributes.text("mode", "DCR") == "DCR"
    channel = (u * size + v) * c.size + c if depth_first else c * (size * size) + u * size + v
    y = Tensor("Y")
    y[n, channel, i, j] = x[n, c, i * size + u, j * size + v]
    return [y]


def _gather(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[...,i,...] = sum(k) [I[i] == k] * X[...,k,...]; negative indices count from the end."""
    x, where = required(operands, 0), required(operands, 1)
    along = axis(attributes.integer("axis", 0), len(x.extents))
    every = places(x.extents)
    size = x.extents[along]
    chosen = [Index(f"g{d}", extent) for d, extent in enumerate(where.extents)]
    out = (*every[:along], *chosen, *every[along + 1 :])
    y = Tensor("Y", tuple(index.size for index in out))
    if where.value is not None and where.size == 1:
        place = axis(int(where.value.reshape(-1)[0]), size)
        y[out] = x[(*every[:along], place, *every[along + 1 :])]
        return [y]
    k = Index("k", size)
    element = x[(*every[:along], k, *every[along + 1 :])]
    at = where[tuple(chosen)]
    taken: Expression = bracket(at, "==", k) * element
    if where.value is None or bool(np.any(np.asarray(where.value) < 0)):
        taken = taken + bracket(at, "==", k - size) * element
    y[out] = sum_over([k], taken)
    return [y]


RULES = {
    "DepthToSpace": Rule(_depth_to_space),
    "Expand": Rule(_expand, static=(1,)),
    "Gather": Rule(_gather),
    "SpaceToDepth": Rule(_space_to_depth),
    "Tile": Rule(_tile, static=(1,)),
    "Transpose": Rule(_transpose),
}
