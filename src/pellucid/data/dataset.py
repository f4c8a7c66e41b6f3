"""One split in memory: bytes as they were read, normalised only when a batch is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.data.normalisation import Batch, Normalisation
from pellucid.data.source import Images, Labels
from pellucid.errors import DataError


def is_tokens(images: Images) -> bool:
    """Whether these are sentences of tokens (N, L) rather than images."""
    return images.ndim == 2 and images.dtype == np.int64


def check_tokens(sentences: Images) -> None:
    """Raise DataError for a negative token."""
    lowest = int(sentences.min(initial=0))
    if lowest < 0:
        raise DataError(f"tokens are whole numbers from 0 on, but one of them is {lowest}.")


def check_arrays(images: Images, labels: Labels, classes: int) -> None:
    """Raise DataError unless these are images or sentences with labels (N,) from 0 to ``classes`` - 1."""
    if is_tokens(images):
        check_tokens(images)
    elif images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
        raise DataError(
            f"images must be (N, C, H, W) of uint8 or float32, but are {images.shape} of {images.dtype} "
            "(sentences of tokens: (N, L) of int64)."
        )
    if labels.shape != (len(images),) or labels.dtype != np.int64:
        raise DataError(
            f"labels must be ({len(images)},) of int64, one per image, but are {labels.shape} of {labels.dtype}."
        )
    if images.size == 0:
        raise DataError(f"there are no pixels: the images are {images.shape}.")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= classes:
        raise DataError(f"labels must go from 0 to {classes - 1}, but go from {lowest} to {highest}.")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images (N, C, H, W) as uint8 or float32, labels (N,) as int64 class numbers, and their normalisation.

    In place of images, sentences (N, L) of tokens as int64, which are handed out as they are.
    Raises DataError when counts, types or labels do not fit.
    """

    images: Images
    labels: Labels
    classes: tuple[str, ...]
    normalisation: Normalisation

    def __post_init__(self) -> None:
        check_arrays(self.images, self.labels, len(self.classes))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W), or (L,) of sentences."""
        return tuple(self.images.shape[1:])

    def image(self, index: int) -> Batch:
        """One normalised image (C, H, W)."""
        (normalised,) = self.normalisation.apply(self.images[index][np.newaxis])
        return np.asarray(normalised)

    def batch(self, indices: npt.ArrayLike) -> tuple[Batch, Labels]:
        """The normalised images (n, C, H, W) and labels (n,) at these indices."""
        chosen = np.asarray(indices, dtype=np.int64)
        return self.normalisation.apply(self.images[chosen]), self.labels[chosen]

    def counts(self) -> dict[str, int]:
        """Images per class."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}
