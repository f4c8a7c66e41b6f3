"""Random numbers by position: a value depends on (seed, epoch, transform, draw, sample), not on any order.

So a picture is changed in the same way whatever batch it is in, and after a resume as before.
The mixing function is the one of SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Draws:
    """The random numbers of one transform for some samples; every call gives fresh ones, one per sample."""

    def __init__(self, key: Sequence[int], samples: npt.NDArray[np.int64]) -> None:
        self._key = tuple(key)
        self._samples = samples.astype(np.uint64)
        self._calls = 0

    def uniform(self) -> npt.NDArray[np.float64]:
        """Numbers from [0, 1), one per sample."""
        state = np.zeros(1, np.uint64)
        for part in (*self._key, self._calls):
            state = _mixed((state ^ np.array([part], np.uint64)) + _GOLDEN)
        self._calls += 1
        bits = _mixed(_mixed((state ^ self._samples) + _GOLDEN) + _GOLDEN)
        return np.asarray((bits >> np.uint64(11)) * 2.0**-53, np.float64)

    def integers(self, bound: int) -> npt.NDArray[np.int64]:
        """Whole numbers from 0 to bound - 1, one per sample."""
        return np.floor(self.uniform() * bound).astype(np.int64)
