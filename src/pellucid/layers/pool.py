"""Pooling: the maximum or the mean of a window."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, Parameter, count, images, pair
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

    def _windows(self, x: Tensor) -> tuple[tuple[Index, Index], tuple[Index, Index], tuple[Affine, Affine]]:
        """The indices of the output's pixels and of a window's cells, and the row and column that both read."""
        _, _, height, width = images(x)
        u, v = Index("u", self.kernel_size[0]), Index("v", self.kernel_size[1])
        i, row = self._window(0, height, u)
        j, column = self._window(1, width, v)
        return (i, j), (u, v), (row, column)

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
        (i, j), cells, (row, column) = self._windows(x)
        n, c = indices("n c")
        y = Tensor("Y")
        y[n, c, i, j] = max_over(cells, x[n, c, row, column], self.ties)
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
        (i, j), (u, v), (row, column) = self._windows(x)
        n, c = indices("n c")
        total = sum_over([u, v], x[n, c, row, column])
        height, width = x.extents[2:]
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


class Subsampling2d(Layer):
    """The mean of each window, times a learned coefficient, plus a learned bias: one of each for every feature map.

        A[n,c,i,j] = sum(u,v) X[n,c, k*i + u, k*j + v] / k^2
        Y[n,c,i,j] = W[c] * A[n,c,i,j] + b[c]

    The paper multiplies the sum where this multiplies the mean: its coefficient is k^2 times smaller.

    Shapes: X (N, C, H, W); W and b (C); Y (N, C, H//k, W//k). Gradient: dW = sum(n,i,j) dY * A, db = the sum of dY,
    and each cell of a window receives dY * W / k^2.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998.

    Raises UsageError for arguments that are no sizes, ShapeError for images that do not fit.

    >>> Subsampling2d(6, 2).forward(Tensor("X", (1, 6, 28, 28), role="input")).shape
    (1, 6, 14, 14)
    """

    def __init__(self, num_features: int, kernel_size: int | tuple[int, int]) -> None:
        self.num_features = count(self, "num_features", num_features)
        self.kernel_size = pair(self, "kernel_size", kernel_size, 1)
        self.weight = Parameter("W", (self.num_features,), "ones")
        self.bias = Parameter("b", (self.num_features,))

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = images(x)
        rows, columns = self.kernel_size
        if channels != self.num_features:
            raise ShapeError(f'expects {self.num_features} channels, but "{x.name}" gives {channels}')
        if height < rows or width < columns:
            raise ShapeError(f'its window is {rows}x{columns}, but "{x.name}" gives {height}x{width}')
        n, c = indices("n c")
        u, v = Index("u", rows), Index("v", columns)
        i, j = Index("i", height // rows), Index("j", width // columns)
        a, y = Tensor("A"), Tensor("Y")
        a[n, c, i, j] = sum_over([u, v], x[n, c, rows * i + u, columns * j + v]) / (rows * columns)
        y[n, c, i, j] = self.weight[c] * a[n, c, i, j] + self.bias[c]
        return y


class AdaptiveAvgPool2d(Layer):
    """The mean of each of O windows along either axis, however large the image is.

    Window i of an axis of H cells begins at floor(i*H / O) and ends before ceil((i+1)*H / O). Cell h lies in it
    exactly if H*i < O*(h+1) and O*h < H*(i+1), hence

        Y[n,c,i,j] = sum(u,v) X[n,c,u,v] * [H*i < O*(u+1)] * [O*u < H*(i+1)] / K[i]

    and likewise for the columns, with K[i] the number of cells of window i. Where O divides H the windows are those
    of average pooling with kernel and stride k = H/O, and are written as such: X[n,c, k*i + u, k*j + v] / k^2.

    Shapes: X (N, C, H, W); Y (N, C, output height, output width). An extent of None in `output_size` keeps the input's.

    Gradient: each cell receives dY / K of every window that it lies in.

    Raises UsageError for an output size that is none, ShapeError for inputs that are no images.

    >>> AdaptiveAvgPool2d((7, 5)).forward(Tensor("X", (1, 6, 13, 10), role="input")).shape
    (1, 6, 7, 5)
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        given = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
        if len(given) != 2:
            raise UsageError(f"AdaptiveAvgPool2d: output_size must be one size or two; got {output_size!r}")
        self.output_size = tuple(None if size is None else count(self, "output_size", size) for size in given)

    def forward(self, x: Tensor) -> Tensor:
        _, _, *sizes = images(x)
        n, c = indices("n c")
        axes = [self._window(axis, size) for axis, size in enumerate(sizes)]
        (i, row), (j, column) = ((axis.position, axis.cell) for axis in axes)
        total: Expression = x[n, c, row, column]
        for axis in axes:
            for condition in axis.inside:
                total = total * condition
        value = sum_over([axis.tap for axis in axes], total)
        whole = 1
        for axis in axes:
            if axis.inside:
                value = value / axis.counted()[axis.position]
            else:
                whole *= axis.tap.size
        y = Tensor("Y")
        y[n, c, i, j] = value if whole == 1 else value / whole
        return y

    def _window(self, axis: int, size: int) -> _Windows:
        out = self.output_size[axis] or size
        position = Index("ij"[axis], out)
        if size % out == 0:
            tap = Index("uv"[axis], size // out)
            return _Windows(axis, position, tap, position * (size // out) + tap, ())
        tap = Index("uv"[axis], size)
        starts_before = bracket(position * size, "<", tap * out + out)
        ends_after = bracket(tap * out, "<", position * size + size)
        return _Windows(axis, position, tap, tap * 1, (starts_before, ends_after))


@dataclass(frozen=True)
class _Windows:
    """The windows along one axis: which of them, the tap within it, the cell that it reads, and if it is inside."""

    axis: int
    position: Index
    tap: Index
    cell: Affine
    inside: tuple[Expression, ...]

    def counted(self) -> Tensor:
        """How many cells each window has."""
        number = Tensor("KL"[self.axis], differentiable=False)
        product = self.inside[0]
        for condition in self.inside[1:]:
            product = product * condition
        number[self.position] = sum_over([self.tap], product)
        return number
