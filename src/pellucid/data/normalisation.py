"""Normalisation: x = (v / full_scale - mean[c]) / std[c], with mean and deviation of the training images.

The same numbers are used for validation, test and prediction; they travel with the run in ``data.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.data.source import Images
from pellucid.errors import DataError

Batch: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.int64]
"""What a network is given: normalised images, or tokens."""

COUNTED_TOGETHER = 1024
"""Images counted in one piece."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and deviation per channel, of values divided by ``full_scale`` (255 for bytes, 1 for floats)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    full_scale: float = 255.0

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.std, self.full_scale)
        if not self.mean or len(self.mean) != len(self.std) or not np.isfinite(numbers).all():
            raise DataError(f"a normalisation needs one finite mean and deviation per channel, but has {self}.")
        if min(*self.std, self.full_scale) <= 0:
            raise DataError(f"a normalisation's deviations and full scale must be positive, but it is {self}.")

    @classmethod
    def measured_on(cls, images: Images) -> Normalisation:
        """Measure images (N, C, H, W). A channel without any variation gets the deviation 1; tokens stay as they are.

        Bytes are counted rather than summed, so the result is exact and the same everywhere.
        """
        if images.dtype == np.int64:
            return cls((0.0,), (1.0,), full_scale=1.0)
        if images.dtype == np.uint8:
            moments = [_exact_moments(counts) for counts in _counts(images)]
            return cls(tuple(mean for mean, _ in moments), tuple(std or 1.0 for _, std in moments))
        means = images.mean(axis=(0, 2, 3), dtype=np.float64).tolist()
        deviations = images.std(axis=(0, 2, 3), dtype=np.float64)
        varies = images.max(axis=(0, 2, 3)) > images.min(axis=(0, 2, 3))
        return cls(tuple(means), tuple(np.where(varies, deviations, 1.0).tolist()), full_scale=1.0)

    @cached_property
    def _tables(self) -> npt.NDArray[np.float32]:
        """(C, 256): the normalised value of every byte, rounded once from float64."""
        levels = np.arange(256) / self.full_scale
        mean, std = np.array(self.mean)[:, np.newaxis], np.array(self.std)[:, np.newaxis]
        return np.asarray((levels - mean) / std, np.float32)

    def apply(self, images: Images) -> Batch:
        """Normalise images (N, C, H, W) to float32; tokens are numbers of things, which cannot be normalised."""
        if images.dtype == np.int64:
            return images.astype(np.int64)
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise DataError(
                f"the normalisation is for images (N, {len(self.mean)}, H, W), but these are {images.shape}."
            )
        if images.dtype == np.uint8:
            normalised = np.empty(images.shape, np.float32)
            for channel, table in enumerate(self._tables):
                normalised[:, channel] = table[images[:, channel]]
            return normalised
        mean, std = (np.array(values, np.float32).reshape(1, -1, 1, 1) for values in (self.mean, self.std))
        scaled = images.astype(np.float32) / np.float32(self.full_scale)
        return np.asarray((scaled - mean) / std, np.float32)

    def to_json(self) -> dict[str, object]:
        """The numbers as they are stored in ``data.json``."""
        return {"mean": list(self.mean), "std": list(self.std), "full_scale": self.full_scale}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Normalisation:
        """Read what ``to_json`` wrote; raises DataError for anything else."""
        mean, std = _numbers(document.get("mean")), _numbers(document.get("std"))
        full_scale = _numbers([document.get("full_scale")])
        if mean is None or std is None or full_scale is None:
            raise DataError(f"a stored normalisation has the numbers mean, std and full_scale, but this is {document}.")
        return cls(mean, std, full_scale[0])


def _counts(images: Images) -> npt.NDArray[np.int64]:
    """(C, 256): how often every byte occurs, a piece at a time, as counting takes eight times the memory."""
    channels = images.shape[1]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(images), COUNTED_TOGETHER):
        piece = images[start : start + COUNTED_TOGETHER]
        for channel in range(channels):
            counts[channel] += np.bincount(piece[:, channel].ravel(), minlength=256)
    return counts


def _exact_moments(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Mean and deviation of counted bytes, divided by 255; in whole numbers up to the last step."""
    total = int(counts.sum())
    first = sum(level * int(count) for level, count in enumerate(counts))
    second = sum(level * level * int(count) for level, count in enumerate(counts))
    return first / total / 255, math.sqrt(total * second - first * first) / total / 255


def _numbers(values: object) -> tuple[float, ...] | None:
    """A list of numbers as a tuple; None for anything else."""
    if not isinstance(values, list):
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    return tuple(float(value) for value in values)
