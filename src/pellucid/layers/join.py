"""Joining: layers that read the outputs of several others."""

from __future__ import annotations

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, axes, count, extents, images
from pellucid.notation import Expression, Index, Tensor


class Add(Layer):
    """The sum of several tensors of one shape, such as a residual block's branch and its shortcut.

        Y[n,c,i,j] = A[n,c,i,j] + B[n,c,i,j] + ...

    Gradient: dA = dB = ... = dY.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016.

    Raises ShapeError when the shapes differ.

    >>> a, b = (Tensor(name, (1, 64, 7, 7), role="input") for name in "AB")
    >>> Add().forward(a, b).shape
    (1, 64, 7, 7)
    """

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            if other.extents != x.extents:
                raise ShapeError(
                    f'adds tensors of one shape, but "{x.name}" gives {extents(x.extents)} '
                    f'and "{other.name}" {extents(other.extents)}'
                )
        every, y = axes(x), Tensor("Y")
        total: Expression = x[every]
        for other in others:
            total = total + other[every]
        y[every] = total
        return y


class Concat(Layer):
    """Several tensors one after another along a dimension: the channels, unless another is named.

        Y[n, c, i, j] = A[n,c,i,j];  Y[n, C + c, i, j] = B[n,c,i,j];  ...    with C the channels of A

    Each input is a part of one tensor. Gradient: each input receives its own part of dY.

    Shapes: the inputs agree but for `dim`, whose extents add up. `dim` counts from 1, the batch being 0; a negative
    one counts from the end.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015.

    Raises UsageError when `dim` is the batch, ShapeError when the inputs do not fit each other.

    >>> a, b = Tensor("A", (1, 64, 7, 7), role="input"), Tensor("B", (1, 32, 7, 7), role="input")
    >>> Concat().forward(a, b).shape
    (1, 96, 7, 7)
    """

    def __init__(self, dim: int = 1) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or dim == 0:
            raise UsageError(f"Concat: dim must be a dimension other than the batch, which is 0; got {dim!r}")
        self.dim = dim

    def forward(self, *inputs: Tensor) -> Tensor:
        if not inputs:
            raise UsageError("Concat needs at least one input")
        dimension = self._dimension(inputs[0])
        for other in inputs[1:]:
            if _without(other.extents, dimension) != _without(inputs[0].extents, dimension):
                raise ShapeError(
                    f'joins tensors that differ in dimension {dimension} only, but "{inputs[0].name}" gives '
                    f'{extents(inputs[0].extents)} and "{other.name}" {extents(other.extents)}'
                )
        shape = list(inputs[0].extents)
        shape[dimension] = sum(x.extents[dimension] for x in inputs)
        y, start = Tensor("Y", tuple(shape)), 0
        for x in inputs:
            at = tuple(Index(i.name, e) for i, e in zip(axes(x), x.extents, strict=True))
            place = [1 * i for i in at]
            place[dimension] = place[dimension] + start
            y[tuple(place)] = x[at]
            start += x.extents[dimension]
        return y

    def _dimension(self, x: Tensor) -> int:
        rank = len(x.extents)
        dimension = self.dim + rank if self.dim < 0 else self.dim
        if not 1 <= dimension < rank:
            raise ShapeError(f'joins along dimension {self.dim}, but "{x.name}" has {rank} dimensions')
        return dimension


def _without(shape: tuple[int, ...], dimension: int) -> tuple[int, ...]:
    return shape[:dimension] + shape[dimension + 1 :]


class PaddedShortcut(Layer):
    """Every `stride`-th row and column, with channels of zeros added: a shortcut without parameters.

        Y[n,c,i,j] = X[n,c, s*i, s*j]    for c < C, and 0 for the channels beyond

    Shapes: X (N, C, H, W); Y (N, out_channels, ceil(H/s), ceil(W/s)). Gradient: dX[n,c, s*i, s*j] = dY[n,c,i,j], and 0
    elsewhere.

    Source: option A of He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2.

    Raises UsageError for arguments that are no positive integers, ShapeError for more channels than `out_channels`.

    >>> PaddedShortcut(32, stride=2).forward(Tensor("X", (1, 16, 32, 32), role="input")).shape
    (1, 32, 16, 16)
    """

    def __init__(self, out_channels: int, stride: int = 1) -> None:
        self.out_channels = count(self, "out_channels", out_channels)
        self.stride = count(self, "stride", stride)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = images(x)
        if channels > self.out_channels:
            raise ShapeError(f'pads to {self.out_channels} channels, but "{x.name}" gives {channels}')
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        n, c, i, j = Index("n", batch), Index("c", channels), Index("i", rows), Index("j", columns)
        y = Tensor("Y", (batch, self.out_channels, rows, columns))
        y[n, c, i, j] = x[n, c, self.stride * i, self.stride * j]
        return y
