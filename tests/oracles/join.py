"""Joining parts of an image's channels, the last part first."""

import numpy as np

from tests.oracles.result import Array, Result


def add(x: Array, dy: Array | None = None, *, parts: tuple[int, ...]) -> Result:
    """The sum of equally many channels of each part."""
    number = parts[0]
    y = np.zeros((x.shape[0], number, *x.shape[2:]))
    dy = np.ones(y.shape) if dy is None else dy
    dx = np.zeros(x.shape)
    for channel in range(x.shape[1]):
        for n in range(x.shape[0]):
            y[n, channel % number] += x[n, channel]
            dx[n, channel] = dy[n, channel % number]
    return Result(y, dx)


def concat(x: Array, dy: Array | None = None, *, parts: tuple[int, ...]) -> Result:
    """All channels of the last part, then those of the one before it, and so on."""
    dy = np.ones(x.shape) if dy is None else dy
    y, dx = np.zeros(x.shape), np.zeros(x.shape)
    order: list[int] = []
    end = x.shape[1]
    for size in reversed(parts):
        order += range(end - size, end)
        end -= size
    for place, channel in enumerate(order):
        y[:, place] = x[:, channel]
        dx[:, channel] = dy[:, place]
    return Result(y, dx)
