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


@every_activation
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_not_hidden(kind: str, bad: float, engine: str) -> None:
    """NaN stays NaN wherever it enters; infinity never turns into another element's finite value."""
    with np.errstate(invalid="ignore"):
        y, _ = apply(ALL[kind](), [0.5, bad, -0.5], engine=engine, dtype="float32")
    if np.isnan(bad):
        assert np.isnan(y[1]), f"{kind}(NaN) = {y[1]}"
    elif kind not in ("softmax", "log_softmax"):
        assert np.isfinite(y[0]) and np.isfinite(y[2])


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
