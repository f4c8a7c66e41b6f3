"""Transposed convolution: the derived gradient of a convolution, used as a layer."""

from __future__ import annotations

from pellucid.errors import ShapeError, UsageError
from pellucid.initializers import Initializer
from pellucid.layers.base import Layer, Parameter, axes, images, pair
from pellucid.layers.conv import Conv2d
from pellucid.notation import Tensor
from pellucid.notation.derive import derive
from pellucid.notation.index import box


class ConvTranspose2d(Layer):
    """The gradient of a convolution by its input: it takes a small image to the large one it could come from.

    The convolution that it reverses leads from Y to X:

        X[n,c,i,j] = sum(o,u,v) Y[n,o, s*i + d*u - p, s*j + d*v - p] * W[c,o,u,v]

    Its derived gradient, with X in place of what comes in, is this layer's equation; b[o] is added. A stride gives
    one equation for each phase. `pellucid derive convtranspose2d --stride 2` prints them.

    Shapes: X (N, in_channels, H, W); W (in_channels, out_channels/groups, kernel height, kernel width);
    b (out_channels); Y (N, out_channels, H', W') with H' = (H - 1)*s - 2p + d*(k-1) + output_padding + 1.
    A convolution with stride s takes s sizes to the same one; `output_padding` (less than s) says which is meant.

    Gradient: derived from the derived equation: by X the convolution of dY again, by W the correlation of dY with X.

    Source: Zeiler et al., "Deconvolutional networks", CVPR 2010; Dumoulin and Visin, "A guide to convolution
    arithmetic for deep learning", 2016, chapter 4.

    Raises UsageError for arguments that contradict each other, ShapeError for images that do not fit.

    >>> up = ConvTranspose2d(16, 8, kernel_size=4, stride=2, padding=1)
    >>> up.forward(Tensor("X", (1, 16, 7, 7), role="input")).shape
    (1, 8, 14, 14)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        *,
        init: str | Initializer = "he_uniform",
    ) -> None:
        self.padding = pair(self, "padding", padding, 0)
        try:
            self._reversed = Conv2d(
                out_channels, in_channels, kernel_size, stride, self.padding, dilation, groups, bias=False, init=init
            )
        except UsageError as error:
            raise UsageError(f"ConvTranspose2d reverses a convolution from its output to its input. {error}") from None
        self.in_channels, self.out_channels = self._reversed.out_channels, self._reversed.in_channels
        self.kernel_size, self.stride = self._reversed.kernel_size, self._reversed.stride
        self.dilation, self.groups = self._reversed.dilation, self._reversed.groups
        self.output_padding = pair(self, "output_padding", output_padding, 0)
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride, strict=True)):
            raise UsageError(
                f"ConvTranspose2d: output_padding={output_padding} must be less than stride={stride}: "
                "from there on the convolution has another output"
            )
        self.weight = self._reversed.weight
        self.bias = Parameter("b", (self.out_channels,)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = images(x)
        if channels != self.in_channels:
            raise ShapeError(f'expects {self.in_channels} channels, but "{x.name}" gives {channels}')
        large = Tensor("Y", (n, self.out_channels, self._extent(0, height), self._extent(1, width)), role="input")
        gradient = derive({self._reversed.forward(large): x}, [large])[large]
        gradient.symbol = "Y" if self.bias is None else "T"
        return gradient if self.bias is None else self._plus_bias(gradient, self.bias)

    def _extent(self, axis: int, size: int) -> int:
        """The height or width of the image that the convolution would read."""
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1)
        extent = (size - 1) * self.stride[axis] - 2 * self.padding[axis] + reach + self.output_padding[axis] + 1
        if extent < 1:
            lines = "rows" if axis == 0 else "columns"
            raise ShapeError(f"its padding of {self.padding[axis]} leaves no {lines} of an image of {size}")
        return extent

    def _plus_bias(self, gradient: Tensor, bias: Parameter) -> Tensor:
        """The bias added in every phase; under another name where some elements have no phase, hence no equation."""
        y = Tensor("Y", gradient.extents)
        if sum(box(e.indices) for e in gradient.definition) == gradient.size:
            for equation in gradient.definition:
                y[equation.at] = equation.value + bias[equation.at[1]]
        else:
            n, o, i, j = axes(gradient)
            y[n, o, i, j] = gradient[n, o, i, j] + bias[o]
        return y
