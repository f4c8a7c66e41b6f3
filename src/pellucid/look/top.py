"""The images of a data set that excite each channel most, and where in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pellucid.errors import UsageError
from pellucid.look.network import Array, Network
from pellucid.look.receptive import Fields
from pellucid.notation import Index, Tensor
from pellucid.notation.expression import Reduce


class Images(Protocol):
    """What is searched: so many images, taken by their numbers; `pellucid.data.Dataset` is one."""

    def __len__(self) -> int: ...

    def batch(self, indices: npt.ArrayLike) -> tuple[Array, Array]: ...


@dataclass(frozen=True)
class Top:
    """For each channel the largest values found, the images' numbers and the places (row, column): (channels, k)."""

    values: Array
    images: Array
    places: Array


def top_images(network: Network, name: str, images: Images, k: int = 9) -> Top:
    """The k images with the largest value of each channel of a layer, each image once, at its largest place.

    The images pass through in batches of the network's size. Of each batch only the maximum of each image and channel
    leaves the engine, and only the k best are kept, so that memory does not grow with the data.

        M[n,c] = max(i,j) A[n,c,i,j]

    Raises UsageError for k below 1.
    """
    if k < 1:
        raise UsageError(f"there must be at least 1 image for each channel; got {k}")
    maps = network.layer(name)
    run = network.compile([_reduced("max", maps), _reduced("argmax", maps)])
    channels, width = maps.extents[1], maps.extents[3]
    values, numbers, where = np.empty((channels, 0)), np.empty((channels, 0), int), np.empty((channels, 0), int)
    for chosen in _batches(len(images), network.count):
        pixels, _ = images.batch(chosen)
        short = network.count - len(chosen)
        largest, at = run({"input": np.concatenate([pixels, np.repeat(pixels[:1], short, axis=0)])})
        values = np.concatenate([values, largest[: len(chosen)].T], axis=1)
        numbers = np.concatenate([numbers, np.tile(chosen, (channels, 1))], axis=1)
        where = np.concatenate([where, at[: len(chosen)].T], axis=1)
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        values, numbers, where = (np.take_along_axis(a, best, axis=1) for a in (values, numbers, where))
    return Top(values, numbers, np.stack([where // width, where % width], axis=-1))


def _batches(count: int, size: int) -> Iterator[npt.NDArray[np.int64]]:
    for first in range(0, count, size):
        yield np.arange(first, min(first + size, count))


def _reduced(kind: str, maps: Tensor) -> Tensor:
    """The largest value of each map, or its place in reading order."""
    images, channels, height, width = maps.extents
    n, c, i, j = Index("n", images), Index("c", channels), Index("i", height), Index("j", width)
    found = Tensor("M" if kind == "max" else "P", kind="float" if kind == "max" else "int", name=f"top.{kind}")
    found[n, c] = Reduce(kind, (i, j), maps[n, c, i, j])
    return found


def crop(fields: Fields, maps: Tensor, image: Array, channel: int, place: tuple[int, ...]) -> Array:
    """The part of an image (C, H, W) that an element of a layer sees, cut at the image's border."""
    field = fields.of(maps, (0, channel, *place))
    (top, bottom), (left, right) = (field.bounds(axis) for axis in fields.axes())
    return image[:, top : bottom + 1, left : right + 1]
