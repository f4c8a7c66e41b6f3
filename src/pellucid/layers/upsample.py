"""Upsampling: images made larger (or smaller) by repeating their cells or by interpolating between them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, finite, images, pair
from pellucid.notation import Index, Tensor, constant_tensor, indices, sum_over

Weights = npt.NDArray[np.float64]


class Upsample(Layer):
    """Images in another size; `mode` "nearest" repeats cells, "bilinear" interpolates between them.

    A whole factor s in mode "nearest" repeats every cell s times along both axes:

        Y[n,c, s*i + u, s*j + v] = X[n,c,i,j]

    In general each axis is multiplied by a matrix of weights, of which a row has a single 1 (nearest: the cell
    floor(i * H/H')), or two that add up to 1 (bilinear: the cells on both sides of the place that i comes from):

        T[n,c,i,y] = sum(x) A[i,x] * X[n,c,x,y]
        Y[n,c,i,j] = sum(y) B[j,y] * T[n,c,i,y]

    The place is (i + 1/2) * H/H' - 1/2, not less than 0, so that the images' edges meet; with `align_corners` it is
    i * (H-1)/(H'-1), so that the centres of the corner cells meet. Given `scale_factor`, 1/scale_factor stands for
    H/H', as in PyTorch.

    Shapes: X (N, C, H, W); Y (N, C, H', W'), of the `size` given or floor(H * scale_factor). Gradient: a cell
    receives dY from wherever it went, with the same weights.

    Source: Odena et al., "Deconvolution and checkerboard artifacts", Distill 2016, for its use before a convolution.

    Raises UsageError unless exactly one of size and scale_factor is given, and for unknown modes; ShapeError for inputs
    that are no images or of which nothing is left.

    >>> Upsample(scale_factor=2).forward(Tensor("X", (1, 3, 7, 7), role="input")).shape
    (1, 3, 14, 14)
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise UsageError("Upsample: give either size or scale_factor")
        if mode not in ("nearest", "bilinear"):
            raise UsageError(f'Upsample: mode must be "nearest" or "bilinear"; got {mode!r}')
        if align_corners is not None and mode == "nearest":
            raise UsageError('Upsample: align_corners says how to interpolate, which mode="nearest" does not do')
        self.size = None if size is None else pair(self, "size", size, 1)
        self.scale_factor = None if scale_factor is None else self._factors(scale_factor)
        self.mode = mode
        self.align_corners = bool(align_corners)

    def _factors(self, given: float | tuple[float, float]) -> tuple[float, float]:
        both = tuple(given) if isinstance(given, tuple | list) else (given, given)
        factors = [finite(self, "scale_factor", factor) for factor in both]
        if len(factors) != 2 or min(factors) <= 0:
            raise UsageError(f"Upsample: scale_factor must be a positive number, or two of them; got {given!r}")
        return factors[0], factors[1]

    def forward(self, x: Tensor) -> Tensor:
        _, _, *before = images(x)
        after, steps = self._sizes(before), self._steps(before)
        n, c, i, j = indices("n c i j")
        y = Tensor("Y")
        repeats = [new // old for old, new in zip(before, after, strict=True)]
        if self.mode == "nearest" and after == [old * k for old, k in zip(before, repeats, strict=True)]:
            u, v = Index("u", repeats[0]), Index("v", repeats[1])
            y[n, c, repeats[0] * i + u, repeats[1] * j + v] = x[n, c, i, j]
            return y
        a, b = (
            constant_tensor(symbol, self._weights(old, new, step))
            for symbol, old, new, step in zip("AB", before, after, steps, strict=True)
        )
        row, column = indices("x y")
        t = Tensor("T")
        t[n, c, i, column] = sum_over([row], a[i, row] * x[n, c, row, column])
        y[n, c, i, j] = sum_over([column], b[j, column] * t[n, c, i, column])
        return y

    def _sizes(self, before: list[int]) -> list[int]:
        if self.size is not None:
            return list(self.size)
        assert self.scale_factor is not None
        sizes = [math.floor(old * factor) for old, factor in zip(before, self.scale_factor, strict=True)]
        if min(sizes) < 1:
            raise ShapeError(f"scale_factor={self.scale_factor} leaves nothing of an image of {before[0]}x{before[1]}")
        return sizes

    def _steps(self, before: list[int]) -> list[float]:
        """How many cells of the old image one cell of the new one spans, along each axis."""
        if self.scale_factor is not None:
            return [1 / factor for factor in self.scale_factor]
        return [old / new for old, new in zip(before, self._sizes(before), strict=True)]

    def _weights(self, old: int, new: int, step: float) -> Weights:
        """The matrix (new, old) that takes one axis to its new size."""
        cells = np.arange(new)
        weights = np.zeros((new, old))
        if self.mode == "nearest":
            # In single precision, as PyTorch does it: where a place falls on a border, the rounding decides.
            places = np.floor(cells.astype(np.float32) * np.float32(step)).astype(np.int64)
            weights[cells, np.minimum(places, old - 1)] = 1
            return weights
        if self.align_corners:
            place = cells * ((old - 1) / (new - 1) if new > 1 else 0.0)
        else:
            place = np.maximum((cells + 0.5) * step - 0.5, 0)
        first = np.minimum(np.floor(place).astype(np.int64), old - 1)
        second = np.minimum(first + 1, old - 1)
        np.add.at(weights, (cells, first), 1 - (place - first))
        np.add.at(weights, (cells, second), place - first)
        return weights
