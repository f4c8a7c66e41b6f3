"""The fixed filters of the notes `slides`."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import UsageError
from tests.oracles.conv import conv2d

LETTER = np.array(
    [
        [1, 0, 0, 1, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 0, 0, 1, 0, 0],
        [1, 1, 1, 1, 1, 1],
        [1, 0, 0, 1, 0, 0],
        [1, 0, 0, 1, 0, 0],
    ],
    dtype=np.float32,
).reshape(1, 1, 6, 6)


KERNELS = {
    "gaussian": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
    "average": np.full((3, 3), 1 / 9),
    "edge": np.array([[1.0, 0.0, 0.0]] * 3),
}
every_filter = pytest.mark.parametrize("name", KERNELS)


@every_filter
def test_an_impulse_shows_the_kernel(name: str, double_engine: str) -> None:
    """Correlating with a single 1 gives the kernel turned around."""
    impulse = np.zeros((1, 1, 5, 5))
    impulse[0, 0, 2, 2] = 1
    y = pc.predict(pc.layers.FixedFilter2d(name), impulse, engine=double_engine, dtype="float64")
    np.testing.assert_allclose(y[0, 0], KERNELS[name][::-1, ::-1], rtol=1e-15)


def test_edges_of_the_letter(engine: str) -> None:
    y = pc.predict(pc.layers.FixedFilter2d("edge"), LETTER, engine=engine)
    assert y[0, 0].tolist() == [[3, 1, 0, 3], [3, 2, 1, 3], [3, 1, 1, 3], [3, 1, 1, 3]]


@every_filter
def test_named_filters_agree_with_plain_loops(name: str, double_engine: str, generator: np.random.Generator) -> None:
    x = generator.normal(size=(2, 1, 5, 6))
    dy = generator.normal(size=(2, 1, 5, 6))
    y, dx, gradients = pc.vjp(pc.layers.FixedFilter2d(name, padding=1), x, dy, engine=double_engine, dtype="float64")
    expected = conv2d(x, KERNELS[name].reshape(1, 1, 3, 3), None, dy, padding=1)
    np.testing.assert_allclose(y, expected.y, rtol=1e-10)
    np.testing.assert_allclose(dx, expected.dx, rtol=1e-10, atol=1e-14)
    assert gradients == {}


@every_filter
def test_the_constant_is_the_filter(name: str, engine: str) -> None:
    constant = getattr(pc.layers.filters, name.upper())
    by_constant, by_name = pc.layers.FixedFilter2d(constant), pc.layers.FixedFilter2d(name)
    np.testing.assert_array_equal(
        pc.predict(by_constant, LETTER, engine=engine), pc.predict(by_name, LETTER, engine=engine)
    )


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(UsageError, match=r"FixedFilter2d.*sharpen.*gaussian"):
        pc.layers.FixedFilter2d("sharpen")


def test_nothing_is_learned() -> None:
    model = pc.Sequential([("blur", pc.layers.FixedFilter2d("gaussian"))]).init(seed=0)
    assert model.parameters == {}


def test_a_filter_does_not_change_with_the_array_it_was_made_from(engine: str) -> None:
    kernel = np.array([[1.0, 0.0, 0.0]] * 3)
    layer = pc.layers.FixedFilter2d(kernel)
    kernel[:] = 100.0
    assert float(pc.predict(layer, LETTER, engine=engine).max()) == 3.0


@pytest.mark.parametrize(
    "kernel",
    [[1.0, 2.0], [[[[1.0]]]], [[], []], [[1.0, 2.0], [3.0]], [["a"]], [[float("nan")]]],
    ids=["row", "four axes", "empty", "ragged", "text", "nan"],
)
def test_a_kernel_that_is_no_matrix_of_numbers_is_refused(kernel: Any) -> None:
    with pytest.raises(UsageError, match=r"FixedFilter2d.*kernel"):
        pc.layers.FixedFilter2d(kernel)
