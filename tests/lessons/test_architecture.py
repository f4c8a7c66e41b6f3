"""The notes `architecture`: counts by hand, every backward formula against differences, the one slip."""

import math

import numpy as np
import pytest

import pellucid as pc
from pellucid import lessons


def test_parameters_are_counted_by_hand_and_by_the_summary() -> None:
    by_hand = [4 * 25, 4, 6 * 4 * 25, 6, 96 * 50, 50, 50 * 10, 10]
    lesson = lessons.lesson("architecture")
    assert lesson.true("parameter_terms").tolist() == by_hand
    assert float(lesson.true("parameters")) == sum(by_hand) == 6070
    assert pc.models.create("notes-cnn").summary((1, 28, 28)).parameters == 6070


def test_the_sum_of_the_parameters_is_the_only_slip() -> None:
    wrong = [finding for finding in lessons.lesson("architecture").check() if finding.verdict != "agrees"]
    assert [(finding.id, finding.stated, finding.true) for finding in wrong] == [
        ("architecture.parameters", "6170", "6070")
    ]
    assert wrong[0].slips == ("one digit",)


@pytest.mark.parametrize(
    ("name", "true"),
    [
        ("first_maps", [28 - 5 + 1] * 2),
        ("first_pooled", [12, 12]),
        ("second_maps", [12 - 5 + 1] * 2),
        ("second_pooled", [4, 4]),
        ("flattened", 6 * 4 * 4),
        ("full_convolution_size", [8 + 5 - 1] * 2),
        ("dense_neurons", [50, 10]),
        ("biases", 0),
    ],
)
def test_shapes(name: str, true: object) -> None:
    assert np.asarray(lessons.lesson("architecture").true(name)).tolist() == true


def test_the_bounds_of_the_initialisation() -> None:
    lesson = lessons.lesson("architecture")
    kernels = [math.sqrt(4 / ((1 + 4) * 25)), math.sqrt(6 / ((4 + 6) * 25))]
    weights = [math.sqrt(6 / (96 + 50)), math.sqrt(6 / (50 + 10))]
    assert lesson.true("kernel_bounds") == pytest.approx(kernels, rel=1e-12)
    assert lesson.true("weight_bounds") == pytest.approx(weights, rel=1e-12)
    drawn = pc.models.create("notes-cnn").init(seed=1).parameters
    for name, bound in zip(("conv1", "conv2", "fc1", "fc2"), kernels + weights, strict=True):
        assert 0.8 * bound < np.abs(drawn[f"{name}.weight"]).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "conv1.weight",
        "conv1.bias",
        "conv2.weight",
        "conv2.bias",
        "fc1.weight",
        "fc1.bias",
        "fc2.weight",
        "fc2.bias",
    ],
)
def test_the_gradients_under_the_statements_are_those_of_differences(name: str) -> None:
    """The loss of the whole model, computed with one parameter moved up and down."""
    lesson = lessons.lesson("architecture")
    model, image, wanted = (lesson.true(step) for step in ("model", "image", "wanted"))
    gradient = lesson.true("backward")[name]
    place = tuple(int(i) for i in np.argwhere(np.abs(gradient) == np.abs(gradient).max())[0])

    def loss(offset: float) -> float:
        moved = {key: value.astype(np.float64) for key, value in model.parameters.items()}
        moved[name][place] += offset
        logits, _, _ = pc.vjp(model, image, dtype="float64", parameters=moved)
        powers = np.exp(logits[0] - logits[0].max())
        return -math.log(float((powers / powers.sum()) @ wanted[0]))

    assert (loss(1e-5) - loss(-1e-5)) / 2e-5 == pytest.approx(float(gradient[place]), rel=1e-6)


def test_a_wrong_statement_would_be_seen() -> None:
    """Without the rotation of the kernel the full convolution gives another gradient."""
    lesson = lessons.lesson("architecture")
    held = lesson.true("first_pooled_delta")
    model, backward = lesson.true("model"), lesson.true("backward")
    kernels = model.parameters["conv2.weight"].astype(np.float64).transpose(1, 0, 2, 3)
    full = pc.layers.Conv2d(6, 4, 5, padding=4, bias=False, flip=True)
    unrotated, _, _ = pc.vjp(full, backward["conv2"], dtype="float64", parameters={"weight": kernels})
    assert held.holds
    assert not np.allclose(held.left, unrotated)
