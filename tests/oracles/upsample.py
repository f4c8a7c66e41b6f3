"""Upsampling, cell by cell: where each new cell comes from, in exact fractions."""

from fractions import Fraction
from itertools import product
from math import floor

import numpy as np

from tests.oracles.result import Array, Result

Sources = list[tuple[int, float]]
"""Old cells along one axis that a new cell is mixed from, with their shares."""


def sources(mode: str, align: bool, old: int, new: int, step: Fraction, at: int) -> Sources:
    """What the new cell number `at` is made of, when one new cell spans `step` old ones."""
    if mode == "nearest":
        return [(min(floor(at * step), old - 1), 1.0)]
    if align:
        place = Fraction(at * (old - 1), new - 1) if new > 1 else Fraction(0)
    else:
        half = Fraction(1, 2)
        place = (at + half) * step - half
    place = min(max(place, Fraction(0)), Fraction(old - 1))
    below = floor(place)
    share = place - below
    return [(below, float(1 - share)), (min(below + 1, old - 1), float(share))]


def upsample(
    x: Array,
    dy: Array | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    scale_factor: float | tuple[float, float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Result:
    """Images in another size, and the gradient by the old ones."""
    old = x.shape[2:]
    if size is not None:
        new = size if isinstance(size, tuple) else (size, size)
        steps = [Fraction(a, b) for a, b in zip(old, new, strict=True)]
    else:
        both = scale_factor if isinstance(scale_factor, tuple) else (scale_factor, scale_factor)
        # A factor such as 0.7 means seven tenths, not the nearest binary number.
        factors = [Fraction(str(factor)) for factor in both]
        new = (floor(old[0] * factors[0]), floor(old[1] * factors[1]))
        steps = [1 / factor for factor in factors]
    mixed = [[sources(mode, bool(align_corners), old[a], new[a], steps[a], at) for at in range(new[a])] for a in (0, 1)]
    y = np.zeros((*x.shape[:2], *new))
    given = np.ones(y.shape) if dy is None else dy
    dx = np.zeros(x.shape)
    for n, c, i, j in product(*map(range, y.shape)):
        for (row, a), (column, b) in product(mixed[0][i], mixed[1][j]):
            y[n, c, i, j] += a * b * x[n, c, row, column]
            dx[n, c, row, column] += a * b * given[n, c, i, j]
    return Result(y, dx)
