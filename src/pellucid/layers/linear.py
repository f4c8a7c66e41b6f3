"""The dense layer, and the flattening before it."""

from __future__ import annotations

import math

from pellucid.errors import ShapeError
from pellucid.initializers import Initializer
from pellucid.layers.base import Layer, Parameter, axes, count
from pellucid.notation import Access, Tensor, indices, sum_over
from pellucid.notation.expression import accesses


class Linear(Layer):
    """Every output is a weighted sum of all inputs, plus a bias.

        Y[n,o] = sum(k) X[n,k] * W[o,k] + b[o]

    Shapes: X (N, in_features); W (out_features, in_features); b (out_features); Y (N, out_features).

    Gradient: dX = dY W, dW = dY^T X, db = the sum of dY over the batch.

    Raises ShapeError when the input has another number of features.

    >>> Linear(400, 120).forward(Tensor("X", (1, 400), role="input")).shape
    (1, 120)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, init: str | Initializer = "he_uniform"
    ) -> None:
        self.in_features = count(self, "in_features", in_features)
        self.out_features = count(self, "out_features", out_features)
        self.weight = Parameter("W", (self.out_features, self.in_features), init)
        self.bias = Parameter("b", (self.out_features,)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if len(x.extents) != 2:
            raise ShapeError(
                f'expects vectors (N, features), but "{x.name}" gives {len(x.extents)} dimensions; '
                "put a Flatten before it"
            )
        if x.extents[1] != self.in_features:
            raise ShapeError(f"expects {self.in_features} inputs, but {_origin(x)}. Use in_features={x.extents[1]}")
        n, o, k = indices("n o k")
        y = Tensor("Y")
        value = sum_over([k], x[n, k] * self.weight[o, k])
        y[n, o] = value if self.bias is None else value + self.bias[o]
        return y


def _origin(x: Tensor) -> str:
    """Where a vector comes from: the feature maps it was flattened from, and the image behind them."""
    source = x
    while source.definition and isinstance(source.definition[0].value, Access):
        source = source.definition[0].value.tensor
    image = source
    while image.definition:
        image = accesses(image.definition[0].value)[0].tensor
    maps = "x".join(map(str, source.extents[1:]))
    total = f" = {math.prod(source.extents[1:])}" if len(source.extents) > 2 else ""
    size = f" for a {image.extents[2]}x{image.extents[3]} image" if len(image.extents) == 4 else ""
    return f'"{source.name}" gives {maps}{total}{size}'


class Flatten(Layer):
    """All values of one image in a row: channel by channel, row by row.

        Y[n, (c*H + i)*W + j] = X[n,c,i,j]

    Shapes: X (N, C, H, W); Y (N, C*H*W). Gradient: the same values in the image's shape.

    >>> Flatten().forward(Tensor("X", (1, 16, 5, 5), role="input")).shape
    (1, 400)
    """

    def forward(self, x: Tensor) -> Tensor:
        n, *rest = axes(x)
        place = rest[0] * 1
        for index, extent in zip(rest[1:], x.extents[2:], strict=True):
            place = place * extent + index
        y = Tensor("Y")
        y[n, place] = x[(n, *rest)]
        return y


class AddChannel(Layer):
    """A channel around each element of a batch: sentences of word vectors (N, L, K) become images of one channel.

        Y[n,0,i,j] = X[n,i,j]

    Shapes: X (N, ...); Y (N, 1, ...). Gradient: the same numbers in the old shape.

    >>> AddChannel().forward(Tensor("X", (2, 56, 300), role="input")).shape
    (2, 1, 56, 300)
    """

    def forward(self, x: Tensor) -> Tensor:
        n, *rest = axes(x)
        y = Tensor("Y")
        y[(n, 0, *rest)] = x[(n, *rest)]
        return y
