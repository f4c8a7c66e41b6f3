"""Dropout: what is random about it, and what must not be."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pellucid as pc
from pellucid.errors import UsageError
from tests.oracles.compare import assert_identical

Array = npt.NDArray[np.generic]
SHAPE = (8, 4, 16, 16)


def apply(
    layer: pc.layers.Layer,
    *,
    engine: str,
    training: bool = True,
    seed: int = 0,
    step: int = 0,
    x: Array | None = None,
    dtype: str = "float32",
) -> tuple[Array, Array]:
    """Output and input gradient, for inputs and output gradients of ones unless others are given."""
    given = np.ones(SHAPE, dtype) if x is None else x.astype(dtype)
    dy = np.ones(given.shape, dtype)
    y, dx, _ = pc.vjp(layer, given, dy, engine=engine, dtype=dtype, training=training, seed=seed, step=step)
    return y, dx


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.8])
def test_what_is_kept_is_scaled_and_the_rate_is_right(p: float, engine: str) -> None:
    y, _ = apply(pc.layers.Dropout(p), engine=engine, seed=1)
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
    deviation = math.sqrt(p * (1 - p) / y.size)
    assert abs(kept.mean() - (1 - p)) < 4 * deviation


def test_gradient_passes_where_the_value_passed(
    dtype: str, engine: str, generator: np.random.Generator, repro: str
) -> None:
    layer = pc.layers.Dropout(0.5)
    mask = apply(layer, engine=engine, seed=3, step=5)[0] != 0
    assert 0 < np.count_nonzero(mask) < mask.size
    x = generator.normal(size=SHAPE).astype(dtype)
    dy = generator.normal(size=SHAPE).astype(dtype)
    y, dx, _ = pc.vjp(layer, x, dy, engine=engine, dtype=dtype, training=True, seed=3, step=5)
    assert_identical("y", y, np.where(mask, 2 * x, 0), repro)
    assert_identical("d x", dx, np.where(mask, 2 * dy, 0), repro)


def test_same_seed_and_step_drop_the_same(engine: str) -> None:
    first, second = (apply(pc.layers.Dropout(0.5), engine=engine, seed=7, step=2)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("other", [{"seed": 1}, {"step": 1}, {"seed": 2**31}, {"step": 100_000}])
def test_other_seeds_and_steps_drop_independently(other: dict[str, Any], engine: str) -> None:
    """Two independent masks of one half agree in one half of the elements."""
    first, _ = apply(pc.layers.Dropout(0.5), engine=engine)
    second, _ = apply(pc.layers.Dropout(0.5), engine=engine, **other)
    agreement = float(np.mean((first != 0) == (second != 0)))
    assert abs(agreement - 0.5) < 4 * 0.5 / math.sqrt(first.size)


def test_two_layers_of_a_model_drop_independently(engine: str) -> None:
    """Equal masks would let one half through; independent ones let one quarter through."""
    model = pc.Sequential([("first", pc.layers.Dropout(0.5)), ("second", pc.layers.Dropout(0.5))])
    y, dx = apply(model, engine=engine)
    passed = float(np.mean(y != 0))
    assert abs(passed - 0.25) < 4 * math.sqrt(0.25 * 0.75 / y.size)
    np.testing.assert_array_equal(y != 0, dx != 0)


def test_elements_are_dropped_independently(engine: str) -> None:
    """Neighbours along every axis agree in one half of the cases: the mask has no stripes and no copies."""
    kept = apply(pc.layers.Dropout(0.5), engine=engine)[0] != 0
    for axis in range(kept.ndim):
        near, far = np.swapaxes(kept, 0, axis)[:-1], np.swapaxes(kept, 0, axis)[1:]
        assert abs(float(np.mean(near == far)) - 0.5) < 4 * 0.5 / math.sqrt(near.size)


def test_nothing_is_dropped_outside_training(engine: str, generator: np.random.Generator) -> None:
    x = generator.normal(size=SHAPE).astype(np.float32)
    y, dx = apply(pc.layers.Dropout(0.5), engine=engine, training=False, x=x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, np.ones(SHAPE))
    np.testing.assert_array_equal(pc.predict(pc.layers.Dropout(0.5), x, engine=engine), x)


def test_a_rate_of_zero_drops_nothing(engine: str) -> None:
    y, dx = apply(pc.layers.Dropout(0.0), engine=engine)
    np.testing.assert_array_equal(y, np.ones(SHAPE))
    np.testing.assert_array_equal(dx, np.ones(SHAPE))


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(UsageError, match=rf"Dropout.*p.*{p}"):
        pc.layers.Dropout(p)
