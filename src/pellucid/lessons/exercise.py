"""The worked examples of the notes `exercise`: filtering, sizes and parameters, convolution + global average
pooling.

Each function computes the item of its name from earlier items, through the product; see `workings.py`.
"""
# ruff: noqa: D103, E741, E743  what each function computes is said by its item; the names are the notes'

import itertools

import numpy as np

from pellucid.errors import DataError
from pellucid.layers import Conv2d, Flatten, GlobalAvgPool2d, Layer, Linear, MaxPool2d
from pellucid.lessons import product
from pellucid.lessons.product import Array
from pellucid.lessons.sums import Sum, bilinear, units
from pellucid.lessons.workings import Comparison, Step

# ---- Filtering a vertical line -----------------------------------------------------------------------------


def recovered_filter(line: Array, filtered_line_printed: Array) -> Array:
    """The 3x3 filter, lost in the scan, that explains as many rows of the printed result as any filter can.

    A convolution is linear in its filter, so every printed row gives equations for it. As few rows as
    possible are left out until a filter solves the rest; DataError if that leaves a choice.
    """
    columns = [product.correlate(line, one, padding=1) for one in units((3, 3))]
    equations = np.stack(columns, axis=-1)
    for left_out in range(len(line) - 1):
        solutions = []
        for kept in itertools.combinations(range(len(line)), len(line) - left_out):
            rows, wanted = equations[list(kept)].reshape(-1, 9), filtered_line_printed[list(kept)].ravel()
            solution, _, rank, _ = np.linalg.lstsq(rows, wanted, rcond=None)
            if np.allclose(rows @ solution, wanted, atol=1e-6):
                solutions.append((solution, int(rank)))
        if solutions:
            if len(solutions) > 1 or solutions[0][1] < 9:
                break
            return np.round(solutions[0][0], 9).reshape(3, 3)
    raise DataError("The printed rows do not determine one 3x3 filter.")


def filtered_line(line: Array, recovered_filter: Array) -> Array:
    return product.correlate(line, recovered_filter, padding=1)


# ---- A small network ---------------------------------------------------------------------------------------


def convolved_size(network_input: Array, filter_size: Array, filters: Array, stride: Array, padding: Array) -> Array:
    rows, columns, channels = map(int, network_input)
    conv = Conv2d(channels, int(filters), int(filter_size), stride=int(stride), padding=int(padding))
    return _rows_first(product.output_shape(conv, (1, channels, rows, columns)))


def pooled_size(convolved_size: Array, pool_size: Array) -> Array:
    rows, columns, channels = map(int, convolved_size)
    size, stride = map(int, pool_size)
    return _rows_first(product.output_shape(MaxPool2d(size, stride), (1, channels, rows, columns)))


def flattened(pooled_size: Array) -> float:
    rows, columns, channels = map(int, pooled_size)
    return product.output_shape(Flatten(), (1, channels, rows, columns))[1]


def first_dense(flattened: Array, neurons: Array) -> float:
    return _parameters(Linear(int(flattened), int(neurons[0]), bias=False))


def second_dense(neurons: Array) -> float:
    return _parameters(Linear(int(neurons[0]), int(neurons[1]), bias=False))


def pointwise() -> Comparison:
    numbers = np.random.default_rng(2)
    image = numbers.integers(-9, 10, (3, 4, 4)).astype(np.float64)
    weights = numbers.integers(-9, 10, (1, 3, 1, 1)).astype(np.float64)
    y = product.output(Conv2d(3, 1, 1, bias=False), image[None], {"weight": weights})
    return Comparison(y[0, 0], (weights[0] * image).sum(axis=0))


def _rows_first(shape: tuple[int, ...]) -> Array:
    return np.array([shape[2], shape[3], shape[1]])


def _parameters(layer: Layer) -> int:
    return sum(tensor.size for tensor in layer.tensors().values())


# ---- Convolution and global average pooling ----------------------------------------------------------------


def O(X: Array, F: Array) -> Array:
    return product.correlate(X, F)


def gap(O: Array) -> float:
    return float(product.output(GlobalAvgPool2d(), O[None, None])[0, 0])


def y(O: Array) -> float:
    return float(product.output(GlobalAvgPool2d(), O[None, None])[0, 0])


def dO(O: Array) -> float:
    """Through the mean every element gets the same."""
    _, gradient, _ = product.gradients(GlobalAvgPool2d(), O[None, None], np.ones((1, 1)))
    return float(np.unique(gradient).item())


def dF(X: Array, F: Array, dO: Array) -> Array:
    return product.correlate_gradients(X, F, np.full((2, 2), float(dO)))[1]


def chain(X: Array, F: Array) -> Comparison:
    _, d_filter = product.correlate_gradients(X, F, np.array([[1.0, -2.0], [3.0, 0.5]]))
    parts = [
        k * product.correlate_gradients(X, F, one)[1] for k, one in zip((1, -2, 3, 0.5), units((2, 2)), strict=True)
    ]
    return Comparison(d_filter, np.sum(parts, axis=0))


def dX_letters() -> list[Sum]:
    return bilinear(
        lambda kernel, d_output: product.correlate_gradients(np.zeros((3, 3)), kernel, d_output)[0],
        ("F", (2, 2)),
        ("dO", (2, 2)),
    )


def dX(X: Array, F: Array, dO: Array) -> Array:
    return product.correlate_gradients(X, F, np.full((2, 2), float(dO)))[0]


STEPS: tuple[Step, ...] = (
    recovered_filter, filtered_line, convolved_size, pooled_size, flattened, first_dense, second_dense,
    pointwise, O, gap, chain, y, dO, dF, dX_letters, dX,
)  # fmt: skip
