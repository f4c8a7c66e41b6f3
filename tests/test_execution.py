"""compile, predict and vjp: batches, precisions, what they keep and what they refuse."""

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.execution import PREDICTION_BATCH
from pellucid.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from pellucid.notation import Program, Tensor

SHAPE = (1, 6, 6)


def small() -> pc.Graph:
    return pc.Sequential([Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Flatten(), Dropout(0.5), Linear(8, 3)]).init(seed=1)


def images(count: int, generator: np.random.Generator) -> np.ndarray:
    return generator.normal(size=(count, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("count", [1, PREDICTION_BATCH, 2 * PREDICTION_BATCH + 5])
def test_predictions_do_not_depend_on_the_batches(count: int, engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(count, generator)
    before = x.copy()
    y = pc.predict(model, x, engine=engine)
    assert (y.shape, y.dtype) == ((count, 3), np.float32)
    last = pc.predict(model, x[-1:], engine=engine)
    np.testing.assert_allclose(y[-1:], last, rtol=2e-6, atol=1e-7)
    np.testing.assert_array_equal(x, before)


def test_double_precision(double_engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(3, generator)
    y = pc.predict(model, x, engine=double_engine, dtype="float64")
    assert y.dtype == np.float64
    np.testing.assert_allclose(pc.predict(model, x, engine="numpy"), y, rtol=1e-5, atol=1e-6)
    assert np.any(y != y.astype(np.float32))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float64, np.float16, np.bool_])
def test_numbers_of_any_kind_are_images(kind: type, engine: str) -> None:
    x = (np.arange(36).reshape(1, *SHAPE) % 2).astype(kind)
    np.testing.assert_array_equal(
        pc.predict(small(), x, engine=engine), pc.predict(small(), x.astype(np.float32), engine=engine)
    )


def test_arrays_need_not_be_contiguous(engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(4, generator)
    scattered = np.asfortranarray(np.repeat(x, 2, axis=0))[::2]
    np.testing.assert_array_equal(pc.predict(model, scattered, engine=engine), pc.predict(model, x, engine=engine))


def test_a_compiled_model_takes_smaller_batches_too(engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(5, generator)
    infer = pc.compile(model, batch_size=5, input_shape=SHAPE, engine=engine)
    whole = infer(x)
    for count in (1, 3, 5):
        np.testing.assert_allclose(infer(x[:count]), whole[:count], rtol=2e-6, atol=1e-7)
    infer.close()


def test_a_compiled_model_keeps_its_parameters_until_told(engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(2, generator)
    infer = pc.compile(model, batch_size=2, input_shape=SHAPE, engine=engine)
    before = infer(x)
    model.init(seed=2)
    np.testing.assert_array_equal(infer(x), before)
    infer.update()
    np.testing.assert_array_equal(infer(x), pc.predict(model, x, engine=engine))
    assert not np.array_equal(infer(x), before)


def test_results_are_the_callers_own(engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(2, generator)
    infer = pc.compile(model, batch_size=2, input_shape=SHAPE, engine=engine)
    first = infer(x)
    kept = first.copy()
    infer(x + 1)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(infer(x), kept)


# ---- vjp


def test_without_dy_the_outputs_are_added_up(engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(2, generator)
    for got, expected in zip(
        pc.vjp(model, x, engine=engine)[:2], pc.vjp(model, x, np.ones((2, 3)), engine=engine)[:2], strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_what_vjp_returns(engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(2, generator)
    y, dx, gradients = pc.vjp(model, x, generator.normal(size=(2, 3)), engine=engine)
    np.testing.assert_allclose(y, pc.predict(model, x, engine=engine), rtol=2e-6, atol=1e-7)
    assert dx.shape == x.shape and np.any(dx)
    assert {n: g.shape for n, g in gradients.items()} == {n: v.shape for n, v in model.parameters.items()}
    assert all(g.dtype == np.float32 and np.any(g) for g in gradients.values())


def test_other_parameters_can_be_given(engine: str, generator: np.random.Generator) -> None:
    model, x = small(), images(2, generator)
    before = {name: value.copy() for name, value in model.parameters.items()}
    bias = np.array([10.0, 20.0, 30.0])
    y, _, _ = pc.vjp(model, x, engine=engine, parameters={"fc1.bias": bias})
    np.testing.assert_allclose(y, pc.predict(model, x, engine=engine) + bias, rtol=1e-5)
    for name, value in model.parameters.items():
        np.testing.assert_array_equal(value, before[name])


def dropped(seed: int, step: int, engine: str) -> tuple[np.ndarray, np.ndarray]:
    """Dropout on ones: its output and its gradient for ones."""
    ones = np.ones((4, 50), np.float32)
    y, dx, _ = pc.vjp(Dropout(0.5), ones, ones, training=True, seed=seed, step=step, engine=engine)
    return y, dx


def test_dropout_drops_the_same_forward_and_backward(engine: str) -> None:
    y, dx = dropped(3, 0, engine)
    np.testing.assert_array_equal(y, dx)
    assert set(np.unique(y)) == {0, 2}
    assert 60 < np.count_nonzero(y) < 140


def test_dropout_depends_on_seed_and_step_and_on_nothing_else(engine: str) -> None:
    y, _ = dropped(3, 0, engine)
    np.testing.assert_array_equal(y, dropped(3, 0, engine)[0])
    assert not np.array_equal(y, dropped(4, 0, engine)[0])
    assert not np.array_equal(y, dropped(3, 1, engine)[0])
    np.testing.assert_array_equal(y, dropped(3, 0, "numpy")[0])


def test_two_dropouts_drop_differently(engine: str) -> None:
    """Were they alike, half of the values would survive both."""
    model = pc.Sequential([Dropout(0.5), Dropout(0.5)])
    y, dx, _ = pc.vjp(model, np.ones((10, 100), np.float32), training=True, engine=engine)
    np.testing.assert_array_equal(y, dx)
    assert 150 < np.count_nonzero(y) < 350


def test_dropout_within_a_model(engine: str, generator: np.random.Generator) -> None:
    """The gradient by the dense layer's weight is zero exactly where the value was dropped."""
    model, x = small(), images(1, generator) + 3
    _, _, gradients = pc.vjp(model, x, training=True, seed=11, engine=engine)
    column = gradients["fc1.weight"]
    assert 0 < np.count_nonzero(column[0]) < 8
    assert all(np.array_equal(column[0], other) for other in column)
    assert not np.array_equal(
        pc.vjp(model, x, training=True, seed=12, engine=engine)[0], pc.predict(model, x, engine=engine)
    )


@pytest.mark.parametrize("layer", [Dropout(0.5), pc.Sequential([Dropout(0.1), Dropout(0.2)])])
def test_a_layer_that_does_nothing_passes_everything(layer: pc.Layer, engine: str) -> None:
    x, dy = np.array([[1.0, 2.0]], np.float32), np.array([[3.0, 4.0]], np.float32)
    y, dx, gradients = pc.vjp(layer, x, dy, engine=engine)
    assert (y.tolist(), dx.tolist(), gradients) == ([[1, 2]], [[3, 4]], {})
    y[:] = 7
    assert x.tolist() == [[1, 2]]


# ---- what is refused

GOOD = np.zeros((2, *SHAPE), np.float32)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, *SHAPE)), r"expects a batch \(N, \.\.\.\) of.*; got float64 of shape \(0, 1, 6, 6\)"),
        (np.zeros(3), r"expects a batch.*float64 of shape \(3,\)"),
        (np.float32(1), r"expects a batch.*float32 of shape \(\)"),
        (np.array([["a", "b"]]), r"expects a batch.*got <U1 of shape \(1, 2\)"),
        (np.zeros((1, 2), complex), r"expects a batch.*complex128"),
        (np.zeros((2, 3, 6, 6)), 'Conv2d "conv1": expects 1 channels, but "input" gives 3'),
        (np.zeros((2, 1, 8, 8)), r'expects 8 inputs, but "pool1" gives 2x3x3 = 18 for a 8x8 image\. Use in_'),
        (np.zeros((2, 1, 2, 2)), 'Conv2d "conv1": its kernel spans 3 rows, but the image has 2'),
    ],
    ids=["no image", "a vector", "a number", "strings", "complex numbers", "channels", "size", "too small"],
)  # fmt: skip
def test_batches_that_are_none(x: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        pc.predict(small(), x, engine="numpy")
    with pytest.raises(ShapeError, match=message):
        pc.vjp(small(), x, engine="numpy")


def test_batches_a_compiled_model_was_not_made_for() -> None:
    infer = pc.compile(small(), batch_size=2, input_shape=SHAPE, engine="numpy")
    with pytest.raises(ShapeError, match=r"compiled for up to 2 images of shape \(1, 6, 6\); got \(3, 1, 6, 6\)"):
        infer(np.zeros((3, *SHAPE)))
    with pytest.raises(ShapeError, match=r"compiled for up to 2 images of shape \(1, 6, 6\); got \(1, 1, 6, 7\)"):
        infer(np.zeros((1, 1, 6, 7)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pc.predict(small(), GOOD, engine="cuda"), "unknown engine 'cuda': choose one of numpy"),
        (lambda: pc.predict(small(), GOOD, dtype="float16"), "dtype must be float32 or float64; got 'float16'"),
        (lambda: pc.compile(small(), 0, SHAPE, "numpy"), "batch_size must be at least 1; got 0"),
        (lambda: pc.vjp(small(), GOOD, np.zeros((3, 2))), r"dy must have the output's shape \(2, 3\); got \(3, 2\)"),
        (
            lambda: pc.vjp(small(), GOOD, parameters={"conv1.gain": np.ones(2)}),
            "the model has no parameter 'conv1.gain'; it has conv1.weight, conv1.bias, fc1.weight, fc1.bias",
        ),
        (
            lambda: pc.vjp(small(), GOOD, parameters={"conv1.bias": np.ones(3)}),
            r"conv1.bias has the shape \(3,\); it must be \(2,\)",
        ),
    ],
)
def test_arguments_that_are_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(UsageError, match=message):
        call()


def test_a_tensor_wanted_twice_is_computed_once(engine: str, generator: np.random.Generator) -> None:
    """In every layout of the native engine, of which this many channels take the one by channels."""
    layer = Conv2d(32, 64, 3).init(seed=2)
    pc.execution.name_parameters(layer)
    x, image = generator.normal(size=(2, 32, 6, 6)).astype(np.float32), Tensor("X", (2, 32, 6, 6), role="input")
    y = layer.build((image,), "", None)
    out = pc.engines.get(engine).compile(Program.of([y, y])).run({**layer.parameters, "X": x})
    assert list(out) == [y.name]
    np.testing.assert_allclose(out[y.name], pc.predict(layer, x, engine="numpy"), rtol=1e-4, atol=1e-5)
