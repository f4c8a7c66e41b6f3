"""Initial values: their bounds, their spread, and that a seed gives the same ones again."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from pellucid import initializers
from pellucid.errors import ShapeError, UsageError
from pellucid.layers import Conv2d, Linear, Parameter

DENSE, CONV = (200, 300), (40, 60, 3, 2)
FAN_IN = {DENSE: 300, CONV: 60 * 6}
FAN_OUT = {DENSE: 200, CONV: 40 * 6}
both = pytest.mark.parametrize("shape", [DENSE, CONV], ids=["dense", "convolution"])


def drawn(name: str, shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    values = initializers.get(name)(np.random.default_rng(seed), shape)
    assert (values.shape, values.dtype) == (shape, np.float32)
    return values


@both
@pytest.mark.parametrize(
    ("name", "square"),
    [
        ("glorot_uniform", lambda s: 6 / (FAN_IN[s] + FAN_OUT[s])),
        ("he_uniform", lambda s: 6 / FAN_IN[s]),
        ("fan_in_uniform", lambda s: 1 / FAN_IN[s]),
        ("notes_uniform", lambda s: 6 / 500 if s == DENSE else 40 / (100 * 6)),
    ],
)
def test_uniform_within_its_bound(name: str, square: object, shape: tuple[int, ...]) -> None:
    assert callable(square)
    bound = math.sqrt(square(shape))
    values = drawn(name, shape).astype(np.float64)
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > 0.99 * bound
    assert abs(values.mean()) < 0.03 * bound
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


@both
@pytest.mark.parametrize(
    ("name", "variance"),
    [("glorot_normal", lambda s: 2 / (FAN_IN[s] + FAN_OUT[s])), ("he_normal", lambda s: 2 / FAN_IN[s])],
)
def test_normal_with_its_deviation(name: str, variance: object, shape: tuple[int, ...]) -> None:
    assert callable(variance)
    values = drawn(name, shape).astype(np.float64) / math.sqrt(variance(shape))
    assert abs(values.mean()) < 0.03
    assert values.std() == pytest.approx(1, rel=0.03)
    assert np.mean(np.abs(values) > 2) == pytest.approx(0.0455, abs=0.01)


def test_constants() -> None:
    assert not drawn("zeros", (3, 4)).any()
    assert (drawn("ones", (5,)) == 1).all()


@pytest.mark.parametrize("name", ["notes_uniform", "glorot_normal", "he_uniform", "he_normal", "fan_in_uniform"])
def test_the_seed_decides(name: str) -> None:
    np.testing.assert_array_equal(drawn(name, DENSE, 1), drawn(name, DENSE, 1))
    assert not np.array_equal(drawn(name, DENSE, 1), drawn(name, DENSE, 2))


def test_the_fans_of_the_notes_first_layer() -> None:
    assert initializers.fans((4, 1, 5, 5)) == (25, 100)
    assert initializers.fans((10, 50)) == (50, 10)
    with pytest.raises(UsageError, match=r"a weight of shape \(5,\) has no fan-in: it needs outputs and inputs"):
        initializers.fans((5,))


def test_unknown_names_are_refused_where_they_are_given() -> None:
    message = "unknown initializer 'xavier': choose one of zeros, ones, notes_uniform, glorot_uniform"
    for make in (
        lambda: initializers.get("xavier"),
        lambda: Linear(2, 2, init="xavier"),
        lambda: Conv2d(1, 1, 1, init="xavier"),
    ):
        with pytest.raises(UsageError, match=message):
            make()


def test_a_function_of_ones_own() -> None:
    def diagonal(generator: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        return np.eye(*shape, dtype=np.float32)

    layer = Linear(3, 2, init=diagonal)
    assert layer.parameters["weight"].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert layer.parameters["bias"].tolist() == [0, 0]


def test_layers_start_as_they_are_told() -> None:
    weight = Linear(300, 200, init="he_normal").init(seed=1).parameters["weight"]
    assert weight.std() == pytest.approx(math.sqrt(2 / 300), rel=0.05)
    assert np.abs(Conv2d(60, 40, (3, 2)).parameters["weight"]).max() <= math.sqrt(6 / 360)


def test_a_parameter_has_elements() -> None:
    with pytest.raises(ShapeError, match=r"parameter W would have the shape \(3, 0\); every extent must be at least 1"):
        Parameter("W", (3, 0))
