"""The dense layer, and laying an image out as a row."""

import numpy as np

from tests.oracles.result import Array, Result


def linear(x: Array, weight: Array, bias: Array | None, dy: Array | None = None) -> Result:
    """y[n,o] = sum(i) x[n,i] w[o,i] + b[o]; the weight is (outputs, inputs)."""
    batch, inputs = x.shape
    outputs = weight.shape[0]
    if dy is None:
        dy = np.ones((batch, outputs))
    y, dx, dw, db = (np.zeros(shape) for shape in ((batch, outputs), x.shape, weight.shape, (outputs,)))
    for n in range(batch):
        for o in range(outputs):
            total = 0.0 if bias is None else float(bias[o])
            for i in range(inputs):
                total += float(x[n, i]) * float(weight[o, i])
                dx[n, i] += dy[n, o] * weight[o, i]
                dw[o, i] += dy[n, o] * x[n, i]
            y[n, o] = total
            db[o] += dy[n, o]
    return Result(y, dx, {"weight": dw} if bias is None else {"weight": dw, "bias": db})


def flatten(x: Array, dy: Array | None = None) -> Result:
    """Each image as one row: channel by channel, row by row."""
    rows = []
    for n in range(x.shape[0]):
        row: list[float] = []
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    row.append(float(x[n, c, i, j]))
        rows.append(row)
    y = np.array(rows)
    if dy is None:
        dy = np.ones(y.shape)
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        at = 0
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    dx[n, c, i, j] = dy[n, at]
                    at += 1
    return Result(y, dx)


def add_channel(x: Array, dy: Array | None = None) -> Result:
    """Each image as the only channel of another."""
    y = np.zeros((x.shape[0], 1, *x.shape[1:]))
    if dy is None:
        dy = np.ones(y.shape)
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    y[n, 0, c, i, j] = x[n, c, i, j]
                    dx[n, c, i, j] = dy[n, 0, c, i, j]
    return Result(y, dx)


def code_distance(x: Array, dy: Array | None = None, *, codes: tuple[tuple[float, ...], ...]) -> Result:
    """Minus the sum of the squared differences from each code."""
    y = np.zeros((x.shape[0], len(codes)))
    dy = np.ones(y.shape) if dy is None else dy
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for k, code in enumerate(codes):
            for o, wanted in enumerate(code):
                y[n, k] -= (x[n, o] - wanted) ** 2
                dx[n, o] -= 2 * dy[n, k] * (x[n, o] - wanted)
    return Result(y, dx)
