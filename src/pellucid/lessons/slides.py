"""The worked examples of the notes `slides`: filters, pooling, sizes, dilation, a first backward pass.

Each function computes the item of its name from earlier items, through the product; see `workings.py`.
"""
# ruff: noqa: D103  what each function computes is said by its item

import numpy as np

from pellucid.layers import AvgPool2d, Conv2d, FixedFilter2d, MaxPool2d
from pellucid.lessons import product
from pellucid.lessons.product import Array
from pellucid.lessons.sums import Sum, linear
from pellucid.lessons.workings import Step

# ---- Which element meets which in a true convolution, for one output (i, j) and one element (x, y) ---------


def i() -> float:
    return 3


def j() -> float:
    return 2


def x() -> float:
    return 1


def y() -> float:
    return 2


def convolution_indices(i: float, j: float, x: float, y: float) -> Array:
    """Differentiate the output (i, j) by every g while f is 1 at (x, y) and 0 elsewhere: one g is met."""
    f = np.zeros((1, 1, 4, 4))
    f[0, 0, int(x), int(y)] = 1
    full = Conv2d(1, 1, 4, padding=3, bias=False, flip=True)
    wanted = np.zeros(product.output_shape(full, (1, 1, 6, 6)))
    wanted[0, 0, int(i), int(j)] = 1
    _, met, _ = product.gradients(full, np.zeros((1, 1, 6, 6)), wanted, {"weight": f})
    return np.array(np.argwhere(met[0, 0] == 1)[0], dtype=np.float64)


# ---- Filters and pooling -----------------------------------------------------------------------------------


def gaussian_factor(gaussian: Array) -> float:
    return 1 / float(product.correlate(np.ones((3, 3)), gaussian)[0, 0])


def average_factor(average: Array) -> float:
    return 1 / float(product.correlate(np.ones((3, 3)), average)[0, 0])


def edges(edge_image: Array, edge_filter: Array) -> Array:
    return product.picture(FixedFilter2d(edge_filter), edge_image)


def max_pooled(edges: Array) -> Array:
    return product.picture(MaxPool2d(2, stride=1), edges)


def average_pooled(edges: Array) -> Array:
    return product.picture(AvgPool2d(2, stride=1), edges)


def pooled_channels() -> float:
    return product.output_shape(MaxPool2d(2), (1, 9, 8, 8))[1]


# ---- Sizes -------------------------------------------------------------------------------------------------


def padded_size() -> Array:
    """The image without padding from which a 3x3 filter makes what it makes from the padded 3x3 image."""
    padded = product.output_shape(Conv2d(1, 1, 3, padding=1), (1, 1, 3, 3))
    sizes = (n for n in range(3, 20) if product.output_shape(Conv2d(1, 1, 3), (1, 1, n, n)) == padded)
    return np.full(2, next(sizes))


def image_size() -> Array:
    return np.array([7, 28, 24, 490, 227])


def filter_size() -> Array:
    return np.array([3, 5, 2, 5, 11])


def stride() -> Array:
    return np.array([2, 1, 2, 5, 4])


def output_size(image_size: Array, filter_size: Array, stride: Array) -> Array:
    cases = zip(image_size, filter_size, stride, strict=True)
    return np.array([_output(Conv2d(1, 1, int(f), stride=int(s)), (int(n), int(n)))[0] for n, f, s in cases])


def output_size_drawn() -> Array:
    return np.array(_output(Conv2d(1, 1, 3, stride=2), (7, 7)))


def quiz_size() -> Array:
    return np.array(_output(Conv2d(1, 1, 5, stride=5, padding=5), (480, 640)))


def quiz_channels() -> float:
    return product.output_shape(Conv2d(3, 9, 5, stride=5, padding=5), (1, 3, 480, 640))[1]


def dilated_filter(dilated_cells: Array) -> Array:
    return np.array(dilated_cells.shape)


def dilated_cells() -> Array:
    """The pixels that one output's gradient reaches."""
    conv = Conv2d(1, 1, 3, dilation=2, bias=False)
    centre = np.zeros((1, 1, 7, 7))
    centre[0, 0, 3, 3] = 1
    _, reached, _ = product.gradients(conv, np.zeros((1, 1, 11, 11)), centre, {"weight": np.ones((1, 1, 3, 3))})
    rows, columns = np.nonzero(reached[0, 0])
    cells: Array = reached[0, 0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return cells


def _output(conv: Conv2d, size: tuple[int, int]) -> tuple[int, ...]:
    return product.output_shape(conv, (1, 1, *size))[2:]


# ---- Backpropagation ---------------------------------------------------------------------------------------


def feature(image: Array) -> list[Sum]:
    return linear(lambda kernel: product.correlate(image, kernel), "w", (2, 2))


def max_gradient() -> Array:
    """Gradient of the larger of two numbers."""
    _, gradient, _ = product.gradients(MaxPool2d((1, 2)), np.array([[[[2.0, 1.0]]]]), np.ones((1, 1, 1, 1)))
    return gradient.ravel()


def sum_slope() -> Array:
    """Derivative of a sum of four numbers by each of them."""
    ones = FixedFilter2d(np.ones((2, 2)))
    return product.gradients(ones, np.zeros((1, 1, 2, 2)), np.ones((1, 1, 1, 1)))[1].ravel()


def product_slopes() -> list[Sum]:
    """The derivatives of x11 * w11 and x12 * w11 by w11."""
    scale = Conv2d(1, 1, 1, bias=False)

    def by_weight(x: Array) -> Array:
        ones = np.eye(2).reshape(2, 1, 1, 2)  # one output after the other
        return np.array(
            [product.gradients(scale, x.reshape(1, 1, 1, 2), one[None])[2]["weight"].item() for one in ones]
        )

    return linear(by_weight, "x", (1, 2))


def max_gradient_weight() -> list[Sum]:
    """The gradient by w11 of f = max(s11, s12): s11 is w11 times the sum of one 2x2 window, s12 w12 times the
    next's.

    With w11 = 1 and w12 = -1, s11 is the larger one for every image that has a single 1 in it.
    """
    weights = {"weight": np.array([1.0, -1.0]).reshape(2, 1, 1, 1)}
    scale = Conv2d(2, 2, 1, groups=2, bias=False)

    def by_w11(image: Array) -> Array:
        sums = product.picture(FixedFilter2d(np.ones((2, 2))), image).reshape(1, 2, 1, 1)
        scaled = product.output(scale, sums, weights).reshape(1, 1, 1, 2)
        _, d_scaled, _ = product.gradients(MaxPool2d((1, 2)), scaled, np.ones((1, 1, 1, 1)))
        _, _, found = product.gradients(scale, sums, d_scaled.reshape(1, 2, 1, 1), weights)
        return np.array(found["weight"][:1])

    return linear(by_w11, "x", (2, 3))


STEPS: tuple[Step, ...] = (
    i, j, x, y, convolution_indices, gaussian_factor, average_factor, edges, max_pooled, average_pooled,
    pooled_channels, padded_size, image_size, filter_size, stride, output_size, output_size_drawn, quiz_size,
    quiz_channels, dilated_filter, dilated_cells, feature, max_gradient, sum_slope, product_slopes, max_gradient_weight,
)  # fmt: skip
