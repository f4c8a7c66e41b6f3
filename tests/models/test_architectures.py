"""The registered models against the numbers one works out by hand."""

import math

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError


def convolution(maps_in: int, maps_out: int, kernel: int) -> int:
    return maps_out * (maps_in * kernel**2 + 1)


def dense(inputs: int, outputs: int) -> int:
    return outputs * (inputs + 1)


NOTES_CNN = convolution(1, 4, 5) + convolution(4, 6, 5) + dense(96, 50) + dense(50, 10)
LENET5 = convolution(1, 6, 5) + convolution(6, 16, 5) + dense(400, 120) + dense(120, 84) + dense(84, 10)


def test_the_hand_formulas_give_the_known_numbers() -> None:
    assert (NOTES_CNN, LENET5) == (6_070, 61_706)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("notes-cnn", {}, 6_070),
        ("notes-mlp", {}, 3 * dense(3, 3)),
        ("lenet5", {}, 61_706),
        ("pilotnet", {}, 252_219),
        ("textcnn", {"vocabulary": 100}, 30_000 + 3 * 100 + 12 * 300 * 100 + dense(300, 2)),
        ("textcnn", {"vocabulary": 7, "embedding": 4, "filters": 2, "classes": 3}, 28 + 3 * 2 + 12 * 4 * 2 + 21),
        ("lenet5", {"image_size": 32}, 61_706),
        ("lenet5", {"classes": 7, "in_channels": 3}, LENET5 + 2 * 6 * 25 - 3 * 85),
        ("notes-cnn", {"classes": 4, "in_channels": 3}, NOTES_CNN + 2 * 4 * 25 - 6 * 51),
    ],
)
def test_parameters(name: str, options: dict[str, int], expected: int) -> None:
    model = pc.models.create(name, **options)
    assert sum(value.size for value in model.parameters.values()) == expected
    assert model.summary().parameters == expected


def test_the_layers_of_lenet5() -> None:
    """Multiply-adds: one for each weight that an output number uses. FLOPs: two each, the bias, what follows."""
    summary = pc.models.create("lenet5").summary(input_shape=(1, 28, 28))
    rows = {row.name: (row.output_shape, row.parameters, row.multiply_adds, row.flops) for row in summary.rows}
    c1, c2, p1, p2 = 6 * 28**2, 16 * 10**2, 6 * 14**2, 16 * 5**2
    assert rows == {
        "conv1": ((6, 28, 28), 156, c1 * 25, c1 * 51),
        "act1": ((6, 28, 28), 0, 0, c1),
        "pool1": ((6, 14, 14), 0, 0, p1 * 5),
        "conv2": ((16, 10, 10), 2416, c2 * 150, c2 * 301),
        "act2": ((16, 10, 10), 0, 0, c2),
        "pool2": ((16, 5, 5), 0, 0, p2 * 5),
        "flatten": ((400,), 0, 0, 0),
        "fc1": ((120,), 48_120, 48_000, 96_120),
        "act3": ((120,), 0, 0, 120),
        "fc2": ((84,), 10_164, 10_080, 20_244),
        "act4": ((84,), 0, 0, 84),
        "fc3": ((10,), 850, 840, 1_690),
    }
    assert summary.multiply_adds == 416_520
    assert summary.flops == sum(flops for *_, flops in rows.values())


def test_the_layers_of_the_notes_cnn() -> None:
    shapes = {row.name: row.output_shape for row in pc.models.create("notes-cnn").summary().rows}
    assert [shapes[name] for name in ("conv1", "pool1", "conv2", "pool2", "flatten", "fc1", "fc2")] == [
        (4, 24, 24), (4, 12, 12), (6, 8, 8), (6, 4, 4), (96,), (50,), (10,),
    ]  # fmt: skip


def test_the_notes_cnn_convolves() -> None:
    """Its kernels are flipped, and its weights lie within the notes' bounds."""
    model = pc.models.create("notes-cnn").init(seed=3)
    for name, bound in {
        "conv1": math.sqrt(4 / ((1 + 4) * 25)),
        "conv2": math.sqrt(6 / ((4 + 6) * 25)),
        "fc1": math.sqrt(6 / (96 + 50)),
        "fc2": math.sqrt(6 / (50 + 10)),
    }.items():
        weight = model.parameters[f"{name}.weight"]
        assert 0.9 * bound < np.abs(weight).max() <= bound
        assert not model.parameters[f"{name}.bias"].any()
    layer = model["conv1"]
    assert isinstance(layer, pc.layers.Conv2d) and layer.flip


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_the_notes_mlp_has_the_notes_weights_whatever_the_seed(seed: int) -> None:
    model = pc.models.create("notes-mlp").init(seed=seed)
    expected = {
        "fc1": [[0.1, 0.2, 0.3], [0.3, 0.2, 0.7], [0.4, 0.3, 0.9]],
        "fc2": [[0.2, 0.3, 0.5], [0.3, 0.5, 0.7], [0.6, 0.4, 0.8]],
        "fc3": [[0.1, 0.4, 0.8], [0.3, 0.7, 0.2], [0.5, 0.2, 0.9]],
    }
    for name, rows in expected.items():
        np.testing.assert_array_equal(model.parameters[f"{name}.weight"], np.array(rows, np.float32).T)
        np.testing.assert_array_equal(model.parameters[f"{name}.bias"], np.ones(3, np.float32))


def test_the_notes_mlp_forward(engine: str) -> None:
    """Row vectors times matrices, as the notes write it."""
    model = pc.models.create("notes-mlp")
    values = {name: value.astype(np.float64) for name, value in model.parameters.items()}
    x = np.array([[0.1, 0.2, 0.7]])
    hidden = np.maximum(x @ values["fc1.weight"].T + 1, 0)
    hidden = 1 / (1 + np.exp(-(hidden @ values["fc2.weight"].T + 1)))
    scores = np.exp(hidden @ values["fc3.weight"].T + 1)
    np.testing.assert_allclose(pc.predict(model, x, engine=engine), scores / scores.sum(), rtol=2e-6)


@pytest.mark.parametrize("name", ["lenet5", "notes-cnn"])
@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "scaled_tanh"])
def test_activation_and_pooling_can_be_chosen(name: str, pooling: str, activation: str) -> None:
    model = pc.models.create(name, activation=activation, pooling=pooling)
    kinds = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "scaled_tanh": "ScaledTanh"}
    assert type(model["act1"]).__name__ == kinds[activation]
    assert type(model["pool2"]).__name__ == ("AvgPool2d" if pooling == "average" else "MaxPool2d")
    assert model.summary().rows[-1].output_shape == (10,)


@pytest.mark.parametrize("name", pc.models.names())
def test_what_every_registered_model_says_of_itself(name: str) -> None:
    model = pc.models.create(name)
    assert model.input_shape is not None and model.spec is not None
    assert (model.classes is None) == (name == "pilotnet"), "one alone gives a number, not classes"
    again = pc.models.create(model.spec["model"], **model.spec["options"])
    # Shapes, not values: a hundred million of them would have to be drawn.
    assert {k: v.extents for k, v in again.tensors().items()} == {k: v.extents for k, v in model.tensors().items()}
    last = [row for row in model.summary().rows if not row.auxiliary][-1]
    assert last.output_shape == (model.classes or 1,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 64}, "lenet5: image_size must be 28 or 32; got 64"),
        ({"activation": "gelu"}, "unknown activation 'gelu': choose one of relu, sigmoid, tanh, scaled_tanh"),
        ({"pooling": "mean"}, 'unknown pooling \'mean\': choose "average" or "max"'),
        ({"classes": 0}, "Linear: out_features must be a positive integer; got 0"),
        (
            {"colour": True},
            "lenet5 has no option 'colour'; it takes classes, in_channels, activation, pooling, image_size",
        ),
    ],
)
def test_options_that_do_not_exist(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        pc.models.create("lenet5", **options)
    assert str(error.value) == message


def test_an_image_of_another_size_comes_with_advice() -> None:
    with pytest.raises(ShapeError) as error:
        pc.models.create("lenet5").summary(input_shape=(1, 32, 32))
    assert str(error.value) == (
        'Linear "fc1": expects 400 inputs, but "pool2" gives 16x6x6 = 576 for a 32x32 image. '
        "Use in_features=576, or resize the images to 28x28"
    )
    with pytest.raises(ShapeError) as error:
        pc.models.create("lenet5").summary(input_shape=(3, 28, 28))
    assert str(error.value) == (
        'Conv2d "conv1": expects 1 channels, but "input" gives 3; the model was made for images of 1 channel'
    )
    with pytest.raises(ShapeError, match=r"expects 256 inputs.*gives 16x5x5 = 400.*Use in_features=400$"):
        layers = [pc.layers.Flatten(), ("fc1", pc.layers.Linear(256, 10))]
        pc.Sequential([("pool2", pc.layers.AvgPool2d(2)), *layers]).summary((16, 10, 10))
