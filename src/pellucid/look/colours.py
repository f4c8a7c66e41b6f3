"""Numbers as colours: grey for pixels, a dark-to-light scale for amounts, and one with a middle for signed values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]

AMOUNT = ((12, 9, 38), (74, 18, 107), (146, 38, 103), (214, 70, 70), (249, 142, 30), (252, 255, 164))
"""From nothing to much; lightness rises evenly, so that the scale also reads in grey and with colour blindness."""

SIGNED = (
    (23, 65, 138),
    (84, 142, 205),
    (190, 216, 238),
    (247, 247, 247),
    (248, 204, 172),
    (214, 110, 61),
    (131, 32, 16),
)
"""From negative (blue) over nothing (nearly white) to positive (red-brown)."""


def scaled(values: Array, low: float, high: float) -> Array:
    """Values from low to high as numbers from 0 to 1; 0 where the two are equal, and for NaN."""
    if high <= low:
        return np.zeros(values.shape)
    return np.asarray(np.nan_to_num(np.clip((values - low) / (high - low), 0, 1), nan=0.0))


def coloured(position: Array, scale: tuple[tuple[int, int, int], ...]) -> Pixels:
    """Numbers from 0 to 1 as colours (..., 3) of a scale, in between by straight lines."""
    stops = np.linspace(0, 1, len(scale))
    channels = [np.interp(position, stops, [colour[c] for colour in scale]) for c in range(3)]
    return _bytes(np.stack(channels, axis=-1))


def amount(values: Array, high: float | None = None) -> Pixels:
    """Values from 0 up, the largest (or `high`) the lightest."""
    return coloured(scaled(values, 0.0, float(values.max()) if high is None else high), AMOUNT)


def signed(values: Array, reach: float | None = None) -> Pixels:
    """Values around 0; the largest absolute value (or `reach`) has the strongest colour."""
    most = float(np.abs(values).max(initial=0)) if reach is None else reach
    return coloured(scaled(values, -most, most) if most else np.full(values.shape, 0.5), SIGNED)


def grey(image: Array) -> Pixels:
    """An image (C, H, W) of any range: in colour if it has three channels, otherwise their mean in grey."""
    shown = image if len(image) == 3 else image.mean(axis=0, keepdims=True).repeat(3, axis=0)
    levels = scaled(shown, float(shown.min()), float(shown.max()))
    return _bytes(levels.transpose(1, 2, 0) * 255)


def spread(values: Array) -> Pixels:
    """A reconstruction or gradient (C, H, W) around middle grey: three channels in colour, others as signed values."""
    if len(values) != 3:
        return signed(values.mean(axis=0))
    most = float(np.abs(values).max(initial=0)) or 1.0
    return _bytes((values.transpose(1, 2, 0) / most * 0.5 + 0.5) * 255)


def over(image: Pixels, layer: Pixels, strength: Array) -> Pixels:
    """A layer of colour over an image, as strong in each pixel as `strength` (0 to 1) says."""
    weight = strength[..., None]
    return _bytes(image * (1 - weight) + layer * weight)


def _bytes(levels: Array) -> Pixels:
    return np.asarray(np.rint(levels), np.uint8)
