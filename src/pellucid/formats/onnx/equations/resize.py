"""Resize and Upsample: along every axis a product with a matrix of weights.

Interpolation is linear in the image. Each row of an axis' matrix holds the weights of one output row, so that every
mode of ONNX is the same equation, Y[...,i,...] = sum(k) R[i,k] * X[...,k,...], with another matrix. The weights follow
the formulas in ONNX's documentation of Resize.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError, ShapeError
from pellucid.formats.onnx.rules import (
    Array,
    Attributes,
    Operand,
    Rule,
    axis,
    known,
    known_integers,
    places,
    required,
)
from pellucid.notation import Index, Tensor, constant_tensor, sum_over

_EXTENT_LIMIT = 1 << 17  # of an axis
_LIMIT = 1 << 26  # elements of a matrix of weights


@dataclass(frozen=True)
class Axis:
    """One axis that is resized: its sizes before and after, the scale asked for, and the part that is looked at."""

    number: int
    size: int
    new: int
    scale: float
    region: tuple[float, float] = (0.0, 1.0)


def _resize(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    x = required(operands, 0)
    outside = attributes.real("extrapolation_value", 0.0)
    for each in _axes(attributes, operands, x.extents):
        matrix, beyond = weights(attributes, each)
        x = _product(x, each.number, matrix, beyond * outside)
    return [x]


def _product(x: Tensor, d: int, matrix: Array, beyond: Array) -> Tensor:
    every = places((*x.extents[:d], len(matrix), *x.extents[d + 1 :]))
    k = Index("t", x.extents[d])
    r, y = constant_tensor(f"R{d}", matrix), Tensor(f"Y{d}")
    value = sum_over([k], r[every[d], k] * x[(*every[:d], k, *every[d + 1 :])])
    y[every] = value if not beyond.any() else value + constant_tensor(f"B{d}", beyond)[every[d]]
    return y


def _axes(attributes: Attributes, operands: Sequence[Operand], shape: tuple[int, ...]) -> list[Axis]:
    """The axes whose size or view changes."""
    rank = len(shape)
    chosen = [axis(d, rank) for d in attributes.integers("axes") or range(rank)]
    older = attributes.version < 11
    region = None if older else known(operands, 1)
    scales = known(operands, 1 if older else 2)
    sizes = None if older else known_integers(operands, 3)
    if scales is None and "scales" in attributes.values:  # Upsample before set 9
        scales = np.array(attributes.values["scales"], float)
    crop = attributes.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    found = []
    if sizes:
        ratios = _ratios(attributes, sizes, [shape[d] for d in chosen])
    elif scales is not None and scales.size:
        ratios = [(float(scale), None) for scale in scales.reshape(-1)]
    else:
        raise DataError("it needs scales or sizes")
    if len(ratios) != len(chosen):
        raise DataError(f"{len(ratios)} scales or sizes do not fit {len(chosen)} axes")
    for place, (d, (scale, size)) in enumerate(zip(chosen, ratios, strict=True)):
        view = (0.0, 1.0)
        if crop and region is not None and region.size == 2 * len(chosen):
            flat = region.reshape(-1)
            view = (float(flat[place]), float(flat[place + len(chosen)]))
        if not 0 < scale < 1e6:
            raise DataError(f"a scale is {scale}")
        new = size if size is not None else math.floor(shape[d] * scale * (view[1] - view[0]))
        if not 1 <= new <= _EXTENT_LIMIT or new * shape[d] > _LIMIT:
            raise ShapeError(f"an axis of {shape[d]} elements would have {new}")
        if new != shape[d] or crop or scale != 1:
            found.append(Axis(d, shape[d], new, scale, view))
    return found


def _ratios(attributes: Attributes, sizes: tuple[int, ...], old: list[int]) -> list[tuple[float, int | None]]:
    """Scale and new size of every axis; by policy one scale for all, so that the picture keeps its proportions."""
    policy = attributes.text("keep_aspect_ratio_policy", "stretch")
    scales = [new / size for new, size in zip(sizes, old, strict=False)]
    if policy == "stretch":
        return [(scale, new) for scale, new in zip(scales, sizes, strict=True)]
    if policy not in ("not_larger", "not_smaller"):
        raise DataError(f"keep_aspect_ratio_policy is {policy!r:.40}")
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [(scale, math.floor(scale * size + 0.5)) for size in old]


def weights(attributes: Attributes, each: Axis) -> tuple[Array, Array]:
    """The matrix of an axis, and for each row whether it lies outside of the image."""
    mode = attributes.text("mode", "nearest")
    matrix, beyond = np.zeros((each.new, each.size), np.float64), np.zeros(each.new)
    for i in range(each.new):
        place = _coordinate(attributes, each, i)
        crop = attributes.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
        if crop and not 0 <= place <= each.size - 1:
            beyond[i] = 1
            continue
        if mode == "nearest":
            matrix[i, min(max(_nearest(attributes, place), 0), each.size - 1)] = 1
        elif mode in ("linear", "bilinear", "trilinear", "cubic"):
            _interpolate(attributes, each, place, mode == "cubic", matrix[i])
        else:
            raise DataError(f"Resize does not know the mode {mode!r:.40}")
    return matrix, beyond


def _coordinate(attributes: Attributes, each: Axis, i: int) -> float:
    """Where output row i lies in the input, by the way that the attribute names."""
    default = "asymmetric" if attributes.version < 11 else "half_pixel"
    way = attributes.text("coordinate_transformation_mode", default)
    old, new, scale = each.size, each.new, each.scale
    length = scale * old  # of the output before it was rounded down
    if way == "half_pixel":
        return (i + 0.5) / scale - 0.5
    if way == "half_pixel_symmetric":
        return old / 2 * (1 - new / length) + (i + 0.5) / scale - 0.5
    if way == "pytorch_half_pixel":
        return (i + 0.5) / scale - 0.5 if new > 1 else 0.0
    if way == "asymmetric":
        return i / scale
    if way == "align_corners":
        return 0.0 if length <= 1 else i * (old - 1) / (length - 1)
    if way == "tf_crop_and_resize":
        start, end = each.region
        if new > 1:
            return start * (old - 1) + i * (end - start) * (old - 1) / (new - 1)
        return 0.5 * (start + end) * (old - 1)
    raise DataError(f"coordinate_transformation_mode is {way!r:.40}")


def _nearest(attributes: Attributes, place: float) -> int:
    way = attributes.text("nearest_mode", "floor" if attributes.version < 11 else "round_prefer_floor")
    ways = {
        "round_prefer_floor": lambda: math.ceil(place - 0.5),
        "round_prefer_ceil": lambda: math.floor(place + 0.5),
        "floor": lambda: math.floor(place),
        "ceil": lambda: math.ceil(place),
    }
    if way not in ways:
        raise DataError(f"nearest_mode is {way!r:.40}")
    return ways[way]()


def _interpolate(attributes: Attributes, each: Axis, place: float, cubic: bool, row: Array) -> None:
    """Write the weights of one output row: a tent or a cubic around its place, wider where the picture shrinks."""
    stretch = min(each.scale, 1.0) if attributes.integer("antialias", 0) else 1.0
    radius = (2 if cubic else 1) / stretch
    coefficient = attributes.real("cubic_coeff_a", -0.75)
    cells = range(math.floor(place - radius), math.ceil(place + radius) + 1)
    values = [
        _cubic(abs(cell - place) * stretch, coefficient) if cubic else max(1 - abs(cell - place) * stretch, 0.0)
        for cell in cells
    ]
    exclude = bool(attributes.integer("exclude_outside", 0))
    kept = [0.0 if exclude and not 0 <= c < each.size else v for c, v in zip(cells, values, strict=True)]
    total = sum(kept)
    for cell, value in zip(cells, kept, strict=True):
        row[min(max(cell, 0), each.size - 1)] += value / total


def _cubic(distance: float, a: float) -> float:
    """Keys' cubic convolution kernel (IEEE Trans. Acoustics, Speech, and Signal Processing, 1981)."""
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance**2 + 1
    if distance < 2:
        return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return 0.0


def _upsample(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Resize as it was before set 11: rows are found by rounding down."""
    return _resize(Attributes(attributes.values, 9), operands)


RULES = {"Resize": Rule(_resize, static=(1, 2, 3)), "Upsample": Rule(_upsample, static=(1,))}
