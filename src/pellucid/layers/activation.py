"""Activations: pointwise functions, and the softmax."""

from __future__ import annotations

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, axes, finite
from pellucid.notation import Access, Expression, Index, Tensor, max_over, maximum, minimum, sum_over
from pellucid.notation import exp as exp_of
from pellucid.notation import log as log_of
from pellucid.notation import sigmoid as sigmoid_of
from pellucid.notation import tanh as tanh_of


class Activation(Layer):
    """A layer that applies one function to every value; Y has the shape of X."""

    def forward(self, x: Tensor) -> Tensor:
        every = axes(x)
        y = Tensor("Y")
        y[every] = self.function(x[every])
        return y

    def function(self, x: Access) -> Expression:
        """The function of one value."""
        raise UsageError(f"{type(self).__name__} has no function: define function(self, x)")


class ReLU(Activation):
    """Y = max(X, 0); the gradient passes where X > 0.

    Source: Nair and Hinton, ICML 2010; the notes `training`.

    >>> ReLU().forward(Tensor("X", (1, 6, 24, 24), role="input")).shape
    (1, 6, 24, 24)
    """

    def function(self, x: Access) -> Expression:
        return maximum(x, 0)


class LeakyReLU(Activation):
    """Y = max(X, 0) + a * min(X, 0); the gradient is 1 where X > 0 and a elsewhere.

    Source: Maas, Hannun, Ng, ICML 2013.

    >>> LeakyReLU(0.1).forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = finite(self, "negative_slope", negative_slope)

    def function(self, x: Access) -> Expression:
        return maximum(x, 0) + minimum(x, 0) * self.negative_slope


class Sigmoid(Activation):
    """Y = 1 / (1 + exp(-X)); the gradient is dY * Y * (1 - Y).

    >>> Sigmoid().forward(Tensor("X", (2, 3), role="input")).shape
    (2, 3)
    """

    def function(self, x: Access) -> Expression:
        return sigmoid_of(x)


class Tanh(Activation):
    """Y = tanh(X); the gradient is dY * (1 - Y^2).

    >>> Tanh().forward(Tensor("X", (2, 3), role="input")).shape
    (2, 3)
    """

    def function(self, x: Access) -> Expression:
        return tanh_of(x)


class ScaledTanh(Activation):
    """Y = A * tanh(S * X), LeNet-5's activation, with A = 1.7159 and S = 2/3 so that f(1) = 1.

    Source: LeCun et al., Proc. IEEE 1998, appendix A.

    >>> ScaledTanh().forward(Tensor("X", (2, 3), role="input")).shape
    (2, 3)
    """

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3) -> None:
        self.amplitude = finite(self, "amplitude", amplitude)
        self.slope = finite(self, "slope", slope)

    def forward(self, x: Tensor) -> Tensor:
        every = axes(x)
        # The tanh has a name of its own, so that the gradient is written with it.
        t, y = Tensor("T"), Tensor("Y")
        t[every] = tanh_of(x[every] * self.slope)
        y[every] = t[every] * self.amplitude
        return y


def softmax(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The tensors M, E, S, P of a softmax along dimension 1: maximum, exponentials, their sum, probabilities."""
    if len(x.extents) < 2:
        raise ShapeError(f'expects classes along dimension 1, but "{x.name}" has {len(x.extents)} dimensions')
    every = axes(x)
    k = every[1]
    rest = every[:1] + every[2:]
    m, e, s, p = Tensor("M", differentiable=False), Tensor("E"), Tensor("S"), Tensor("P")
    m[rest] = max_over([k], x[every])
    e[every] = exp_of(x[every] - m[rest])
    s[rest] = sum_over([k], e[every])
    p[every] = e[every] / s[rest]
    return m, e, s, p


class Softmax(Layer):
    """Probabilities over the classes, along dimension 1.

        M[n] = max(k) X[n,k];  E[n,k] = exp(X[n,k] - M[n]);  S[n] = sum(k) E[n,k];  P[n,k] = E[n,k] / S[n]

    Subtracting the maximum avoids overflow and changes nothing else. Y = P has the shape of X.

    Gradient: dX = P * (dY - sum(k) dY * P).

    >>> Softmax().forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def forward(self, x: Tensor) -> Tensor:
        return softmax(x)[3]


class LogSoftmax(Layer):
    """The logarithm of the softmax along dimension 1, without computing it through tiny probabilities.

        Y[n,k] = X[n,k] - M[n] - log(S[n])    with M and S as in Softmax

    Gradient: dX = dY - P * sum(k) dY.

    >>> LogSoftmax().forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def forward(self, x: Tensor) -> Tensor:
        m, _, s, p = softmax(x)
        every = axes(x)
        rest: tuple[Index, ...] = every[:1] + every[2:]
        y = Tensor("Y")
        y[every] = x[every] - m[rest] - log_of(s[rest])
        y.companions = (p,)
        return y
