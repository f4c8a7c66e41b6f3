"""Operators that group the same values in reading order into other dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

from pellucid.errors import DataError, ShapeError
from pellucid.formats.onnx.rules import (
    Attributes,
    Operand,
    Rule,
    axes_of,
    axis,
    known_integers,
    like,
    places,
    product,
    required,
)
from pellucid.notation import Affine, Index, Tensor

At = list[Affine | Index | int]


def reshaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same values in reading order, in another shape.

    Where dimensions of one side are taken together on the other, an index expression such as 4*a + b says so. Where
    neither side is finer than the other, the values pass through a row of their own.
    """
    if shape == x.extents:
        return x
    if product(shape) != x.size or min(shape, default=1) < 1:
        raise ShapeError(f'"{x.name}" is {x.extents}, which are not the elements of {shape}')
    blocks = _blocks([e for e in x.extents if e > 1], [e for e in shape if e > 1])
    if any(len(old) > 1 and len(new) > 1 for old, new in blocks):
        return _split(_merged(x), shape)
    read: At = []
    write: At = []
    for old, new in blocks:
        finer = old if len(old) >= len(new) else new
        own = [Index(f"a{len(read) + len(write) + k}", extent) for k, extent in enumerate(finer)]
        read += _together(own) if len(old) < len(new) else own
        write += _together(own) if len(new) < len(old) else own
    y = like(x, "Y", shape)
    y[_beside_ones(shape, write)] = x[_beside_ones(x.extents, read)]
    return y


def _beside_ones(shape: tuple[int, ...], at: At) -> tuple[Affine | Index | int, ...]:
    """The address, where dimensions of one element were left out."""
    rest = iter(at)
    return tuple(0 if extent == 1 else next(rest) for extent in shape)


def _blocks(old: list[int], new: list[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest groups of neighbouring dimensions with equal products on both sides."""
    old_ends, new_ends = list(accumulate(old, mul)), list(accumulate(new, mul))
    blocks, start, start_new = [], 0, 0
    for cut in sorted(set(old_ends) & set(new_ends)):
        end, end_new = old_ends.index(cut) + 1, new_ends.index(cut) + 1
        blocks.append((old[start:end], new[start_new:end_new]))
        start, start_new = end, end_new
    return blocks


def _together(indices: Sequence[Index]) -> At:
    place = Affine()
    for index in indices:
        place = place * index.size + index
    return [place]


def _merged(x: Tensor) -> Tensor:
    """All values in one row."""
    every, row = places(x.extents), like(x, "F", (x.size,))
    row[tuple(_together(every))] = x[every]
    return row


def _split(row: Tensor, shape: tuple[int, ...]) -> Tensor:
    every, y = places(shape), like(row, "Y", shape)
    y[every] = row[tuple(_together(every))]
    return y


def _reshape(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, wanted = required(operands, 0), known_integers(operands, 1)
    if wanted is None:
        wanted = attributes.integers("shape") or ()
    zero_copies = not attributes.integer("allowzero", 0)
    shape = [
        x.extents[d] if extent == 0 and zero_copies and d < len(x.extents) else extent
        for d, extent in enumerate(wanted)
    ]
    if shape.count(-1) == 1:
        rest = product([extent for extent in shape if extent != -1])
        if rest < 1 or x.size % rest:
            raise ShapeError(f'"{x.name}" is {x.extents}, which does not divide into {wanted}')
        shape[shape.index(-1)] = x.size // rest
    return [reshaped(x, tuple(shape))]


def _flatten(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, number_of_axis = required(operands, 0), attributes.integer("axis", 1)
    rank = len(x.extents)
    cut = rank if number_of_axis == rank else axis(number_of_axis, max(rank, 1))
    return [reshaped(x, (product(x.extents[:cut]), product(x.extents[cut:])))]


def _squeeze(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, chosen = required(operands, 0), axes_of(attributes, operands)
    rank = len(x.extents)
    gone = {d for d in range(rank) if x.extents[d] == 1} if chosen is None else {axis(d, rank) for d in chosen}
    if any(x.extents[d] != 1 for d in gone):
        raise ShapeError(f'"{x.name}" is {x.extents}: only axes of one element can be left out')
    return [reshaped(x, tuple(extent for d, extent in enumerate(x.extents) if d not in gone))]


def _unsqueeze(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, chosen = required(operands, 0), axes_of(attributes, operands)
    if chosen is None:
        raise DataError("Unsqueeze needs axes")
    rank = len(x.extents) + len(chosen)
    new = {axis(d, rank) for d in chosen}
    if len(new) < len(chosen):
        raise DataError(f"the axes {chosen} name one twice")
    rest = iter(x.extents)
    return [reshaped(x, tuple(1 if d in new else next(rest) for d in range(rank)))]


RULES = {
    "Flatten": Rule(_flatten),
    "Reshape": Rule(_reshape, static=(1,)),
    "Squeeze": Rule(_squeeze, static=(1,)),
    "Unsqueeze": Rule(_unsqueeze, static=(1,)),
}
