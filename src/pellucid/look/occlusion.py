"""Occlusion: what a class loses when a part of the image is covered."""

from __future__ import annotations

import numpy as np

from pellucid.errors import UsageError
from pellucid.look.network import Array, Network
from pellucid.models.output import probabilities

CELLS = 10
"""A patch has about a fifth of the image's side and moves by half of that."""


def patch_for(shape: tuple[int, ...]) -> tuple[int, int]:
    """The side of the patch and its step, in pixels, for images of a shape (C, H, W)."""
    step = max(1, round(min(shape[1:]) / CELLS))
    return 2 * step, step


def occlusion(network: Network, image: Array, label: int, patch: int, step: int, fill: float = 0.0) -> Array:
    """How much of the class's probability each position of the patch takes away (rows, columns), for one image.

    The patch has the value `fill`; 0 is the mean of the training images, once they are normalised. It moves by `step`
    from corner to corner; at the border it hangs over, so that every pixel is covered equally often. The network's
    batch says how many positions are computed at once.

    Source: Zeiler, Fergus, ECCV 2014, section 4.2.

    Raises UsageError for a patch or a step that is no size.
    """
    if patch < 1 or step < 1:
        raise UsageError(f"the patch and its step must be at least 1 pixel; got {patch} and {step}")
    _, height, width = image.shape
    rows, columns = (np.arange(step - patch, size, step) for size in (height, width))
    places = [(int(row), int(column)) for row in rows for column in columns]
    run = network.compile([network.output])
    whole = probabilities(network.model, run({"input": np.repeat(image[None], network.count, axis=0)})[0])[0, label]
    drops: list[float] = []
    for first in range(0, len(places), network.count):
        some = places[first : first + network.count]
        covered = np.repeat(image[None], network.count, axis=0)
        for one, (row, column) in zip(covered, some, strict=False):
            one[:, max(row, 0) : row + patch, max(column, 0) : column + patch] = fill
        left = probabilities(network.model, run({"input": covered})[0])
        drops += [float(whole - p) for p in left[: len(some), label]]
    return np.array(drops).reshape(len(rows), len(columns))


def spread(drops: Array, shape: tuple[int, int], patch: int, step: int) -> Array:
    """The same for each pixel (H, W): the mean over the positions of the patch that cover it."""
    total, count = np.zeros(shape), np.zeros(shape)
    for (r, c), drop in np.ndenumerate(drops):
        row, column = (k * step + step - patch for k in (r, c))
        inside = np.s_[max(row, 0) : row + patch, max(column, 0) : column + patch]
        total[inside] += drop
        count[inside] += 1
    return total / np.maximum(count, 1)
