"""The dense layer and what stands before it."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError

# Typed as Any: the calls below are wrong on purpose.
Linear: Any = pc.layers.Linear


def test_names_and_shapes_are_those_of_pytorch() -> None:
    model = pc.Sequential([("fc1", pc.layers.Linear(5, 3)), ("fc2", pc.layers.Linear(3, 2, bias=False))])
    shapes = {name: value.shape for name, value in model.init(seed=0).parameters.items()}
    assert shapes == {"fc1.weight": (3, 5), "fc1.bias": (3,), "fc2.weight": (2, 3)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(0, 4), "Linear.*in_features.*0"),
        (lambda: Linear(4, -2), "Linear.*out_features.*-2"),
        (lambda: Linear(4.0, 2), "Linear.*in_features.*4.0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 7), 'Linear "fc1".*5.*7'),
        ((2, 5, 1, 1), 'Linear "fc1".*2x5x1x1|Linear "fc1".*4'),
        ((5,), r"\(5,\)"),
    ],
)
def test_rows_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str, engine: str) -> None:
    model = pc.Sequential([("fc1", pc.layers.Linear(5, 3))]).init(seed=0)
    with pytest.raises(ShapeError, match=message):
        pc.predict(model, np.ones(shape, np.float32), engine=engine)


def test_the_message_says_what_the_layer_before_gives(engine: str) -> None:
    """The design's own example: 16x5x5 = 400 from the pooling do not fit 256 inputs."""
    model = pc.Sequential(
        [
            ("pool2", pc.layers.AvgPool2d(2)),
            ("flatten", pc.layers.Flatten()),
            ("fc1", pc.layers.Linear(256, 120)),
        ]
    ).init(seed=0)
    with pytest.raises(ShapeError, match="fc1") as error:
        pc.predict(model, np.ones((1, 16, 10, 10), np.float32), engine=engine)
    for part in ("Linear", "256", "400"):
        assert part in str(error.value)


def test_flatten_runs_channel_by_channel_and_row_by_row(engine: str) -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    y = pc.predict(pc.layers.Flatten(), x, engine=engine)
    np.testing.assert_array_equal(y, np.arange(24).reshape(2, 12))


def test_one_image_gives_what_it_gives_among_others(double_engine: str, generator: np.random.Generator) -> None:
    """No image of a batch sees another."""
    model = pc.Sequential([("fc1", pc.layers.Linear(5, 3))]).init(seed=0)
    x = generator.normal(size=(4, 5))
    together = pc.predict(model, x, engine=double_engine, dtype="float64")
    alone = np.concatenate([pc.predict(model, x[n : n + 1], engine=double_engine, dtype="float64") for n in range(4)])
    np.testing.assert_allclose(together, alone, rtol=1e-12)
