"""Convolution: the notes' example, and every way to ask for something that is none."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError

# Typed as Any: the calls below are wrong on purpose.
Conv2d: Any = pc.layers.Conv2d


def test_names_and_shapes_are_those_of_pytorch() -> None:
    model = pc.Sequential([("conv1", pc.layers.Conv2d(4, 6, (3, 2), groups=2))]).init(seed=0)
    assert {name: value.shape for name, value in model.parameters.items()} == {
        "conv1.weight": (6, 2, 3, 2),
        "conv1.bias": (6,),
    }
    assert all(value.dtype == np.float32 for value in model.parameters.values())


@pytest.mark.parametrize("flip", [False, True])
def test_input_and_filter_of_the_notes(flip: bool, engine: str) -> None:
    """`channels`: dL/dF convolves X with dL/dO; dL/dX is the full convolution of dL/dO with F turned."""
    x = np.arange(1.0, 10.0, dtype=np.float32).reshape(1, 1, 3, 3)
    kernel = np.array([[1, 2], [3, 4]], np.float32)
    weight = (kernel[::-1, ::-1] if flip else kernel).reshape(1, 1, 2, 2)
    dy = np.array([[1, 10], [100, 1000]], np.float32).reshape(1, 1, 2, 2)
    layer = pc.layers.Conv2d(1, 1, 2, bias=False, flip=flip)
    y, dx, gradients = pc.vjp(layer, x, dy, engine=engine, parameters={"weight": weight})
    assert y[0, 0].tolist() == [[37, 47], [67, 77]]
    assert dx[0, 0].tolist() == [[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]]
    dw = np.array([[5421, 6532], [8754, 9865]])
    assert gradients["weight"][0, 0].tolist() == (dw[::-1, ::-1] if flip else dw).tolist()


@pytest.mark.parametrize("name", ["x", "weight", "bias"])
def test_what_is_not_a_number_is_not_hidden(name: str, engine: str) -> None:
    arrays = {
        "x": np.ones((1, 1, 3, 3), np.float32),
        "weight": np.ones((1, 1, 3, 3), np.float32),
        "bias": np.ones(1, np.float32),
    }
    arrays[name].flat[-1] = np.nan
    parameters = {"weight": arrays["weight"], "bias": arrays["bias"]}
    y, _, _ = pc.vjp(
        pc.layers.Conv2d(1, 1, 3),
        arrays["x"],
        np.ones((1, 1, 1, 1), np.float32),
        engine=engine,
        parameters=parameters,
    )
    assert np.isnan(y).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(0, 4, 3), "Conv2d.*in_channels.*0"),
        (lambda: Conv2d(4, -1, 3), "Conv2d.*out_channels.*-1"),
        (lambda: Conv2d(4, 4, 0), "Conv2d.*kernel_size.*0"),
        (lambda: Conv2d(4, 4, (3, 3, 3)), r"Conv2d.*kernel_size.*\(3, 3, 3\)"),
        (lambda: Conv2d(4, 4, 2.5), "Conv2d.*kernel_size.*2.5"),
        (lambda: Conv2d(4, 4, "3"), "Conv2d.*kernel_size.*3"),
        (lambda: Conv2d(4, 4, 3, stride=0), "Conv2d.*stride.*0"),
        (lambda: Conv2d(4, 4, 3, stride=(1, -2)), r"Conv2d.*stride.*-2"),
        (lambda: Conv2d(4, 4, 3, padding=-1), "Conv2d.*padding.*-1"),
        (lambda: Conv2d(4, 4, 3, dilation=0), "Conv2d.*dilation.*0"),
        (lambda: Conv2d(4, 4, 3, groups=0), "Conv2d.*groups.*0"),
        (
            lambda: Conv2d(4, 4, 3, groups=3),
            "Conv2d.*in_channels.*4.*groups.*3|Conv2d.*groups.*3.*4",
        ),
        (
            lambda: Conv2d(4, 6, 3, groups=4),
            "Conv2d.*out_channels.*6.*groups.*4|Conv2d.*groups.*4.*6",
        ),
        (lambda: Conv2d(True, 4, 3), "Conv2d.*in_channels.*True"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 6, 6), r"Conv2d.*4 channels.*3"),
        ((2, 4, 2, 6), r"Conv2d.*3.*2"),
        ((2, 4, 6, 1), r"Conv2d.*3.*1"),
        ((4, 6, 6), r"Conv2d.*images \(N, C, H, W\).*4x6x6"),
        ((2, 4), r"Conv2d.*images \(N, C, H, W\).*2x4"),
        ((2, 4, 6, 6, 1), r"Conv2d.*images \(N, C, H, W\).*2x4x6x6x1"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str, engine: str) -> None:
    model = pc.Sequential([("conv1", pc.layers.Conv2d(4, 4, 3))]).init(seed=0)
    with pytest.raises(ShapeError, match=message) as error:
        pc.predict(model, np.ones(shape, np.float32), engine=engine)
    assert "conv1" in str(error.value)


@pytest.mark.parametrize(
    ("dy_shape", "parameters", "message"),
    [
        ((1, 2, 5, 5), {}, r"5, 5.*4, 4|4, 4.*5, 5"),
        ((1, 2, 4, 4), {"weight": (2, 1, 3, 2)}, r"weight.*3, 3.*3, 2|weight.*3, 2.*3, 3"),
        ((1, 2, 4, 4), {"bias": (3,)}, r"bias.*2.*3|bias.*3.*2"),
    ],
    ids=["dy", "weight", "bias"],
)
def test_arrays_of_the_wrong_shape_are_refused(
    dy_shape: tuple[int, ...], parameters: dict[str, tuple[int, ...]], message: str, engine: str
) -> None:
    shapes = {"weight": (2, 1, 3, 3), "bias": (2,), **parameters}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    x, dy = np.ones((1, 1, 6, 6), np.float32), np.ones(dy_shape, np.float32)
    with pytest.raises(ShapeError, match=message):
        pc.vjp(pc.layers.Conv2d(1, 2, 3), x, dy, engine=engine, parameters=arrays)


def test_parameters_must_be_the_layers_own(engine: str) -> None:
    x, dy = np.ones((1, 1, 6, 6), np.float32), np.ones((1, 2, 4, 4), np.float32)
    with pytest.raises(UsageError, match=r"gain.*weight.*bias"):
        pc.vjp(pc.layers.Conv2d(1, 2, 3), x, dy, engine=engine, parameters={"gain": np.ones(2, np.float32)})


def test_a_replaced_parameter_leaves_the_others_and_the_layer_alone(engine: str) -> None:
    layer = pc.layers.Conv2d(1, 2, 3).init(seed=1)
    before = {name: value.copy() for name, value in layer.parameters.items()}
    x, dy = np.ones((1, 1, 3, 3), np.float32), np.ones((1, 2, 1, 1), np.float32)
    bias = np.array([100, 200], np.float32)
    y, _, _ = pc.vjp(layer, x, dy, engine=engine, parameters={"bias": bias})
    np.testing.assert_allclose(y.ravel(), before["weight"].sum(axis=(1, 2, 3)) + bias, rtol=1e-6)
    assert all(np.array_equal(layer.parameters[name], before[name]) for name in before)
