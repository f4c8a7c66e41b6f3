"""Convolution."""

from __future__ import annotations

from pellucid.errors import ShapeError, UsageError
from pellucid.initializers import Initializer
from pellucid.layers.base import Layer, Parameter, count, images, pair
from pellucid.notation import Affine, Index, Tensor, sum_over


class Conv2d(Layer):
    """Cross-correlation of images with learned kernels, as in the field's libraries; `flip=True` convolves.

        Y[n,o,i,j] = sum(c,u,v) X[n,c, s*i + d*u - p, s*j + d*v - p] * W[o,c,u,v] + b[o]

    With `flip` the kernel is rotated by 180 degrees (d*(k-1-u) in place of d*u): the mathematicians' convolution,
    as in the notes `architecture`. With `groups` the channels fall into that many groups, and each output sees
    only the inputs of its own group.

    Shapes: X (N, in_channels, H, W); W (out_channels, in_channels/groups, kernel height, kernel width);
    b (out_channels); Y (N, out_channels, H', W') with H' = floor((H + 2p - d*(k-1) - 1) / s) + 1.
    `padding="same"` keeps the size (stride 1; an odd row of padding goes below and to the right).

    Gradient: by X the full correlation of dY with the rotated kernel; by W the correlation of X with dY; by b the
    sum of dY.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998; the notes
    `channels` and `architecture`.

    Raises UsageError for arguments that contradict each other, ShapeError for images that do not fit.

    >>> conv = Conv2d(3, 32, kernel_size=3, padding=1)
    >>> conv.forward(Tensor("X", (1, 3, 28, 28), role="input")).shape
    (1, 32, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        flip: bool = False,
        init: str | Initializer = "he_uniform",
    ) -> None:
        self.in_channels = count(self, "in_channels", in_channels)
        self.out_channels = count(self, "out_channels", out_channels)
        self.kernel_size = pair(self, "kernel_size", kernel_size, 1)
        self.stride = pair(self, "stride", stride, 1)
        self.dilation = pair(self, "dilation", dilation, 1)
        self.groups = count(self, "groups", groups)
        self.flip = flip
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise UsageError(
                f"Conv2d: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        self.padding = self._padding(padding)
        self.weight = Parameter("W", (self.out_channels, self.in_channels // self.groups, *self.kernel_size), init)
        self.bias = Parameter("b", (self.out_channels,)) if bias else None

    def _padding(self, padding: int | tuple[int, int] | str) -> tuple[int, int] | str:
        if padding == "valid":
            return (0, 0)
        if padding == "same":
            if self.stride != (1, 1):
                raise UsageError('Conv2d: padding="same" keeps the size, which needs stride 1')
            return "same"
        if isinstance(padding, str):
            raise UsageError(f'Conv2d: padding must be a number, two numbers, "same" or "valid"; got {padding!r}')
        return pair(self, "padding", padding, 0)

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = images(x)
        if channels != self.in_channels:
            raise ShapeError(f'expects {self.in_channels} channels, but "{x.name}" gives {channels}')
        n = Index("n")
        g, o, c = (
            Index("g", self.groups),
            Index("o", self.weight.extents[0] // self.groups),
            Index("c", self.weight.extents[1]),
        )
        u, v = Index("u", self.kernel_size[0]), Index("v", self.kernel_size[1])
        i, row = self._window(0, height, u)
        j, column = self._window(1, width, v)
        # With one group the index g is always 0 and stays unwritten.
        out = o if self.groups == 1 else g * o.size + o
        channel = c if self.groups == 1 else g * c.size + c
        y = Tensor("Y")
        value = sum_over([c, u, v], x[n, channel, row, column] * self.weight[out, c, u, v])
        y[n, out, i, j] = value if self.bias is None else value + self.bias[out]
        return y

    def _window(self, axis: int, size: int, tap: Index) -> tuple[Index, Affine]:
        """The output index along one axis, and the input row (or column) that it and the tap read."""
        stride, dilation = self.stride[axis], self.dilation[axis]
        reach = dilation * (tap.size - 1)
        if isinstance(self.padding, str):
            before, extent = reach // 2, size
        else:
            before = self.padding[axis]
            extent = (size + 2 * before - reach - 1) // stride + 1
        if extent < 1:
            raise ShapeError(
                f"its kernel spans {reach + 1} {'rows' if axis == 0 else 'columns'}, but the image has {size}"
                f"{f' and {before} of padding on each side' if before else ''}"
            )
        position = Index("ij"[axis], extent)
        offset = reach - tap * dilation if self.flip else tap * dilation
        return position, position * stride + offset - before
