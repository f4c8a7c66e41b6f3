"""The worked examples of the notes `training`: a network 3-3-3-3 through one whole step, and what surrounds
it.

Each function computes the item of its name from earlier items, through the product; see `workings.py`.
"""
# ruff: noqa: D103  what each function computes is said by its item

import numpy as np

from pellucid.layers import AvgPool2d, MaxPool2d, ReLU, Sigmoid, Softmax
from pellucid.lessons import networks, product
from pellucid.lessons.product import Array
from pellucid.lessons.sums import Sum, bilinear
from pellucid.lessons.workings import Comparison, Step
from pellucid.losses import OutputCrossEntropy

# ---- The update rule of slide 3, on numbers of our own -----------------------------------------------------


def w() -> Array:
    return np.array([0.5, -0.25])


def eta() -> float:
    return 0.125


def dE_dw() -> Array:
    return np.array([1.0, -3.0])


def update_rule(w: Array, dE_dw: Array, eta: float) -> Array:
    return product.descend(w, dE_dw, eta)


# ---- The worked network: forward ---------------------------------------------------------------------------


def h1_in(x: Array, w_ij: Array, b_j: Array) -> Array:
    return product.dense(x, w_ij, b_j)


def h1_out(h1_in: Array) -> Array:
    return product.row(ReLU(), h1_in)


def h2_in(h1_out: Array, w_jk: Array, b_k: Array) -> Array:
    return product.dense(h1_out, w_jk, b_k)


def h2_out(h2_in: Array) -> Array:
    return product.row(Sigmoid(), h2_in)


def o_in(h2_out: Array, w_kl: Array, b_l: Array) -> Array:
    return product.dense(h2_out, w_kl, b_l)


def o_out(o_in: Array) -> Array:
    return product.row(Softmax(), o_in)


# ---- The error ---------------------------------------------------------------------------------------------


def complement(o_out: Array) -> Array:
    return 1 - o_out[1:]


def error_parts(o_out: Array, y: Array) -> Array:
    parts = [product.loss(OutputCrossEntropy(), [[o]], [[wanted]])[0] for o, wanted in zip(o_out, y, strict=True)]
    return np.array(parts)


def error(error_parts: Array) -> float:
    return float(error_parts.sum())


# ---- Derivatives, on numbers of our own --------------------------------------------------------------------


def probe() -> Array:
    return np.array([0.3, -1.1, 0.7])


def sigmoid_slope(probe: Array) -> Array:
    return product.row(Sigmoid(), probe, np.ones(3))


def relu_slope() -> Comparison:
    x = np.array([2.0, -2.0, 0.5, -0.5, 0.0])
    return Comparison(product.row(ReLU(), x, np.ones(5)), np.where(x > 0, 1.0, 0.0))


def softmax_slope(probe: Array) -> float:
    return float(product.row(Softmax(), probe, np.array([1.0, 0.0, 0.0]))[0])


# ---- The worked network: backward --------------------------------------------------------------------------


def dE_dO(o_out: Array, y: Array) -> Array:
    _, gradient = product.loss(OutputCrossEntropy(), o_out[None], y[None])
    return np.array(gradient[0])


def dO_dOin(o_in: Array) -> Array:
    return np.array([product.row(Softmax(), o_in, one)[k] for k, one in enumerate(np.eye(3))])


def dE_dOin(o_in: Array, dE_dO: Array) -> Array:
    """The notes leave this out: through the softmax every output depends on every input."""
    return product.row(Softmax(), o_in, dE_dO)


def dOin_dw_kl(h2_out: Array) -> Array:
    return product.dense_gradients(h2_out, np.zeros((3, 3)), np.ones(3))[1]


def dw_kl(h2_out: Array, dE_dOin: Array) -> Array:
    return product.dense_gradients(h2_out, np.zeros((3, 3)), dE_dOin)[1]


def w_kl_new(w_kl: Array, dw_kl: Array, learning_rate: Array) -> Array:
    return product.descend(w_kl, dw_kl, float(learning_rate))


def dh2out_dh2in(h2_out: Array) -> Array:
    h2_in = np.log(h2_out / (1 - h2_out))  # where the sigmoid gives h2_out
    return product.row(Sigmoid(), h2_in, np.ones(3))


def dh2in_dw_jk(h1_out: Array) -> Array:
    return product.dense_gradients(h1_out, np.zeros((3, 3)), np.ones(3))[1]


def dOin_dh2(w_kl: Array) -> Array:
    columns = [product.dense_gradients(np.zeros(3), w_kl, one)[0] for one in np.eye(3)]
    return np.stack(columns, axis=1)


def dE_dh2_parts(w_kl: Array, dE_dOin: Array) -> Array:
    columns = [product.dense_gradients(np.zeros(3), w_kl, one)[0] for one in np.diag(dE_dOin)]
    return np.stack(columns, axis=1)


def dE_dh2(dE_dh2_parts: Array) -> Array:
    return np.array(dE_dh2_parts.sum(axis=1))


def dw_jk(h1_out: Array, dE_dh2: Array, dh2out_dh2in: Array) -> Array:
    return product.dense_gradients(h1_out, np.zeros((3, 3)), dE_dh2 * dh2out_dh2in)[1]


def w_jk_new(w_jk: Array, dw_jk: Array, learning_rate: Array) -> Array:
    return product.descend(w_jk, dw_jk, float(learning_rate))


def dh1out_dh1in(h1_in: Array) -> Array:
    return product.row(ReLU(), h1_in, np.ones(3))


def dh1out_dh1in_all(h1_in: Array) -> Array:
    """Derivative of every output of the first ReLU by every input, as slide 23 writes it."""
    return np.stack([product.row(ReLU(), h1_in, one) for one in np.eye(3)])


def dh1in_dw_ij(x: Array) -> Array:
    return product.dense_gradients(x, np.zeros((3, 3)), np.ones(3))[1]


def dE_dh1(w_jk: Array, dE_dh2: Array, dh2out_dh2in: Array) -> Array:
    return product.dense_gradients(np.zeros(3), w_jk, dE_dh2 * dh2out_dh2in)[0]


def dw_ij(x: Array, dE_dh1: Array, dh1out_dh1in: Array) -> Array:
    return product.dense_gradients(x, np.zeros((3, 3)), dE_dh1 * dh1out_dh1in)[1]


def w_ij_new(w_ij: Array, dw_ij: Array, learning_rate: Array) -> Array:
    return product.descend(w_ij, dw_ij, float(learning_rate))


# ---- Slide 24 repeats all weights --------------------------------------------------------------------------


def w_ij_start(w_ij: Array) -> Array:
    return w_ij


def w_jk_start(w_jk: Array) -> Array:
    return w_jk


def w_kl_start(w_kl: Array) -> Array:
    return w_kl


def w_ij_end(w_ij_new: Array) -> Array:
    return w_ij_new


def w_jk_end(w_jk_new: Array) -> Array:
    return w_jk_new


def w_kl_end(w_kl_new: Array) -> Array:
    return w_kl_new


# ---- Dense, convolution and pooling layers -----------------------------------------------------------------


def dense_x() -> float:
    return 0.75


def dense_w() -> float:
    return -1.5


def dense_dy() -> float:
    return 2.25


def dense_output(dense_x: float, dense_w: float) -> float:
    return float(product.dense(np.array([dense_x]), np.array([[dense_w]]), np.zeros(1))[0])


def dense_dx(dense_x: float, dense_w: float, dense_dy: float) -> float:
    return float(product.dense_gradients(np.array([dense_x]), np.array([[dense_w]]), np.array([dense_dy]))[0][0])


def dense_dw(dense_x: float, dense_w: float, dense_dy: float) -> float:
    return float(product.dense_gradients(np.array([dense_x]), np.array([[dense_w]]), np.array([dense_dy]))[1][0, 0])


def convolution() -> list[Sum]:
    return bilinear(product.correlate, ("X", (3, 3)), ("F", (2, 2)))


def filter_gradient() -> list[Sum]:
    return bilinear(
        lambda x, d_output: product.correlate_gradients(x, np.zeros((2, 2)), d_output)[1],
        ("X", (3, 3)),
        ("dO", (2, 2)),
    )


def max_pooling_gradient() -> Comparison:
    x = np.array([[1.0, 5.0, 2.0, 2.0], [5.0, 0.0, 2.0, 1.0]])
    y, dx, _ = product.gradients(MaxPool2d(2, ties="all"), x[None, None], np.array([[[[3.0, 7.0]]]]))
    spread_y, spread_dy = (np.kron(values, np.ones((2, 2))) for values in (y[0, 0], np.array([[3.0, 7.0]])))
    return Comparison(dx[0, 0], np.where(spread_y != x, 0.0, spread_dy))


def average_pooling_gradient() -> Comparison:
    dy = np.array([[3.0, 7.0]])
    _, dx, _ = product.gradients(AvgPool2d(2), np.zeros((1, 1, 2, 4)), dy[None, None])
    return Comparison(dx[0, 0], np.kron(dy, np.ones((2, 2))) / (2 * 2))


STEPS: tuple[Step, ...] = (
    w, eta, dE_dw, update_rule, h1_in, h1_out, h2_in, h2_out, o_in, o_out, complement, error_parts, error,
    probe, sigmoid_slope, relu_slope, softmax_slope, dE_dO, dO_dOin, dE_dOin, dOin_dw_kl, dw_kl, w_kl_new,
    dh2out_dh2in, dh2in_dw_jk, dOin_dh2, dE_dh2_parts, dE_dh2, dw_jk, w_jk_new, dh1out_dh1in,
    dh1out_dh1in_all, dh1in_dw_ij, dE_dh1, dw_ij, w_ij_new, w_ij_start, w_jk_start, w_kl_start, w_ij_end,
    w_jk_end, w_kl_end, dense_x, dense_w, dense_dy, dense_output, dense_dx, dense_dw, convolution,
    filter_gradient, max_pooling_gradient, average_pooling_gradient, *networks.STEPS,
)  # fmt: skip
