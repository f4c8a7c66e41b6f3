"""Fixed filters: convolutions whose kernel is given, as in the notes `slides`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, images, pair
from pellucid.notation import Index, Tensor, constant_tensor, indices, sum_over

NAMED: dict[str, tuple[npt.NDArray[np.float64], Fraction]] = {
    "gaussian": (np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]), Fraction(1, 16)),
    "average": (np.ones((3, 3)), Fraction(1, 9)),
    "edge": (np.array([[1.0, 0, 0], [1, 0, 0], [1, 0, 0]]), Fraction(1)),
}
"""The filters of the notes: smoothing, mean and vertical edge, as whole numbers and the factor in front of them."""

GAUSSIAN, AVERAGE, EDGE = (matrix * float(factor) for matrix, factor in NAMED.values())


def _matrix(kernel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        values = np.asarray(kernel, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"FixedFilter2d: the kernel must be a matrix of numbers; got {kernel!r}") from None
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise UsageError(f"FixedFilter2d: the kernel must be a matrix of finite numbers; got {kernel!r}")
    return values


class FixedFilter2d(Layer):
    """Every channel by itself, correlated with one given kernel.

        Y[n,c,i,j] = a * sum(u,v) X[n,c, s*i + u - p, s*j + v - p] * F[u,v]

    `kernel` is "gaussian", "average", "edge", or a matrix of numbers; the factor `a` is that of the named filters
    (1/16, 1/9, 1), times `scale`. The kernel is not a parameter: nothing is learned.

    Shapes: X (N, C, H, W); Y (N, C, H', W') with H' = floor((H + 2p - k) / s) + 1.

    Raises UsageError for an unknown name or a kernel that is no matrix, ShapeError for images smaller than it.

    >>> FixedFilter2d("edge").forward(Tensor("X", (1, 1, 6, 6), role="input")).shape
    (1, 1, 4, 4)
    """

    def __init__(
        self,
        kernel: str | npt.ArrayLike,
        padding: int | tuple[int, int] = 0,
        stride: int | tuple[int, int] = 1,
        *,
        scale: float | Fraction = 1,
    ) -> None:
        if isinstance(kernel, str):
            if kernel not in NAMED:
                raise UsageError(
                    f"FixedFilter2d: unknown filter {kernel!r}; choose one of {', '.join(NAMED)} or give a matrix"
                )
            values, factor = NAMED[kernel]
        else:
            values, factor = _matrix(kernel), Fraction(1)
        self.scale = scale * factor
        self.kernel = constant_tensor("F", values)
        self.padding = pair(self, "padding", padding, 0)
        self.stride = pair(self, "stride", stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, _, height, width = images(x)
        (rows, columns), (p, q), (s, t) = self.kernel.extents, self.padding, self.stride
        if height + 2 * p < rows or width + 2 * q < columns:
            raise ShapeError(f'its kernel is {rows}x{columns}, but "{x.name}" gives {height}x{width}')
        n, c, u, v = indices("n c u v")
        i, j = Index("i", (height + 2 * p - rows) // s + 1), Index("j", (width + 2 * q - columns) // t + 1)
        y = Tensor("Y")
        value = sum_over([u, v], x[n, c, i * s + u - p, j * t + v - q] * self.kernel[u, v])
        if isinstance(self.scale, Fraction):
            # Multiplying and then dividing by whole numbers rounds once where 1/9 would round twice.
            top, bottom = self.scale.numerator, self.scale.denominator
            value = value if top == 1 else value * top
            y[n, c, i, j] = value if bottom == 1 else value / bottom
        else:
            y[n, c, i, j] = value * self.scale
        return y
