"""Random changes to training images, new in every epoch, reproducible for each (seed, epoch, sample)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pellucid.data.counter import Draws
from pellucid.data.source import Images
from pellucid.errors import ConfigError


class Transform(Protocol):
    """Takes images (n, C, H, W) before normalisation; returns changed copies of the same shape and type."""

    def __call__(self, images: Images, draws: Draws) -> Images:
        """Change the images with random numbers from ``draws``."""


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Mirror an image left to right with the given probability."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"a flip's probability must lie in 0..1, but is {self.probability}.")

    def __call__(self, images: Images, draws: Draws) -> Images:
        """Flip the chosen images."""
        flipped = draws.uniform() < self.probability
        changed = images.copy()
        changed[flipped] = images[flipped][..., ::-1]
        return changed


@dataclass(frozen=True)
class RandomCrop:
    """Pad with ``padding`` black pixels on every side, then cut a random window of the old size."""

    padding: int = 4

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ConfigError(f"a crop's padding must be 0 or more pixels, but is {self.padding}.")

    def __call__(self, images: Images, draws: Draws) -> Images:
        """Shift every image, black moving in."""
        height, width = images.shape[2:]
        places = 2 * self.padding + 1
        tops, lefts = draws.integers(places), draws.integers(places)
        margin = (self.padding, self.padding)
        padded = np.pad(images, ((0, 0), (0, 0), margin, margin))
        windows = [
            image[:, top : top + height, left : left + width]
            for image, top, left in zip(padded, tops, lefts, strict=True)
        ]
        return np.stack(windows)
