"""Operators that move values without changing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul

import numpy as np

from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.formats.onnx.rules import (
    Attributes,
    Operand,
    Rule,
    axes_of,
    axis,
    broadcast,
    given,
    known,
    known_integers,
    number,
    places,
    product,
    required,
    spread,
)
from pellucid.notation import Affine, Expression, Index, Tensor, bracket, sum_over
from pellucid.notation.expression import Mul

At = list[Affine | Index | int]


def _like(x: Tensor, symbol: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """A tensor for values of x that are moved: whole numbers stay whole."""
    return Tensor(symbol, shape, kind=x.kind)


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
    y = _like(x, "Y", shape)
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
    every, row = places(x.extents), _like(x, "F", (x.size,))
    row[tuple(_together(every))] = x[every]
    return row


def _split(row: Tensor, shape: tuple[int, ...]) -> Tensor:
    every, y = places(shape), _like(row, "Y", shape)
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


def _transpose(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x = required(operands, 0)
    order = attributes.integers("perm") or tuple(reversed(range(len(x.extents))))
    if sorted(order) != list(range(len(x.extents))):
        raise ShapeError(f"perm {order} is no order of {len(x.extents)} axes")
    every, y = places(x.extents), _like(x, "Y")
    y[tuple(every[d] for d in order)] = x[every]
    return [y]


def _concat(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Every operand writes a part of the result."""
    tensors = given(operands, 1)
    along = axis(attributes.integer("axis", 1), len(tensors[0].extents))
    shapes = {tuple(e for d, e in enumerate(x.extents) if d != along) for x in tensors}
    if len(shapes) > 1:
        raise ShapeError(f"the operands differ beside axis {along}: {', '.join(str(x.extents) for x in tensors)}")
    if len(tensors) == 1:
        return tensors
    total = sum(x.extents[along] for x in tensors)
    y = _like(tensors[0], "Y", (*tensors[0].extents[:along], total, *tensors[0].extents[along + 1 :]))
    offset = 0
    for x in tensors:
        every = places(x.extents)
        y[_shifted(every, along, offset)] = x[every]
        offset += x.extents[along]
    return [y]


def _shifted(every: tuple[Index, ...], along: int, offset: int) -> tuple[Affine | Index, ...]:
    return (*every[:along], every[along] + offset if offset else every[along], *every[along + 1 :])


def _split_apart(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x = required(operands, 0)
    along = axis(attributes.integer("axis", 0), len(x.extents))
    sizes = attributes.integers("split") or known_integers(operands, 1)
    if sizes is None:
        parts = attributes.integer("num_outputs", attributes.integer("outputs of the node", 1))
        size = -(-x.extents[along] // max(parts, 1))
        sizes = (size,) * (parts - 1) + (x.extents[along] - size * (parts - 1),)
    if min(sizes, default=0) < 1 or sum(sizes) != x.extents[along]:
        raise ShapeError(f"parts of {sizes} are not the {x.extents[along]} elements of axis {along}")
    outputs, offset = [], 0
    for size in sizes:
        shape = (*x.extents[:along], size, *x.extents[along + 1 :])
        every, y = places(shape), _like(x, "Y")
        y[every] = x[_shifted(every, along, offset)]
        outputs.append(y)
        offset += size
    return outputs


def _slice(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[k] = X[start + step*k]."""
    x = required(operands, 0)
    older = "starts" in attributes.values
    starts = attributes.integers("starts") if older else known_integers(operands, 1)
    ends = attributes.integers("ends") if older else known_integers(operands, 2)
    chosen = attributes.integers("axes") if older else known_integers(operands, 3)
    steps = None if older else known_integers(operands, 4)
    if starts is None or ends is None:
        raise DataError("Slice needs starts and ends")
    chosen = tuple(range(len(starts))) if chosen is None else chosen
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(chosen) == len(steps) or 0 in steps:
        raise DataError("starts, ends, axes and steps of Slice do not belong together")
    ranges = [range(extent) for extent in x.extents]
    for start, end, d, step in zip(starts, ends, chosen, steps, strict=True):
        ranges[axis(d, len(ranges))] = ranges[axis(d, len(ranges))][start:end:step]
    if any(not cut for cut in ranges):
        raise ShapeError("nothing is left of the tensor")
    every, y = places([len(cut) for cut in ranges]), _like(x, "Y")
    y[every] = x[tuple(k * cut.step + cut.start for k, cut in zip(every, ranges, strict=True))]
    return [y]


def _pad(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x = required(operands, 0)
    pads = attributes.integers("pads") or known_integers(operands, 1)
    chosen = known_integers(operands, 3)
    rank = len(x.extents)
    axes = [axis(d, rank) for d in chosen] if chosen is not None else list(range(rank))
    if pads is None or len(pads) != 2 * len(axes) or max(map(abs, pads), default=0) > 1 << 20:
        raise DataError(f"the padding {pads!s:.80} does not fit {len(axes)} axes")
    around = [(0, 0)] * rank
    for k, d in enumerate(axes):
        around[d] = (pads[k], pads[k + len(axes)])
    mode = attributes.text("mode", "constant")
    if mode == "constant":
        fill = known(operands, 2)
        value = attributes.real("value", 0.0) if fill is None else number(fill)
        return [_padded(x, around, value)]
    if mode not in ("edge", "reflect", "wrap"):
        raise DataError(f"Pad does not know the mode {mode!r:.40}")
    for d, (before, after) in enumerate(around):
        x = _continued(x, d, before, after, mode)
    return [x]


def _padded(x: Tensor, around: list[tuple[int, int]], value: float) -> Tensor:
    """The values as a part of a larger tensor; what no part writes is 0. Negative padding leaves values out."""
    shape = tuple(extent + before + after for extent, (before, after) in zip(x.extents, around, strict=True))
    kept = [extent + min(before, 0) + min(after, 0) for extent, (before, after) in zip(x.extents, around, strict=True)]
    if min(kept, default=1) < 1:
        raise ShapeError(f'padding of {around} leaves nothing of "{x.name}", which is {x.extents}')
    own, part = places(kept), _like(x, "Z" if value else "Y", shape)
    part[tuple(i + max(before, 0) for i, (before, _) in zip(own, around, strict=True))] = x[
        tuple(i + max(-before, 0) for i, (before, _) in zip(own, around, strict=True))
    ]
    inside: list[Expression] = []
    every = places(shape)
    for place, (before, after) in zip(every, around, strict=True):
        inside += [bracket(place, ">=", before)] if before > 0 else []
        inside += [bracket(place, "<", place.size - after)] if after > 0 else []
    if not value or not inside:
        return part
    k, y = Tensor("K", shape, differentiable=False), Tensor("Y")
    k[every] = inside[0] if len(inside) == 1 else Mul(tuple(inside))
    y[every] = part[every] + bracket(k[every], "==", 0) * value
    return y


def _continued(x: Tensor, d: int, before: int, after: int, mode: str) -> Tensor:
    """One axis continued in both directions: by its last value, mirrored, or from its other end."""
    extent = x.extents[d]
    if not before and not after:
        return x
    most = {"edge": 1 << 20, "reflect": extent - 1, "wrap": extent}[mode]
    if max(before, after) > most or min(before, after) < 0:
        raise UsageError(f"padding of {before} and {after} around {extent} elements is more than {mode} is read for")
    y = _like(x, f"Y{d}", (*x.extents[:d], extent + before + after, *x.extents[d + 1 :]))
    # Each part: how many values, where the first of them is written, and what the k-th reads.
    parts: list[tuple[int, int, Callable[[Index], Affine | Index | int]]] = [
        (extent, before, lambda k: k),
        (
            before,
            0,
            {"edge": lambda k: 0, "reflect": lambda k: before - k, "wrap": lambda k: k + (extent - before)}[mode],
        ),
        (
            after,
            before + extent,
            {"edge": lambda k: extent - 1, "reflect": lambda k: (extent - 2) - k, "wrap": lambda k: k}[mode],
        ),
    ]
    for size, start, read in parts:
        if size:
            every = places((*x.extents[:d], size, *x.extents[d + 1 :]))
            y[_shifted(every, d, start)] = x[(*every[:d], read(every[d]), *every[d + 1 :])]
    return y


def _expand(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x, shape = required(operands, 0), known_integers(operands, 1)
    every = places(broadcast([x.extents, shape or ()]))
    y = _like(x, "Y", tuple(index.size for index in every))
    y[every] = spread(x, every)
    return [y]


def _tile(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[size*a + k] = X[k] for every repeat a."""
    x, repeats = required(operands, 0), known_integers(operands, 1)
    if repeats is None or len(repeats) != len(x.extents):
        raise DataError(f"Tile needs {len(x.extents)} numbers of repeats")
    every, y = places(x.extents), _like(x, "Y")
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


def _cumulative_sum(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[i] = sum(k) [k <= i] * X[k]; `exclusive` leaves out X[i], `reverse` sums from the end."""
    x, where = required(operands, 0), known(operands, 1)
    d = axis(int(number(where)) if where is not None else 0, len(x.extents))
    every, y = places(x.extents), Tensor("Y")
    k = Index("t", x.extents[d])
    forwards = "<" if attributes.integer("exclusive", 0) else "<="
    backwards = ">" if attributes.integer("exclusive", 0) else ">="
    relation = backwards if attributes.integer("reverse", 0) else forwards
    y[every] = sum_over([k], bracket(k, relation, every[d]) * x[(*every[:d], k, *every[d + 1 :])])
    return [y]


def _dropout(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """At inference nothing is dropped; the mask is all ones."""
    x, ratio, training = required(operands, 0), known(operands, 1), known(operands, 2)
    share = attributes.real("ratio", 0.5) if ratio is None else number(ratio)
    if training is not None and number(training) and share:
        raise UsageError("Dropout in training mode drops at random; models are read as at inference")
    mask, every = Tensor("K", kind="int"), places(x.extents)
    mask[every] = Expression.of(1)
    return [x, mask]


RULES = {
    "Concat": Rule(_concat),
    "CumSum": Rule(_cumulative_sum, static=(1,)),
    "DepthToSpace": Rule(_depth_to_space),
    "Dropout": Rule(_dropout, static=(1, 2), outputs=2),
    "Expand": Rule(_expand, static=(1,)),
    "Flatten": Rule(_flatten),
    "Gather": Rule(_gather),
    "Pad": Rule(_pad, static=(1, 2, 3)),
    "Reshape": Rule(_reshape, static=(1,)),
    "Slice": Rule(_slice, static=(1, 2, 3, 4)),
    "SpaceToDepth": Rule(_space_to_depth),
    "Split": Rule(_split_apart, static=(1,), outputs=1 << 10),
    "Squeeze": Rule(_squeeze, static=(1,)),
    "Tile": Rule(_tile, static=(1,)),
    "Transpose": Rule(_transpose),
    "Unsqueeze": Rule(_unsqueeze, static=(1,)),
}
