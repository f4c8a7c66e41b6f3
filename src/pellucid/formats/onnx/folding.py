"""Computing, with NumPy, what is known when a model is read: shapes and the constants made from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pellucid.errors import DataError, ShapeError
from pellucid.formats.onnx.rules import Array, Attributes, axis

LIMIT = 1 << 28
"""Elements of a constant that a model may ask to be made. VGG-19's largest weight has 103 million."""

_TYPES: dict[int, Any] = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}
"""NumPy's types by the numbers of TensorProto.DataType, those that constants are computed in."""


def bounded(shape: Iterable[int]) -> tuple[int, ...]:
    """A shape that a constant may have; DataError for an absurd one."""
    extents = tuple(int(extent) for extent in shape)
    if any(extent < 0 for extent in extents) or math.prod(extents) > LIMIT:
        raise DataError(f"a constant would have the shape {extents!s:.80}; at most {LIMIT:,} elements are read")
    return extents


def fold(op: str, attributes: Attributes, operands: Sequence[Any]) -> Array:
    """The first output of an operator of `FOLDED`, its operands being arrays (for Shape and Size also a shape).

    Raises DataError for operands that make no sense.
    """
    try:
        with np.errstate(all="ignore"):
            return np.asarray(FOLDED[op](attributes, *operands))
    except (TypeError, ValueError, IndexError, KeyError, OverflowError, ShapeError) as error:
        raise DataError(f"{op} cannot be computed from its constants: {error}") from None


def _constant(attributes: Attributes) -> Array:
    for name, dtype in (("value_int", np.int64), ("value_ints", np.int64), ("value_float", np.float32),
                        ("value_floats", np.float32)):  # fmt: skip
        if name in attributes.values:
            return np.array(attributes.values[name], dtype)
    value = attributes.values["value"]
    if not isinstance(value, np.ndarray):
        raise ValueError("its value is no array")
    return value


def _constant_of_shape(attributes: Attributes, shape: Array) -> Array:
    value = attributes.values.get("value", np.zeros(1, np.float32))
    extents: tuple[int, ...] = bounded(shape.tolist())
    return np.full(extents, value.reshape(-1)[0], value.dtype)


def _shape_of(x: Any) -> tuple[int, ...]:
    return x if isinstance(x, tuple) else x.shape


def _shape(attributes: Attributes, x: Any) -> Array:
    end = attributes.values.get("end")
    return np.array(_shape_of(x)[attributes.integer("start", 0) : end], np.int64)


def _cast(attributes: Attributes, x: Array) -> Array:
    return x.astype(_TYPES[attributes.integer("to", 1)])


def _range(attributes: Attributes, start: Array, limit: Array, delta: Array) -> Array:
    bounded([max(math.ceil((limit.item() - start.item()) / delta.item()), 0)])
    values: Array = np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)
    return values


def _gather(attributes: Attributes, x: Array, where: Array) -> Array:
    bounded((*x.shape, *where.shape))
    return np.asarray(np.take(x, where, attributes.integer("axis", 0)))


def _slice(attributes: Attributes, x: Array, *operands: Array) -> Array:
    bounds: list[tuple[int, ...] | None] = [attributes.integers(name) for name in ("starts", "ends", "axes")]
    if bounds[0] is None:
        bounds = [None if operand is None else tuple(operand.reshape(-1).tolist()) for operand in operands]
    bounds += [None] * (4 - len(bounds))
    starts, ends, axes, steps = bounds[0] or (), bounds[1] or (), bounds[2], bounds[3]
    cuts = [slice(None)] * x.ndim
    for start, end, d, step in zip(starts, ends, axes or range(len(starts)), steps or (1,) * len(starts), strict=True):
        # An end before the first element, going backwards, is no number that a slice takes.
        cuts[axis(d, x.ndim)] = slice(start, None if step < 0 and end < -x.shape[axis(d, x.ndim)] else end, step)
    return x[tuple(cuts)]


def _axes(attributes: Attributes, operand: Array | None) -> tuple[int, ...] | None:
    chosen = attributes.integers("axes")
    return tuple(operand.reshape(-1).tolist()) if operand is not None else chosen


def _squeeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, _axes(attributes, axes))


def _unsqueeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, _axes(attributes, axes) or ())


def _reshape(attributes: Attributes, x: Array, shape: Array | None = None) -> Array:
    wanted = list(shape.tolist()) if shape is not None else list(attributes.integers("shape") or ())
    if not attributes.integer("allowzero", 0):
        wanted = [x.shape[d] if extent == 0 else extent for d, extent in enumerate(wanted)]
    return x.reshape(wanted)


def _expand(attributes: Attributes, x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, bounded(np.broadcast_shapes(x.shape, bounded(shape.tolist())))).copy()


def _tile(attributes: Attributes, x: Array, repeats: Array) -> Array:
    bounded([a * b for a, b in zip(x.shape, repeats.tolist(), strict=True)])
    return np.tile(x, repeats)


def _divide(attributes: Attributes, a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        return np.trunc(a / b).astype(a.dtype)  # towards zero, as in C
    return a / b


def _together(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of two arrays that may not spread to more than the limit."""

    def apply(attributes: Attributes, a: Array, b: Array) -> Array:
        bounded(np.broadcast_shapes(a.shape, b.shape))
        return np.asarray(function(a, b))

    return apply


def _size(attributes: Attributes, x: Any) -> Array:
    return np.array(math.prod(_shape_of(x)), np.int64)


def _concat(attributes: Attributes, *operands: Array) -> Array:
    return np.concatenate(operands, attributes.integer("axis", 0))


def _transpose(attributes: Attributes, x: Array) -> Array:
    return np.transpose(x, attributes.integers("perm"))


def _flatten(attributes: Attributes, x: Array) -> Array:
    d = attributes.integer("axis", 1)
    return x.reshape(math.prod(x.shape[:d]), -1)


FOLDED: dict[str, Callable[..., Any]] = {
    "Add": _together(np.add),
    "Cast": _cast,
    "Ceil": lambda a, x: np.ceil(x),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Div": lambda a, x, y: _divide(a, x, y),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": lambda a, x: np.floor(x),
    "Gather": _gather,
    "Identity": lambda a, x: x,
    "Mul": _together(np.multiply),
    "Neg": lambda a, x: -x,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _together(np.subtract),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Operators that are computed beforehand where all their operands are known (Shape and Size always are)."""
