"""Whether two sides computed the same: a fast wrong answer is no result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pellucid.bench.workloads import Values

TOLERANCE = 1e-4
"""The largest relative L2 distance of two float32 results; sums in another order differ by about 1e-6."""

KINK = 0.1
"""How far the gradients of a training step may be apart.

Among the millions of activations of a large network some lie so close to 0, or to the maximum of their window, that
rounding decides on which side of the kink they are; every gradient before one then differs by what that one adds to it.
PyTorch's own gradients of ResNet-50 are up to 4 % off those in float64, and so are ours. A wrong formula puts
the gradient of its layer further off, or all before it; that every formula is right to the last digits is for the
tests, on inputs without such ties.
"""


def distance(ours: Values, theirs: Values) -> float:
    """The relative L2 distance; infinite where shapes differ or a number is not finite."""
    if ours.shape != theirs.shape or not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return float("inf")
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    size = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / size if size else float(np.linalg.norm(a))


def disagreement(ours: Mapping[str, Values], theirs: Mapping[str, Values]) -> tuple[float, str]:
    """How far the results of a run are apart, and where most; infinite for one that a side lacks.

    Gradients ("d ...") count only where one is further apart than `KINK`.
    """
    names = dict.fromkeys((*ours, *theirs))
    found = {n: distance(ours[n], theirs[n]) if n in ours and n in theirs else float("inf") for n in names}
    gradients = {name: apart for name, apart in found.items() if name.startswith("d ")}
    if len(gradients) < len(found) and max(gradients.values(), default=0.0) <= KINK:
        found = {name: apart for name, apart in found.items() if name not in gradients}
    worst = max(found, key=lambda name: found[name])
    return found[worst], worst
