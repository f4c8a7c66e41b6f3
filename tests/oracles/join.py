"""Joining parts of an image's channels, the last part first; and the shortcut that pads with zeros."""

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


def padded_shortcut(x: Array, dy: Array | None = None, *, out_channels: int, stride: int = 1) -> Result:
    """Every so many rows and columns of each channel; further channels are 0."""
    rows, columns = range(0, x.shape[2], stride), range(0, x.shape[3], stride)
    y = np.zeros((x.shape[0], out_channels, len(rows), len(columns)))
    dy = np.ones(y.shape) if dy is None else dy
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    y[n, c, i, j] = x[n, c, row, column]
                    dx[n, c, row, column] = dy[n, c, i, j]
    return Result(y, dx)
