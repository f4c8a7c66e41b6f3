"""Pooling: the maximum or the mean of a window."""

from __future__ import annotations

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, images, pair
from pellucid.notation import Affine, Expression, Index, Tensor, bracket, indices, max_over, sum_over


class _Pool(Layer):
    """The windows that both kinds of pooling share."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None,
        padding: int | tuple[int, int],
        dilation: int | tuple[int, int],
        ceil_mode: bool,
    ) -> None:
        self.kernel_size = pair(self, "kernel_size", kernel_size, 1)
        self.stride = pair(self, "stride", self.kernel_size if stride is None else stride, 1)
        self.padding = pair(self, "padding", padding, 0)
        self.dilation = pair(self, "dilation", dilation, 1)
        self.ceil_mode = ceil_mode
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise UsageError(
                f"{type(self).__name__}: padding {self.padding} is more than half of kernel_size {self.kernel_size}: "
                "a window could lie wholly in the padding"
            )

    def _window(self, axis: int, size: int, tap: Index) -> tuple[Index, Affine]:
        """The output index along one axis, and the input row (or column) that it and the tap read."""
        stride, padding, dilation = self.stride[axis], self.padding[axis], self.dilation[axis]
        reach = dilation * (tap.size - 1) + 1
        room = size + 2 * padding - reach
        if room < 0:
            raise ShapeError(
                f"its window spans {reach} {'rows' if axis == 0 else 'columns'}, but the image has {size}"
                f"{f' and {padding} of padding on each side' if padding else ''}"
            )
        extent = (-(-room // stride) if self.ceil_mode else room // stride) + 1
        if self.ceil_mode and (extent - 1) * stride >= size + padding:
            extent -= 1  # the last window must begin inside the image or its padding before it
        position = Index("ij"[axis], extent)
        return position, position * stride + tap * dilation - padding


class MaxPool2d(_Pool):
    """The largest value of each window.

        Y[n,c,i,j] = max(u,v) X[n,c, s*i + d*u - p, s*j + d*v - p]

    Padding reads as -infinity. The gradient goes to the first cell that attains the maximum, in reading order;
    with `ties="all"` to every such cell, as in the notes `training`.

    Shapes: X (N, C, H, W); Y (N, C, H', W') with H' = floor((H + 2p - d*(k-1) - 1) / s) + 1, or the ceiling of the
    quotient with `ceil_mode`. The stride is the kernel size unless given.

    Raises UsageError for padding of more than half the window, ShapeError for images smaller than the window.

    >>> MaxPool2d(2).forward(Tensor("X", (1, 6, 28, 28), role="input")).shape
    (1, 6, 14, 14)
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        ceil_mode: bool = False,
        *,
        ties: str = "first",
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        if ties not in ("first", "all"):
            raise UsageError(f'MaxPool2d: ties must be "first" or "all"; got {ties!r}')
        self.ties = ties

    def forward(self, x: Tensor) -> Tensor:
        _, _, height, width = images(x)
        n, c = indices("n c")
        u, v = Index("u", self.kernel_size[0]), Index("v", self.kernel_size[1])
        i, row = self._window(0, height, u)
        j, column = self._window(1, width, v)
        y = Tensor("Y")
        y[n, c, i, j] = max_over([u, v], x[n, c, row, column], self.ties)
        return y


class AvgPool2d(_Pool):
    """The mean of each window.

        Y[n,c,i,j] = sum(u,v) X[n,c, s*i + u - p, s*j + v - p] / K[i,j]

    K is the number of cells averaged: k*k, where padding counts (`count_include_pad`); otherwise only the window's
    cells inside the image. What a window of `ceil_mode` reaches beyond the padding never counts.

    Shapes: as for MaxPool2d. Gradient: each cell of a window receives dY / K.

    Raises UsageError for padding of more than half the window, ShapeError for images smaller than the window.

    >>> AvgPool2d(2).forward(Tensor("X", (1, 4, 24, 24), role="input")).shape
    (1, 4, 12, 12)
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        _, _, height, width = images(x)
        n, c = indices("n c")
        u, v = Index("u", self.kernel_size[0]), Index("v", self.kernel_size[1])
        i, row = self._window(0, height, u)
        j, column = self._window(1, width, v)
        total = sum_over([u, v], x[n, c, row, column])
        inside = [*self._inside(row, 0, height), *self._inside(column, 1, width)]
        y = Tensor("Y")
        if not inside:
            y[n, c, i, j] = total / (u.size * v.size)
            return y
        counted = Tensor("K", differentiable=False)
        product: Expression = inside[0]
        for condition in inside[1:]:
            product = product * condition
        counted[i, j] = sum_over([u, v], product)
        y[n, c, i, j] = total / counted[i, j]
        return y

    def _inside(self, cell: Affine, axis: int, size: int) -> list[Expression]:
        """The conditions under which a cell counts, leaving out those that always hold."""
        low, high = cell.bounds
        first, last = (-self.padding[axis], size + self.padding[axis]) if self.count_include_pad else (0, size)
        conditions = [bracket(cell, ">=", first)] if low < first else []
        return conditions + ([bracket(cell, "<", last)] if high >= last else [])


class GlobalMaxPool2d(Layer):
    """The largest value of each feature map; of a map that is one column, the maximum over time.

        Y[n,c] = max(i,j) X[n,c,i,j]

    The gradient goes to the first cell that attains the maximum, in reading order.

    Shapes: X (N, C, H, W); Y (N, C).

    Source: Collobert et al., "Natural language processing (almost) from scratch", JMLR 2011.

    >>> GlobalMaxPool2d().forward(Tensor("X", (1, 100, 48, 1), role="input")).shape
    (1, 100)
    """

    def forward(self, x: Tensor) -> Tensor:
        images(x)
        n, c, i, j = indices("n c i j")
        y = Tensor("Y")
        y[n, c] = max_over([i, j], x[n, c, i, j])
        return y


class GlobalAvgPool2d(Layer):
    """The mean of each feature map.

        Y[n,c] = sum(i,j) X[n,c,i,j] / (H*W)

    Shapes: X (N, C, H, W); Y (N, C). Gradient: every cell receives dY / (H*W).

    Source: Lin, Chen, Yan, "Network in network", ICLR 2014; the notes `exercise`.

    >>> GlobalAvgPool2d().forward(Tensor("X", (1, 64, 7, 7), role="input")).shape
    (1, 64)
    """

    def forward(self, x: Tensor) -> Tensor:
        _, _, height, width = images(x)
        n, c, i, j = indices("n c i j")
        y = Tensor("Y")
        y[n, c] = sum_over([i, j], x[n, c, i, j]) / (height * width)
        return y
