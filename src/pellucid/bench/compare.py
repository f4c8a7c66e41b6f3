"""Whether two sides computed the same: a fast wrong answer is no result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pellucid.bench.workloads import Values

TOLERANCE = 1e-4
"""The largest relative L2 distance of two float32 results; sums in another order differ by about 1e-6."""


def distance(ours: Values, theirs: Values) -> float:
    """The relative L2 distance; infinite where shapes differ or a number is not finite."""
    if ours.shape != theirs.shape or not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return float("inf")
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    size = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / size if size else float(np.linalg.norm(a))


def largest(ours: Mapping[str, Values], theirs: Mapping[str, Values]) -> tuple[float, str]:
    """The largest distance over all results of a run, and where it is; infinite for one that a side lacks."""
    names = dict.fromkeys((*ours, *theirs))
    found = {n: distance(ours[n], theirs[n]) if n in ours and n in theirs else float("inf") for n in names}
    worst = max(found, key=lambda name: found[name])
    return found[worst], worst
