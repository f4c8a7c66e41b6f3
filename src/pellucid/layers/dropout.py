"""Dropout."""

from __future__ import annotations

from pellucid.errors import UsageError
from pellucid.layers.base import Layer, Randomness, axes, finite
from pellucid.notation import Affine, Tensor, bracket, uniform
from pellucid.notation.expression import Const, Position


class Dropout(Layer):
    """While training, every value is dropped with probability p and the others are scaled by 1 / (1 - p).

        K[n,c,i,j] = [uniform(seed, stream, step, position) >= p] / (1 - p)
        Y[n,c,i,j] = X[n,c,i,j] * K[n,c,i,j]

    The random number is a function of the run's seed, the layer, the step and the place (Threefry-2x32), so a run
    can be repeated and resumed exactly. At inference Y = X. Gradient: dX = dY * K, with the same K.

    Source: Srivastava et al., JMLR 2014; Salmon et al., SC 2011.

    Raises UsageError unless 0 <= p < 1.

    >>> Dropout(0.5).forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = finite(self, "p", p)
        if not 0 <= self.p < 1:
            raise UsageError(
                f"Dropout: p is the probability of dropping a value, at least 0 and less than 1; got {p!r}"
            )

    def forward(self, x: Tensor) -> Tensor:
        return x

    def forward_training(self, x: Tensor, random: Randomness) -> Tensor:
        every = axes(x)
        place = Affine()
        for index, extent in zip(every, x.extents, strict=True):
            place = place * extent + index
        k, y = Tensor("K", x.extents, differentiable=False), Tensor("Y")
        draw = uniform(random.seed[()], Const(random.stream()), random.step[()], Position(place))
        k[every] = bracket(draw, ">=", self.p) / (1 - self.p)
        y[every] = x[every] * k[every]
        return y
