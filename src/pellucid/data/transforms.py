"""Random changes to training images, new in every epoch, reproducible for each (seed, epoch, sample)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.data.counter import Draws
from pellucid.data.source import Images
from pellucid.errors import ConfigError

Numbers: TypeAlias = npt.NDArray[np.float64]
Pixels: TypeAlias = npt.NDArray[np.int64]

_AREAS = (0.02, 0.33)
"""The least and the largest share of an image that is erased."""
_SHAPES = (log(0.3), log(3.3))
"""Logarithms of the least and the largest height of a rectangle, divided by its width."""


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
    """Pad with ``padding`` pixels on every side, then cut a random window of the old size.

    The pixels outside an image are black (``padding_mode="constant"``) or its mirror image (``"reflect"``).
    """

    padding: int = 4
    padding_mode: Literal["constant", "reflect"] = "constant"

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ConfigError(f"a crop's padding must be 0 or more pixels, but is {self.padding}.")
        if self.padding_mode not in ("constant", "reflect"):
            raise ConfigError(f'a crop\'s padding_mode is "constant" or "reflect", but is {self.padding_mode!r}.')

    def __call__(self, images: Images, draws: Draws) -> Images:
        """Shift every image; what moves in is black or mirrored."""
        height, width = images.shape[2:]
        places = 2 * self.padding + 1
        tops, lefts = draws.integers(places), draws.integers(places)
        margin = (self.padding, self.padding)
        padded = np.pad(images, ((0, 0), (0, 0), margin, margin), self.padding_mode)
        windows = [
            image[:, top : top + height, left : left + width]
            for image, top, left in zip(padded, tops, lefts, strict=True)
        ]
        return np.stack(windows)


@dataclass(frozen=True)
class RandomErasing:
    """Paint a random rectangle of an image in the image's mean colour, with the given probability.

    The rectangle covers 2 to 33 % of the image, its height is 0.3 to 3.3 times its width; a side longer than
    the image's is cut to it. Source: Zhong et al., "Random erasing data augmentation", AAAI 2020.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"an erasing's probability must lie in 0..1, but is {self.probability}.")

    def __call__(self, images: Images, draws: Draws) -> Images:
        """Erase a part of the chosen images."""
        chosen = np.flatnonzero(draws.uniform() < self.probability)
        area = _between(_AREAS, draws.uniform())
        # The logarithm is uniform: flat rectangles are as likely as upright ones.
        root = np.exp(_between(_SHAPES, draws.uniform()) / 2)
        tops, bottoms = _span(images.shape[2], np.sqrt(area) * root, draws.uniform())
        lefts, rights = _span(images.shape[3], np.sqrt(area) / root, draws.uniform())
        changed = images.copy()
        for n in chosen:
            mean = images[n].mean(axis=(1, 2), keepdims=True)
            changed[n, :, tops[n] : bottoms[n], lefts[n] : rights[n]] = mean.astype(images.dtype)
        return changed


def _between(limits: tuple[float, float], share: Numbers) -> Numbers:
    low, high = limits
    return low + (high - low) * share


def _span(extent: int, share: Numbers, place: Numbers) -> tuple[Pixels, Pixels]:
    """First and end pixel of a stretch that takes a share of an extent, somewhere within it."""
    length = np.clip(np.rint(extent * share), 1, extent).astype(np.int64)
    first = np.floor((extent - length + 1) * place).astype(np.int64)
    return first, first + length
