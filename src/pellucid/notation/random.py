"""Random numbers that are a function of where they are used, so that a run can be repeated and resumed exactly.

Threefry-2x32 with 20 rounds: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA


def threefry2x32(
    key0: npt.ArrayLike, key1: npt.ArrayLike, counter0: npt.ArrayLike, counter1: npt.ArrayLike
) -> tuple[Words, Words]:
    """Two random 32-bit words for every (key, counter); the arguments are uint32 and broadcast."""
    k0, k1, x0, x1 = (np.asarray(word, dtype=np.uint32) for word in (key0, key1, counter0, counter1))
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    with np.errstate(over="ignore"):
        x0, x1 = x0 + keys[0], x1 + keys[1]
        for group in range(5):
            for rotation in ROTATIONS[:4] if group % 2 == 0 else ROTATIONS[4:]:
                x0 = x0 + x1
                x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
                x1 = x1 ^ x0
            x0 = x0 + keys[(group + 1) % 3]
            x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def uniform(
    seed: npt.ArrayLike, stream: npt.ArrayLike, step: npt.ArrayLike, position: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Numbers in [0, 1) with 24 random bits, exact in float32; `stream` tells one use from another."""
    words, _ = threefry2x32(seed, stream, step, position)
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
