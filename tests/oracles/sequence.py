"""Tokens and steps: looking up rows of a table, taking one step of a sequence."""

import numpy as np

from tests.oracles.result import Array, Result


def embedding(x: Array, weight: Array, padding: int | None, dy: Array | None = None) -> Result:
    """Each token's row of the table; the padding token is the vector 0 and learns nothing. There is no dx."""
    y = np.zeros((*x.shape, weight.shape[1]))
    given = np.ones(y.shape) if dy is None else dy
    dw = np.zeros(weight.shape)
    for n, sentence in enumerate(x):
        for place, token in enumerate(map(int, sentence)):
            if token != padding:
                y[n, place] = weight[token]
                dw[token] += given[n, place]
    return Result(y, np.zeros(0), {"weight": dw})


def select_step(x: Array, dy: Array | None = None, *, step: int) -> Result:
    """One step of every sequence."""
    y = np.stack([sequence[step] for sequence in x])
    dx = np.zeros(x.shape)
    dx[:, step] = np.ones(y.shape) if dy is None else dy
    return Result(y, dx)
