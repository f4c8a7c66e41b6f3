"""Normalisation, channel by channel and window by window."""

import math
from collections.abc import Iterator

import numpy as np

from tests.oracles.result import Array, Result


def batch_norm2d(
    x: Array,
    dy: Array | None = None,
    *,
    weight: Array | None = None,
    bias: Array | None = None,
    running: tuple[Array, Array] | None = None,
    eps: float = 1e-5,
) -> Result:
    """w * (x - m) / sqrt(v + eps) + b, with a batch's own mean and variance or with running ones.

    With the batch's own statistics each value also moves the mean and the variance: dx[k] is the sum over all
    values l of the channel of dh[l] * ((k == l) - 1/m - h[l] * h[k] / m) / s.
    """
    dy = np.ones(x.shape) if dy is None else dy
    y, dx, dw, db = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for c in range(x.shape[1]):
        values = [float(v) for v in x[:, c].ravel()]
        incoming = [float(v) for v in dy[:, c].ravel()]
        number = len(values)
        if running is None:
            mean = math.fsum(values) / number
            variance = math.fsum((v - mean) ** 2 for v in values) / number
        else:
            mean, variance = float(running[0][c]), float(running[1][c])
        s = math.sqrt(variance + eps)
        h = [(v - mean) / s for v in values]
        w, b = (1.0, 0.0) if weight is None or bias is None else (float(weight[c]), float(bias[c]))
        dh = [w * d for d in incoming]
        back = []
        for k in range(number):
            if running is None:
                terms = (dh[m] * ((1.0 if m == k else 0.0) - 1 / number - h[m] * h[k] / number) for m in range(number))
                back.append(math.fsum(terms) / s)
            else:
                back.append(dh[k] / s)
        y[:, c] = np.array([w * v + b for v in h]).reshape(y[:, c].shape)
        dx[:, c] = np.array(back).reshape(y[:, c].shape)
        dw[c] = math.fsum(d * v for d, v in zip(incoming, h, strict=True))
        db[c] = math.fsum(incoming)
    return Result(y, dx, {} if weight is None else {"weight": dw, "bias": db})


def local_response_norm(
    x: Array, dy: Array | None = None, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Result:
    """x[c] / (k + alpha / size * sum of the squares of its neighbours) ** beta, at one place after another."""
    dy = np.ones(x.shape) if dy is None else dy
    y, dx = np.zeros(x.shape), np.zeros(x.shape)
    channels = x.shape[1]

    def neighbours(c: int) -> Iterator[int]:
        return (e for e in range(c - size // 2, c - size // 2 + size) if 0 <= e < channels)

    for n in range(x.shape[0]):
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                for c in range(channels):
                    s = k + alpha / size * math.fsum(float(x[n, e, i, j]) ** 2 for e in neighbours(c))
                    y[n, c, i, j] = x[n, c, i, j] * s**-beta
                    dx[n, c, i, j] += dy[n, c, i, j] * s**-beta
                    for e in neighbours(c):
                        slope = -beta * s ** (-beta - 1) * alpha / size * 2 * x[n, e, i, j]
                        dx[n, e, i, j] += dy[n, c, i, j] * x[n, c, i, j] * slope
    return Result(y, dx)
