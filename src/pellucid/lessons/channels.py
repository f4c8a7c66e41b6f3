"""The worked examples of the notes `channels`: depths of filters and feature maps, backpropagation to a 2x2
filter.

Each function computes the item of its name from earlier items, through the product; see `workings.py`.
"""
# ruff: noqa: D103  what each function computes is said by its item

import numpy as np

from pellucid.layers import Conv2d
from pellucid.lessons import product
from pellucid.lessons.product import Array
from pellucid.lessons.sums import Sum, bilinear, linear, units
from pellucid.lessons.workings import Comparison, Step

NO_FILTER = np.zeros((2, 2))


def feature_maps_of_16() -> float:
    return product.output_shape(Conv2d(3, 16, 3), (1, 3, 8, 8))[1]


def first_filter() -> float:
    return Conv2d(3, 32, 3).tensors()["weight"].extents[1]


def second_input() -> float:
    return product.output_shape(Conv2d(3, 32, 3), (1, 3, 8, 8))[1]


def second_filter(second_input: Array) -> Array:
    return np.array(Conv2d(int(second_input), 64, 3).tensors()["weight"].extents[1:])


def two_filters() -> float:
    return product.output_shape(Conv2d(3, 2, 3), (1, 3, 6, 6))[1]


def channel_sum() -> Comparison:
    numbers = np.random.default_rng(0)
    image = numbers.integers(-9, 10, (3, 6, 6)).astype(np.float64)
    kernels = numbers.integers(-9, 10, (2, 3, 3, 3)).astype(np.float64)
    bias = np.array([1.0, -2.0])
    whole = product.output(Conv2d(3, 2, 3), image[None], {"weight": kernels, "bias": bias})[0]
    parts = [sum(product.correlate(image[c], kernels[o, c]) for c in range(3)) + bias[o] for o in range(len(kernels))]
    return Comparison(whole, np.stack(parts))


def output() -> list[Sum]:
    return bilinear(product.correlate, ("X", (3, 3)), ("F", (2, 2)))[:1]


def output_by_filter() -> list[Sum]:
    first_output = units((2, 2))[0]
    return linear(lambda x: product.correlate_gradients(x, NO_FILTER, first_output)[1], "X", (3, 3))


def chain() -> Comparison:
    numbers = np.random.default_rng(1)
    x = numbers.integers(-9, 10, (3, 3)).astype(np.float64)
    d_output = numbers.integers(-9, 10, (2, 2)).astype(np.float64)
    whole = product.correlate_gradients(x, NO_FILTER, d_output)[1]
    parts = [d_output[one == 1] * product.correlate_gradients(x, NO_FILTER, one)[1] for one in units((2, 2))]
    return Comparison(whole, np.sum(parts, axis=0))


def filter_gradient() -> list[Sum]:
    every = bilinear(
        lambda x, d_output: product.correlate_gradients(x, NO_FILTER, d_output)[1],
        ("X", (3, 3)),
        ("dO", (2, 2)),
    )
    return [every[0], every[3]]


def F() -> Array:
    return np.array([[1.0, -0.5], [0.25, 2.0]])


def dL_dF() -> Array:
    return np.array([[4.0, 0.5], [-1.0, 3.0]])


def alpha() -> float:
    return 0.125


def update(F: Array, dL_dF: Array, alpha: float) -> Array:
    return product.descend(F, dL_dF, alpha)


STEPS: tuple[Step, ...] = (
    feature_maps_of_16, first_filter, second_input, second_filter, two_filters, channel_sum, output,
    output_by_filter, chain, filter_gradient, F, dL_dF, alpha, update,
)  # fmt: skip
