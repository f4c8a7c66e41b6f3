"""Batches of one epoch: shuffled by (seed, epoch), normalised, prepared ahead in a background thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.data.counter import Draws
from pellucid.data.dataset import Dataset
from pellucid.data.partition import Indices, check_seed, random_order
from pellucid.data.prefetch import Prefetcher
from pellucid.data.source import Labels
from pellucid.data.transforms import Transform
from pellucid.errors import ConfigError

Batch: TypeAlias = tuple[npt.NDArray[np.float32] | npt.NDArray[np.int64], Labels]


class Batches:
    """The batches (x (n, C, H, W) float32, y (n,) int64) of one epoch; the last may be smaller.

    The same seed and epoch give the same order and the same random changes. ``start`` skips that many
    batches, so a resumed epoch goes on where it stopped. ``prefetch`` batches are prepared ahead (0: none, no
    thread). Every ``iter`` starts anew; its iterator has ``close`` and is a context manager when a thread
    works for it.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        epoch: int = 0,
        start: int = 0,
        prefetch: int = 2,
        transforms: Sequence[Transform] = (),
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size must be 1 or more, but is {batch_size}.")
        if prefetch < 0:
            raise ConfigError(f"prefetch must be 0 or more batches, but is {prefetch}.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = check_seed(seed)
        self.epoch = check_seed(epoch, "epoch")
        self.prefetch = prefetch
        self.transforms = tuple(transforms)
        self.total = -(-len(dataset) // batch_size)
        if not 0 <= start <= self.total:
            raise ConfigError(f"start must be a batch number from 0 to {self.total}, but is {start}.")
        self.start = start

    def __len__(self) -> int:
        """The batches still to come: ``total - start``."""
        return self.total - self.start

    def order(self) -> Indices:
        """The indices of all images in the order of this epoch, those before ``start`` included."""
        if not self.shuffle:
            return np.arange(len(self.dataset), dtype=np.int64)
        return random_order(len(self.dataset), (self.seed, self.epoch))

    def __iter__(self) -> Iterator[Batch]:
        batches = self._prepared()
        return Prefetcher(batches, self.prefetch, "pellucid-batches") if self.prefetch else batches

    def _prepared(self) -> Iterator[Batch]:
        order = self.order()
        for number in range(self.start, self.total):
            yield self._batch(order[number * self.batch_size : (number + 1) * self.batch_size])

    def _batch(self, indices: Indices) -> Batch:
        images = self.dataset.images[indices]
        for position, transform in enumerate(self.transforms):
            images = transform(images, Draws((self.seed, self.epoch, position), indices))
        return self.dataset.normalisation.apply(images), self.dataset.labels[indices]
