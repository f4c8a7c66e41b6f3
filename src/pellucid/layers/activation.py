"""Activations: pointwise functions, and the softmax."""

from __future__ import annotations

import math

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, axes, finite
from pellucid.notation import Access, Expression, Index, Tensor, bracket, max_over, maximum, minimum, sum_over
from pellucid.notation import erf as erf_of
from pellucid.notation import exp as exp_of
from pellucid.notation import expm1 as expm1_of
from pellucid.notation import log as log_of
from pellucid.notation import log1p as log1p_of
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


class ELU(Activation):
    """Y = X where X > 0, elsewhere a * (exp(X) - 1); the gradient there is dY * a * exp(X).

    Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear units",
    ICLR 2016.

    >>> ELU().forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = finite(self, "alpha", alpha)

    def function(self, x: Access) -> Expression:
        below = expm1_of(minimum(x, 0))
        return maximum(x, 0) + (below if self.alpha == 1 else below * self.alpha)


class Softplus(Activation):
    """Y = log(1 + exp(B * X)) / B, a smooth ReLU; where B * X exceeds the threshold, Y = X.

    Gradient: dX = dY * sigmoid(B * X), and dY beyond the threshold.

    Source: Dugas et al., "Incorporating second-order functional knowledge for better option pricing", NIPS 2000.

    Raises UsageError unless beta is positive.

    >>> Softplus().forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = finite(self, "beta", beta)
        self.threshold = finite(self, "threshold", threshold)
        if self.beta <= 0:
            raise UsageError(f"Softplus: beta must be positive; got {beta!r}")

    def forward(self, x: Tensor) -> Tensor:
        every = axes(x)
        # The exponential has a name of its own, so that the gradient is written with it. So has the choice: K is 0 for
        # what is not a number, which neither side of the threshold is, and then log(1 + E) hands it on.
        e, k, y = Tensor("E"), Tensor("K", differentiable=False), Tensor("Y")
        z: Expression = x[every] if self.beta == 1 else x[every] * self.beta
        e[every] = exp_of(z)
        k[every] = bracket(z, ">", self.threshold)
        curved = bracket(k[every], "==", 0) * log1p_of(e[every])
        y[every] = (curved if self.beta == 1 else curved / self.beta) + bracket(k[every], "!=", 0) * x[every]
        return y


class SiLU(Layer):
    """Y = X * G with the gate G = sigmoid(X), also called swish; dX = dY * G * (1 + X * (1 - G)).

    Source: Elfwing, Uchibe, Doya, Neural Networks 2018; Ramachandran, Zoph, Le, 2017.

    >>> SiLU().forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def forward(self, x: Tensor) -> Tensor:
        return _gated(x, sigmoid_of(x[axes(x)]))


class Hardswish(Layer):
    """Y = X * G with the gate G = min(max(X + 3, 0), 6) / 6: the swish without exponentials.

    Gradient: dX = dY * (G + X * [-3 < X <= 3] / 6).

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019.

    >>> Hardswish().forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def forward(self, x: Tensor) -> Tensor:
        return _gated(x, minimum(maximum(x[axes(x)] + 3, 0), 6) / 6)


class GELU(Layer):
    """Y = X * G, where the gate G is the normal distribution's probability of a value below X.

        G = (1 + erf(X / sqrt(2))) / 2,     with approximate="tanh"  G = (1 + tanh(sqrt(2/pi) * (X + 0.044715 X^3))) / 2

    Gradient: dX = dY * (G + X * p(X)) with the normal density p.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Raises UsageError for an `approximate` that is neither "none" nor "tanh".

    >>> GELU().forward(Tensor("X", (2, 10), role="input")).shape
    (2, 10)
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise UsageError(f'GELU: approximate must be "none" or "tanh"; got {approximate!r}')
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        every = axes(x)
        if self.approximate == "none":
            return _gated(x, (erf_of(x[every] * math.sqrt(1 / 2)) + 1) / 2)
        t = Tensor("T")
        t[every] = tanh_of((x[every] + x[every] ** 3 * 0.044715) * math.sqrt(2 / math.pi))
        return _gated(x, (t[every] + 1) / 2)


def _gated(x: Tensor, gate: Expression) -> Tensor:
    """Y = X * G; the gate has a name of its own, so that the gradient is written with it."""
    every = axes(x)
    g, y = Tensor("G"), Tensor("Y")
    g[every] = gate
    y[every] = x[every] * g[every]
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
