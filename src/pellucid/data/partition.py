"""Orders and cuts that depend on nothing but the counts and the seed.

NumPy promises the raw output of its bit generators for ever, but not the results of
``Generator.permutation``. So an order is made by sorting raw PCG64 numbers: the same seed gives the same
order under every NumPy version.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.data.source import Labels
from pellucid.errors import ConfigError

Indices = npt.NDArray[np.int64]

MAX_SEED = 2**63 - 1
SMALL_CLASS = 3
"""A class with at least this many images gives at least one to each cut."""


def check_seed(seed: int, what: str = "seed") -> int:
    """Return a seed that can be used, or raise ConfigError."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"{what} must be a whole number from 0 to {MAX_SEED}, but is {seed!r}.")
    return int(seed)


def random_order(count: int, key: Sequence[int]) -> Indices:
    """The numbers 0..count-1 in an order drawn from the key."""
    # The length goes in first: SeedSequence pads with zeros, and [3] must differ from [3, 0].
    generator = np.random.PCG64(np.random.SeedSequence([len(key), *key]))
    return np.argsort(generator.random_raw(count), kind="stable").astype(np.int64)


def stratified_cut(labels: Labels, fraction: float, key: Sequence[int]) -> tuple[Indices, Indices]:
    """Cut a fraction of every class off; returns (kept, cut) indices, each in ascending order.

    From a class with n images round(fraction * n) are cut, a half rounded up; at least one if the class has
    three, and never the last one.
    """
    cut: list[Indices] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = int(np.floor(fraction * len(members) + 0.5))
        if fraction > 0 and len(members) >= SMALL_CLASS:
            count = max(count, 1)
        count = min(count, len(members) - 1)
        cut.append(members[random_order(len(members), (*key, int(label)))[:count]])
    chosen = np.sort(np.concatenate(cut)) if cut else np.empty(0, np.int64)
    kept = np.setdiff1d(np.arange(len(labels)), chosen, assume_unique=True)
    return kept.astype(np.int64), chosen.astype(np.int64)
