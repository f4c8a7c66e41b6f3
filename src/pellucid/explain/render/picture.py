"""Receptive fields as pictures: half blocks for terminals, a small PNG for pages."""

from __future__ import annotations

import base64
import io

import numpy as np

from pellucid.explain.field import Field
from pellucid.explain.part import Array

WIDEST = 72
"""A terminal's picture has at most so many columns; a larger map is thinned out."""

GREYS = 232, 24  # the first of the terminal's greys, and how many there are
ACCENT = 208  # orange: it can be told from grey by everyone


def grey(picture: Array) -> Array:
    """The numbers from 0 to 1, the smallest black; half where all are equal or none is finite."""
    low, high = np.nanmin(picture), np.nanmax(picture)
    if not np.isfinite(high - low) or high == low:
        return np.full(picture.shape, 0.5)
    return np.asarray((picture - low) / (high - low))


def inside(field: Field) -> Array:
    """Where the field lies on its map."""
    mask = np.zeros(field.picture.shape, bool)
    (first, last), (left, right) = field.box[2:]
    mask[first : last + 1, left : right + 1] = True
    return mask


def blocks(field: Field) -> str:
    """Two rows of the map in each line of text, in 256 colours; the field in orange tones of the same brightness."""
    step = max(1, -(-field.picture.shape[1] // WIDEST))
    shades, mask = grey(field.picture)[::step, ::step], inside(field)
    mask = np.array([[mask[i : i + step, j : j + step].any() for j in range(0, mask.shape[1], step)]
                     for i in range(0, mask.shape[0], step)])  # fmt: skip
    if len(shades) % 2:
        shades, mask = np.vstack([shades, shades[-1:] * 0]), np.vstack([mask, mask[-1:] & False])
    lines = []
    for top in range(0, len(shades), 2):
        cells = zip(shades[top], shades[top + 1], mask[top], mask[top + 1], strict=True)
        lines.append("".join(f"\x1b[38;5;{_colour(a, p)};48;5;{_colour(b, q)}m▀" for a, b, p, q in cells) + "\x1b[0m")
    return "\n".join(lines)


def _colour(shade: float, marked: bool) -> int:
    if not marked:
        return GREYS[0] + int(shade * (GREYS[1] - 1))
    return (94, 130, 166, ACCENT, 215, 222)[int(shade * 5)]


def characters(field: Field) -> str:
    """The same without colours: `#` inside the field, `.` outside."""
    mask = inside(field)
    step = max(1, -(-mask.shape[1] // WIDEST))
    rows = range(0, mask.shape[0], 2 * step)
    return "\n".join(
        "".join("#" if mask[i : i + 2 * step, j : j + step].any() else "." for j in range(0, mask.shape[1], step))
        for i in rows
    )


def png(field: Field) -> str:
    """The map in grey as a `data:` address, one pixel for each number."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray((grey(field.picture) * 255).astype(np.uint8)).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")
