"""Max, average and global average pooling, window by window."""

import math
from dataclasses import dataclass

import numpy as np

from tests.oracles.result import Array, Result, flat, shaped
from tests.oracles.windows import pair, positions, taps

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window in one plane: its cells inside the image, and how many cells it has with the padding."""

    inside: list[tuple[int, int]]
    padded_count: int


def windows(
    size: tuple[int, int],
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> list[list[Window]]:
    """The windows of one plane, row by row."""
    kernels, paddings, dilations = pair(kernel_size), pair(padding), pair(dilation)
    strides = kernels if stride is None else pair(stride)
    tops, lefts = (
        positions(size[axis], kernels[axis], strides[axis], paddings[axis], dilations[axis], ceil_mode)
        for axis in (0, 1)
    )
    rows = []
    for top in tops:
        row = []
        for left in lefts:
            inside, padded_count = [], 0
            for r in taps(top, kernels[0], dilations[0]):
                for c in taps(left, kernels[1], dilations[1]):
                    # Windows that stick out under ceil_mode reach cells that are not even padding.
                    if r < size[0] + paddings[0] and c < size[1] + paddings[1]:
                        padded_count += 1
                    if 0 <= r < size[0] and 0 <= c < size[1]:
                        inside.append((r, c))
            row.append(Window(inside, padded_count))
        rows.append(row)
    return rows


def max_pool2d(
    x: Array,
    dy: Array | None = None,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    ties: str = "first",
) -> Result:
    """Largest value of each window; the gradient goes to the first maximum, row by row, or to all of them."""
    grid = windows((x.shape[2], x.shape[3]), kernel_size, stride, padding, dilation, ceil_mode)
    y = np.zeros((x.shape[0], x.shape[1], len(grid), len(grid[0])))
    if dy is None:
        dy = np.ones(y.shape)
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i, row in enumerate(grid):
                for j, window in enumerate(row):
                    values = [float(x[n, c, r, q]) for r, q in window.inside]
                    largest = max(values)
                    y[n, c, i, j] = largest
                    for cell, value in zip(window.inside, values, strict=True):
                        if value == largest:
                            dx[n, c, cell[0], cell[1]] += dy[n, c, i, j]
                            if ties == "first":
                                break
    return Result(y, dx)


def avg_pool2d(
    x: Array,
    dy: Array | None = None,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Result:
    """Mean of each window; padding counts as zeros, or does not count at all."""
    grid = windows((x.shape[2], x.shape[3]), kernel_size, stride, padding, 1, ceil_mode)
    y = np.zeros((x.shape[0], x.shape[1], len(grid), len(grid[0])))
    if dy is None:
        dy = np.ones(y.shape)
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i, row in enumerate(grid):
                for j, window in enumerate(row):
                    count = window.padded_count if count_include_pad else len(window.inside)
                    total = 0.0
                    for r, q in window.inside:
                        total += float(x[n, c, r, q])
                        dx[n, c, r, q] += dy[n, c, i, j] / count
                    y[n, c, i, j] = total / count
    return Result(y, dx)


def global_avg_pool2d(x: Array, dy: Array | None = None) -> Result:
    """Mean of each plane: (N, C, H, W) becomes (N, C)."""
    batch, channels, height, width = x.shape
    if dy is None:
        dy = np.ones((batch, channels))
    means, dxs = [], []
    for n in range(batch):
        for c in range(channels):
            means.append(sum(flat(x[n, c])) / (height * width))
            dxs += [float(dy[n, c]) / (height * width)] * (height * width)
    return Result(shaped(means, (batch, channels)), shaped(dxs, x.shape))


def global_max_pool2d(x: Array, dy: Array | None = None) -> Result:
    """The largest cell of each map; its gradient goes to the first of equal ones."""
    y = np.zeros(x.shape[:2])
    given = np.ones(y.shape) if dy is None else dy
    dx = np.zeros(x.shape)
    for n, maps in enumerate(x):
        for c, cells in enumerate(maps):
            values = flat(cells)
            best = max(values)
            y[n, c] = best
            dx[n, c, values.index(best) // x.shape[3], values.index(best) % x.shape[3]] = given[n, c]
    return Result(y, dx)


def adaptive_avg_pool2d(
    x: Array, dy: Array | None = None, *, output_size: int | tuple[int | None, int | None]
) -> Result:
    """Mean of each of so many windows along either axis; they may overlap."""
    wanted = (output_size, output_size) if isinstance(output_size, int) else output_size
    spans = []
    for size, out in zip(x.shape[2:], wanted, strict=True):
        number = size if out is None else out
        spans.append([range(math.floor(k * size / number), math.ceil((k + 1) * size / number)) for k in range(number)])
    y = np.zeros((*x.shape[:2], len(spans[0]), len(spans[1])))
    dy = np.ones(y.shape) if dy is None else dy
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i, rows in enumerate(spans[0]):
                for j, columns in enumerate(spans[1]):
                    cells = [(r, q) for r in rows for q in columns]
                    y[n, c, i, j] = math.fsum(float(x[n, c, r, q]) for r, q in cells) / len(cells)
                    for r, q in cells:
                        dx[n, c, r, q] += dy[n, c, i, j] / len(cells)
    return Result(y, dx)


def subsampling2d(x: Array, weight: Array, bias: Array, dy: Array | None = None, *, kernel_size: Size) -> Result:
    """Mean of each window that fits, times its map's coefficient, plus its map's bias."""
    rows, columns = pair(kernel_size)
    y = np.zeros((*x.shape[:2], x.shape[2] // rows, x.shape[3] // columns))
    dy = np.ones(y.shape) if dy is None else dy
    dx, dw, db = np.zeros(x.shape), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for n, c, i, j in np.ndindex(*y.shape):
        cells = [(i * rows + u, j * columns + v) for u in range(rows) for v in range(columns)]
        mean = math.fsum(float(x[n, c, r, q]) for r, q in cells) / len(cells)
        y[n, c, i, j] = mean * weight[c] + bias[c]
        dw[c] += dy[n, c, i, j] * mean
        db[c] += dy[n, c, i, j]
        for r, q in cells:
            dx[n, c, r, q] += dy[n, c, i, j] * weight[c] / len(cells)
    return Result(y, dx, {"weight": dw, "bias": db})
