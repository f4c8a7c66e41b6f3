"""Convolutions as lists of (output, input, weight) triples, each of them one multiplication."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.oracles.result import Array, Result, flat, shaped
from tests.oracles.windows import paddings, pair, positions, taps

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Shapes of the input (N, C, H, W) and the weight (O, C / groups, KH, KW) and how the kernel moves."""

    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    stride: tuple[int, int]
    padding: tuple[int | str, int | str]
    dilation: tuple[int, int]
    groups: int
    flip: bool

    def rows(self) -> list[int]:
        """First row of every window."""
        return positions(self.x_shape[2], self.w_shape[2], self.stride[0], self.padding[0], self.dilation[0])

    def columns(self) -> list[int]:
        """First column of every window."""
        return positions(self.x_shape[3], self.w_shape[3], self.stride[1], self.padding[1], self.dilation[1])

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """Output shape (N, O, H', W')."""
        return (self.x_shape[0], self.w_shape[0], len(self.rows()), len(self.columns()))


def products(geometry: Geometry) -> Iterator[tuple[int, int, int]]:
    """Row-major positions (in y, in x, in w) of every multiplication the layer performs."""
    batch, channels, height, width = geometry.x_shape
    maps, depth, kernel_height, kernel_width = geometry.w_shape
    rows, columns = geometry.rows(), geometry.columns()
    maps_per_group = maps // geometry.groups
    for n in range(batch):
        for o in range(maps):
            group = o // maps_per_group
            for i, top in enumerate(rows):
                for j, left in enumerate(columns):
                    y_at = ((n * maps + o) * len(rows) + i) * len(columns) + j
                    for c in range(depth):
                        for u, row in enumerate(taps(top, kernel_height, geometry.dilation[0])):
                            if not 0 <= row < height:
                                continue
                            for v, column in enumerate(taps(left, kernel_width, geometry.dilation[1])):
                                if not 0 <= column < width:
                                    continue
                                # True convolution walks through the kernel backwards, from its last cell.
                                ku = kernel_height - 1 - u if geometry.flip else u
                                kv = kernel_width - 1 - v if geometry.flip else v
                                x_at = ((n * channels + group * depth + c) * height + row) * width + column
                                w_at = ((o * depth + c) * kernel_height + ku) * kernel_width + kv
                                yield y_at, x_at, w_at


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    dy: Array | None = None,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    flip: bool = False,
) -> Result:
    """Convolution and its gradients for the output gradient `dy` (all ones if none is given)."""
    geometry = Geometry(x.shape, weight.shape, pair(stride), paddings(padding), pair(dilation), groups, flip)
    y_shape = geometry.y_shape
    per_map = y_shape[2] * y_shape[3]
    xs, ws = flat(x), flat(weight)
    dys = flat(np.ones(y_shape) if dy is None else dy)
    biases = [0.0] * y_shape[1] if bias is None else flat(bias)
    ys = [biases[at // per_map % y_shape[1]] for at in range(len(dys))]
    dxs, dws = [0.0] * len(xs), [0.0] * len(ws)
    for y_at, x_at, w_at in products(geometry):
        ys[y_at] += xs[x_at] * ws[w_at]
        dxs[x_at] += dys[y_at] * ws[w_at]
        dws[w_at] += dys[y_at] * xs[x_at]
    gradients = {"weight": shaped(dws, weight.shape)}
    if bias is not None:
        dbs = [0.0] * y_shape[1]
        for at, value in enumerate(dys):
            dbs[at // per_map % y_shape[1]] += value
        gradients["bias"] = shaped(dbs, bias.shape)
    return Result(shaped(ys, y_shape), shaped(dxs, x.shape), gradients)


def fixed_filter2d(x: Array, kernel: Array, dy: Array | None = None, *, stride: Size = 1, padding: Size = 0) -> Result:
    """One given kernel slid over every channel on its own; nothing is learned."""
    channels = x.shape[1]
    weight = np.stack([kernel[None, :, :]] * channels)
    result = conv2d(x, weight, None, dy, stride=stride, padding=padding, groups=channels)
    return Result(result.y, result.dx)


def scattered(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Iterator[tuple[int, int, int]]:
    """Positions (in y, in x, in w): every input cell puts a copy of the kernel, scaled, onto the larger image."""
    batch, maps, height, width = x_shape
    _, depth, kernel_height, kernel_width = w_shape
    _, channels, rows, columns = y_shape
    for n in range(batch):
        for m in range(maps):
            group = m // (maps // groups)
            for i in range(height):
                for j in range(width):
                    for c in range(depth):
                        for u in range(kernel_height):
                            row = i * stride[0] + u * dilation[0] - padding[0]
                            if not 0 <= row < rows:
                                continue
                            for v in range(kernel_width):
                                column = j * stride[1] + v * dilation[1] - padding[1]
                                if not 0 <= column < columns:
                                    continue
                                y_at = ((n * channels + group * depth + c) * rows + row) * columns + column
                                x_at = ((n * maps + m) * height + i) * width + j
                                w_at = ((m * depth + c) * kernel_height + u) * kernel_width + v
                                yield y_at, x_at, w_at


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    dy: Array | None = None,
    *,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Result:
    """Transposed convolution, written as scattering, and its gradients for the output gradient `dy`."""
    steps, margins, gaps, extras = pair(stride), pair(padding), pair(dilation), pair(output_padding)
    extents = [
        (x.shape[2 + a] - 1) * steps[a] + gaps[a] * (weight.shape[2 + a] - 1) + 1 - 2 * margins[a] + extras[a]
        for a in (0, 1)
    ]
    y_shape = (x.shape[0], weight.shape[1] * groups, *extents)
    per_map = extents[0] * extents[1]
    xs, ws = flat(x), flat(weight)
    dys = flat(np.ones(y_shape) if dy is None else dy)
    biases = [0.0] * y_shape[1] if bias is None else flat(bias)
    ys = [biases[at // per_map % y_shape[1]] for at in range(len(dys))]
    dxs, dws = [0.0] * len(xs), [0.0] * len(ws)
    for y_at, x_at, w_at in scattered(x.shape, weight.shape, y_shape, steps, margins, gaps, groups):
        ys[y_at] += xs[x_at] * ws[w_at]
        dxs[x_at] += dys[y_at] * ws[w_at]
        dws[w_at] += dys[y_at] * xs[x_at]
    gradients = {"weight": shaped(dws, weight.shape)}
    if bias is not None:
        dbs = [0.0] * y_shape[1]
        for at, value in enumerate(dys):
            dbs[at // per_map % y_shape[1]] += value
        gradients["bias"] = shaped(dbs, bias.shape)
    return Result(shaped(ys, y_shape), shaped(dxs, x.shape), gradients)


def table_conv2d(
    x: Array, weight: Array, bias: Array, dy: Array | None = None, *, table: tuple[tuple[int, ...], ...]
) -> Result:
    """Output by output, the correlations with the inputs in its row of the table, each with a kernel of its own."""
    rows, columns = weight.shape[1:]
    y = np.zeros((x.shape[0], len(table), x.shape[2] - rows + 1, x.shape[3] - columns + 1))
    dy = np.ones(y.shape) if dy is None else dy
    dx, dw, db = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(len(table))
    for n in range(x.shape[0]):
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                kernel = 0
                for o, inputs in enumerate(table):
                    d = float(dy[n, o, i, j])
                    y[n, o, i, j] = bias[o]
                    db[o] += d
                    for c in inputs:
                        for u in range(rows):
                            for v in range(columns):
                                y[n, o, i, j] += x[n, c, i + u, j + v] * weight[kernel, u, v]
                                dx[n, c, i + u, j + v] += d * weight[kernel, u, v]
                                dw[kernel, u, v] += d * x[n, c, i + u, j + v]
                        kernel += 1
    return Result(y, dx, {"weight": dw, "bias": db})
