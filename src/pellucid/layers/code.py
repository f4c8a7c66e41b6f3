"""Outputs that compare with given codes, one code for each class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer
from pellucid.notation import Tensor, constant_tensor, indices, sum_over


class CodeDistance(Layer):
    """How near a vector is to the code of each class: minus the squared Euclidean distance.

        Y[n,k] = -sum(o) (X[n,o] - C[k,o])^2

    The codes are given, not learned. Followed by the cross-entropy this is the paper's discriminative criterion (9):
    the distance to the right code, plus the logarithm of the sum of exp(-distance) over all of them.

    Shapes: X (N, features); C (classes, features); Y (N, classes). Gradient: dX = -2 sum(k) dY * (X - C).

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998, section II.B.

    Raises UsageError for codes that are no matrix of numbers, ShapeError for vectors of another length.

    >>> CodeDistance([[1, -1, 1], [-1, -1, 1]]).forward(Tensor("X", (5, 3), role="input")).shape
    (5, 2)
    """

    def __init__(self, codes: npt.ArrayLike) -> None:
        try:
            values = np.asarray(codes, dtype=np.float64)
        except (TypeError, ValueError):
            raise UsageError(f"CodeDistance: the codes must be a matrix of numbers; got {codes!r}") from None
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            raise UsageError(f"CodeDistance: the codes must be a matrix of finite numbers; got shape {values.shape}")
        self.codes = constant_tensor("C", values)

    def forward(self, x: Tensor) -> Tensor:
        if len(x.extents) != 2 or x.extents[1] != self.codes.extents[1]:
            shape = "x".join(map(str, x.extents[1:]))
            raise ShapeError(f'expects vectors of {self.codes.extents[1]} numbers, but "{x.name}" gives {shape}')
        n, k, o = indices("n k o")
        y = Tensor("Y")
        y[n, k] = -sum_over([o], (x[n, o] - self.codes[k, o]) ** 2)
        return y
