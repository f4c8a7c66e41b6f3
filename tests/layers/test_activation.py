"""Activations where numbers become large, where slopes jump, and where something is not a number."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import UsageError

# Typed as Any: the calls below are wrong on purpose.
LeakyReLU: Any = pc.layers.LeakyReLU

ALL = {
    "relu": pc.layers.ReLU,
    "leaky_relu": pc.layers.LeakyReLU,
    "elu": pc.layers.ELU,
    "softplus": pc.layers.Softplus,
    "silu": pc.layers.SiLU,
    "hardswish": pc.layers.Hardswish,
    "gelu": pc.layers.GELU,
    "gelu tanh": lambda: pc.layers.GELU("tanh"),
    "sigmoid": pc.layers.Sigmoid,
    "tanh": pc.layers.Tanh,
    "scaled_tanh": pc.layers.ScaledTanh,
    "softmax": pc.layers.Softmax,
    "log_softmax": pc.layers.LogSoftmax,
}
every_activation = pytest.mark.parametrize("kind", ALL)


def apply(layer: pc.layers.Layer, row: list[float], *, engine: str, dtype: str) -> tuple[list[float], list[float]]:
    """Output and input gradient of one row, for an output gradient of ones."""
    x = np.array([row], dtype=dtype)
    y, dx, _ = pc.vjp(layer, x, np.ones(x.shape, dtype), engine=engine, dtype=dtype, training=True)
    return y[0].tolist(), dx[0].tolist()


def test_slope_at_zero(engine: str, dtype: str) -> None:
    """The field's convention: ReLU's slope at 0 is 0, leaky ReLU's is the negative side's."""
    assert apply(pc.layers.ReLU(), [-1.0, 0.0, 2.0], engine=engine, dtype=dtype)[1] == [0, 0, 1]
    leaky = apply(pc.layers.LeakyReLU(0.25), [-1.0, 0.0, 2.0], engine=engine, dtype=dtype)
    assert leaky == ([-0.25, 0, 2], [0.25, 0.25, 1])


def test_large_inputs_saturate_without_overflow(engine: str, dtype: str) -> None:
    row = [-1e4, -100.0, 100.0, 1e4]
    y, dx = apply(pc.layers.Sigmoid(), row, engine=engine, dtype=dtype)
    np.testing.assert_allclose(y, [0, 0, 1, 1], atol=1e-30)
    np.testing.assert_allclose(dx, 0, atol=1e-6)
    y, dx = apply(pc.layers.Tanh(), row, engine=engine, dtype=dtype)
    assert (y, dx) == ([-1, -1, 1, 1], [0, 0, 0, 0])


def test_softmax_of_large_inputs(engine: str, dtype: str) -> None:
    """Only differences matter: neither 1e4 nor -1e4 may overflow or give 0/0."""
    for shift in (-1e4, 0.0, 1e4):
        y, _ = apply(pc.layers.Softmax(), [shift, shift, shift + 8], engine=engine, dtype=dtype)
        np.testing.assert_allclose(y, np.exp([0, 0, 8]) / (2 + np.exp(8)), rtol=1e-5)
        y, _ = apply(pc.layers.LogSoftmax(), [shift, shift, shift + 8], engine=engine, dtype=dtype)
        np.testing.assert_allclose(y, np.array([0, 0, 8]) - np.log(2 + np.exp(8)), rtol=1e-5, atol=1e-6)


def test_logarithm_of_a_vanishing_probability(engine: str, dtype: str) -> None:
    """exp(-1000) is 0 in every precision; its logarithm is still -1000."""
    y, dx = apply(pc.layers.LogSoftmax(), [0.0, -1000.0], engine=engine, dtype=dtype)
    assert y == [0.0, -1000.0]
    np.testing.assert_allclose(dx, [-1, 1])


NAN, INF = float("nan"), float("inf")

AT_INFINITY: dict[str, tuple[float, float]] = {
    "relu": (INF, 0),  # max(x, 0)
    "leaky_relu": (INF, -INF),  # 0.01 * -inf below 0
    "elu": (INF, -1),  # exp(-inf) - 1
    "softplus": (INF, 0),  # x beyond the threshold; log(1 + 0)
    "silu": (INF, NAN),  # inf * 1; -inf * 0
    "hardswish": (INF, NAN),  # inf * 6 / 6; -inf * 0 / 6
    "gelu": (INF, NAN),  # inf * (1 + 1) / 2; -inf * (1 - 1) / 2
    "gelu tanh": (INF, NAN),
    "sigmoid": (1, 0),
    "tanh": (1, -1),
    "scaled_tanh": (1.7159, -1.7159),
}
"""The value at infinity and at minus infinity of each function of one value, by its formula."""


@pytest.mark.parametrize("kind", AT_INFINITY)
def test_what_is_not_finite(kind: str, engine: str, dtype: str) -> None:
    """NaN stays NaN, infinity gives what the formula gives, and neither touches its neighbours."""
    row = [0.5, NAN, INF, -INF, -0.5] * 7  # more than a vector, and a rest
    with np.errstate(invalid="ignore", over="ignore"):
        y, _ = apply(ALL[kind](), row, engine=engine, dtype=dtype)
        alone, _ = apply(ALL[kind](), [0.5, -0.5], engine=engine, dtype=dtype)
    above, below = AT_INFINITY[kind]
    np.testing.assert_allclose(y, [alone[0], NAN, above, below, alone[1]] * 7, rtol=1e-6)


def test_softplus_beyond_every_threshold_keeps_nan(engine: str, dtype: str) -> None:
    for layer in (pc.layers.Softplus(beta=2.0), pc.layers.Softplus(threshold=-1.0)):
        y, dx = apply(layer, [NAN, 30.0], engine=engine, dtype=dtype)
        assert np.isnan(y[0]) and np.isnan(dx[0])
        assert (y[1], dx[1]) == (30.0, 1.0)


@pytest.mark.parametrize("kind", ["softmax", "log_softmax"])
def test_softmax_of_what_is_not_finite(kind: str, engine: str, dtype: str) -> None:
    """With exp(x - max): NaN and inf - inf reach every class of their row, minus infinity has probability 0."""
    rows = np.array([[0.5, NAN, -0.5], [0.5, INF, -0.5], [0.5, -INF, -0.5], [1.0, 0.0, 1.0]], dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = pc.predict(ALL[kind](), rows, engine=engine, dtype=dtype)
        two = 1 / (1 + np.exp(-1.0)), 0.0, 1 / (1 + np.exp(1.0))
        expected = np.log(two) if kind == "log_softmax" else np.array(two)
    assert np.isnan(y[:2]).all()
    np.testing.assert_allclose(y[2], expected, rtol=1e-5)
    assert np.isfinite(y[3]).all()


@every_activation
def test_any_number_of_axes(kind: str, engine: str, generator: np.random.Generator) -> None:
    """Axis 1 is the channel axis: every pixel is treated as a row of its own."""
    x = generator.normal(size=(2, 3, 4, 5)).astype(np.float32)
    y = pc.predict(ALL[kind](), x, engine=engine)
    rows = np.moveaxis(x, 1, -1).reshape(-1, 3)
    alone = np.moveaxis(pc.predict(ALL[kind](), rows, engine=engine).reshape(2, 4, 5, 3), -1, 1)
    np.testing.assert_allclose(y, alone, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeakyReLU(float("nan")), "LeakyReLU.*negative_slope.*nan"),
        (lambda: LeakyReLU("steep"), "LeakyReLU.*negative_slope.*steep"),
        (lambda: pc.layers.ScaledTanh(amplitude=float("inf")), "ScaledTanh.*amplitude.*inf"),
        (lambda: pc.layers.ScaledTanh(slope=float("nan")), "ScaledTanh.*slope.*nan"),
    ],
    ids=["slope nan", "slope text", "amplitude", "scaled slope"],
)
def test_arguments_that_are_no_numbers_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match=message):
        make()
