"""Operators that put tensors together, cut them up, and continue them beyond their ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.formats.onnx.rules import (
    Attributes,
    Operand,
    Rule,
    axis,
    given,
    known,
    known_integers,
    like,
    number,
    places,
    required,
)
from pellucid.notation import Affine, Expression, Index, Tensor, bracket
from pellucid.notation.expression import Mul


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
    y = like(tensors[0], "Y", (*tensors[0].extents[:along], total, *tensors[0].extents[along + 1 :]))
    offset = 0
    for x in tensors:
        every = places(x.extents)
        y[_shifted(every, along, offset)] = x[every]
        offset += x.extents[along]
    return [y]


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
        every, y = places(shape), like(x, "Y")
        y[every] = x[_shifted(every, along, offset)]
        outputs.append(y)
        offset += size
    return outputs


def _shifted(every: tuple[Index, ...], along: int, offset: int) -> tuple[Affine | Index, ...]:
    return (*every[:along], every[along] + offset if offset else every[along], *every[along + 1 :])


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
    every, y = places([len(cut) for cut in ranges]), like(x, "Y")
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
    own, part = places(kept), like(x, "Z" if value else "Y", shape)
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
    y = like(x, f"Y{d}", (*x.extents[:d], extent + before + after, *x.extents[d + 1 :]))
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


RULES = {
    "Concat": Rule(_concat),
    "Pad": Rule(_pad, static=(1, 2, 3)),
    "Slice": Rule(_slice, static=(1, 2, 3, 4)),
    "Split": Rule(_split_apart, static=(1,), outputs=1 << 10),
}
