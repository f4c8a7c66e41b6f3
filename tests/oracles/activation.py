"""Activations: one number at a time, and softmax one row at a time."""

import math
from collections.abc import Callable

import numpy as np

from tests.oracles.result import Array, Result, flat, shaped

Function = Callable[[float], float]
Rows = tuple[list[float], list[float]]
"""The values and the input gradients of one row."""


def elementwise(x: Array, dy: Array | None, value: Function, slope: Function) -> Result:
    """A function of one number and its derivative, applied to every element."""
    dys = [1.0] * x.size if dy is None else flat(dy)
    ys = [value(element) for element in flat(x)]
    dxs = [d * slope(element) for element, d in zip(flat(x), dys, strict=True)]
    return Result(shaped(ys, x.shape), shaped(dxs, x.shape))


def relu(x: Array, dy: Array | None = None) -> Result:
    """max(x, 0); the slope at 0 is taken as 0."""
    return elementwise(x, dy, lambda e: e if e > 0 else 0.0, lambda e: 1.0 if e > 0 else 0.0)


def leaky_relu(x: Array, dy: Array | None = None, *, negative_slope: float = 0.01) -> Result:
    """x above 0 and a fraction of x elsewhere; the slope at 0 is the fraction."""
    return elementwise(x, dy, lambda e: e if e > 0 else negative_slope * e, lambda e: 1.0 if e > 0 else negative_slope)


def _sigmoid(e: float) -> float:
    return 1.0 / (1.0 + math.exp(-e)) if e >= 0 else math.exp(e) / (1.0 + math.exp(e))


def sigmoid(x: Array, dy: Array | None = None) -> Result:
    """1 / (1 + exp(-x))."""
    return elementwise(x, dy, _sigmoid, lambda e: _sigmoid(e) * _sigmoid(-e))


def tanh(x: Array, dy: Array | None = None) -> Result:
    """Hyperbolic tangent; its slope is 1 / cosh(x)**2."""
    return elementwise(x, dy, math.tanh, lambda e: 1.0 / math.cosh(e) ** 2)


def scaled_tanh(x: Array, dy: Array | None = None, *, amplitude: float = 1.7159, slope: float = 2 / 3) -> Result:
    """amplitude * tanh(slope * x), as in LeNet-5 of 1998."""
    return elementwise(
        x,
        dy,
        lambda e: amplitude * math.tanh(slope * e),
        lambda e: amplitude * slope / math.cosh(slope * e) ** 2,
    )


def elu(x: Array, dy: Array | None = None, *, alpha: float = 1.0) -> Result:
    """x above 0, alpha * (exp(x) - 1) elsewhere."""
    return elementwise(
        x, dy, lambda e: e if e > 0 else alpha * math.expm1(e), lambda e: 1.0 if e > 0 else alpha * math.exp(e)
    )


def softplus(x: Array, dy: Array | None = None, *, beta: float = 1.0, threshold: float = 20.0) -> Result:
    """log(1 + exp(beta x)) / beta up to a threshold of beta x, x itself above; the slope is sigmoid(beta x), then 1."""
    return elementwise(
        x,
        dy,
        lambda e: e if beta * e > threshold else math.log1p(math.exp(beta * e)) / beta,
        lambda e: 1.0 if beta * e > threshold else _sigmoid(beta * e),
    )


def silu(x: Array, dy: Array | None = None) -> Result:
    """x * sigmoid(x); the slope is s + x s (1 - s)."""
    return elementwise(x, dy, lambda e: e * _sigmoid(e), lambda e: _sigmoid(e) + e * _sigmoid(e) * _sigmoid(-e))


def hardswish(x: Array, dy: Array | None = None) -> Result:
    """0 below -3, x above 3, x (x + 3) / 6 between."""

    def value(e: float) -> float:
        if abs(e) >= 3:
            return e if e > 0 else 0.0
        return e * (e + 3) / 6

    def slope(e: float) -> float:
        if abs(e) >= 3:
            return 1.0 if e > 0 else 0.0
        return (2 * e + 3) / 6

    return elementwise(x, dy, value, slope)


def gelu(x: Array, dy: Array | None = None, *, approximate: str = "none") -> Result:
    """x * Phi(x), the slope Phi(x) + x * phi(x); or with Phi written by a tanh."""
    if approximate == "none":
        return elementwise(
            x,
            dy,
            lambda e: e * math.erfc(-e / math.sqrt(2)) / 2,
            lambda e: math.erfc(-e / math.sqrt(2)) / 2 + e * math.exp(-e * e / 2) / math.sqrt(2 * math.pi),
        )

    def bend(e: float) -> float:
        return math.sqrt(2 / math.pi) * (e + 0.044715 * e**3)

    def slope(e: float) -> float:
        steep = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * e * e)
        return (1 + math.tanh(bend(e))) / 2 + e / math.cosh(bend(e)) ** 2 * steep / 2

    return elementwise(x, dy, lambda e: e * (1 + math.tanh(bend(e))) / 2, slope)


def _log_softmax_row(row: list[float]) -> list[float]:
    largest = max(row)
    log_sum = largest + math.log(math.fsum(math.exp(e - largest) for e in row))
    return [e - log_sum for e in row]


def by_rows(x: Array, dy: Array | None, answer: Callable[[list[float], list[float]], Rows]) -> Result:
    """Apply a function of one row and its output gradient along axis 1."""
    channels_last = np.moveaxis(x, 1, -1)
    dys = np.moveaxis(np.ones(x.shape) if dy is None else dy, 1, -1).reshape(-1, x.shape[1])
    rows = [answer(flat(row), flat(d)) for row, d in zip(channels_last.reshape(dys.shape), dys, strict=True)]
    y, dx = (np.array([row[part] for row in rows]).reshape(channels_last.shape) for part in (0, 1))
    return Result(np.moveaxis(y, -1, 1), np.moveaxis(dx, -1, 1))


def softmax(x: Array, dy: Array | None = None) -> Result:
    """exp(x) / sum(exp(x)) over axis 1; ds[a]/dx[b] = s[a] * ((a == b) - s[b])."""

    def answer(row: list[float], d: list[float]) -> Rows:
        s = [math.exp(e) for e in _log_softmax_row(row)]
        every = range(len(s))
        return s, [math.fsum(d[a] * s[a] * ((1.0 if a == b else 0.0) - s[b]) for a in every) for b in every]

    return by_rows(x, dy, answer)


def log_softmax(x: Array, dy: Array | None = None) -> Result:
    """x - log(sum(exp(x))) over axis 1; dl[a]/dx[b] = (a == b) - s[b]."""

    def answer(row: list[float], d: list[float]) -> Rows:
        logs = _log_softmax_row(row)
        s = [math.exp(e) for e in logs]
        every = range(len(s))
        return logs, [math.fsum(d[a] * ((1.0 if a == b else 0.0) - s[b]) for a in every) for b in every]

    return by_rows(x, dy, answer)
