"""The notes `training`: true values against plain arithmetic and differences, the slips that are known."""

import math
from collections.abc import Callable

import numpy as np
import pytest

import pellucid as pc
from pellucid import lessons

Matrix = list[list[float]]

X = [0.1, 0.2, 0.7]
Y = [1.0, 0.0, 0.0]
W_IJ: Matrix = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.7], [0.4, 0.3, 0.9]]
W_JK: Matrix = [[0.2, 0.3, 0.5], [0.3, 0.5, 0.7], [0.6, 0.4, 0.8]]
W_KL: Matrix = [[0.1, 0.4, 0.8], [0.3, 0.7, 0.2], [0.5, 0.2, 0.9]]


def times(row: list[float], matrix: Matrix) -> list[float]:
    return [1.0 + sum(row[i] * matrix[i][j] for i in range(3)) for j in range(3)]


def forward(w_ij: Matrix, w_jk: Matrix, w_kl: Matrix) -> dict[str, list[float]]:
    """The network number by number."""
    h1_in = times(X, w_ij)
    h1_out = [max(0.0, h) for h in h1_in]
    h2_in = times(h1_out, w_jk)
    h2_out = [1 / (1 + math.exp(-h)) for h in h2_in]
    o_in = times(h2_out, w_kl)
    powers = [math.exp(o) for o in o_in]
    o_out = [power / sum(powers) for power in powers]
    parts = [-(y * math.log(o) + (1 - y) * math.log(1 - o)) for y, o in zip(Y, o_out, strict=True)]
    return {
        "h1_in": h1_in, "h1_out": h1_out, "h2_in": h2_in, "h2_out": h2_out, "o_in": o_in, "o_out": o_out,
        "error_parts": parts, "error": [sum(parts)],
    }  # fmt: skip


def slope(matrix: Matrix, error: Callable[[], float], step: float = 1e-5) -> Matrix:
    """Central differences of the error by every element of a matrix."""
    slopes = [[0.0] * 3 for _ in range(3)]
    for i in range(3):
        for j in range(3):
            kept = matrix[i][j]
            matrix[i][j] = kept + step
            above = error()
            matrix[i][j] = kept - step
            slopes[i][j] = (above - error()) / (2 * step)
            matrix[i][j] = kept
    return slopes


@pytest.fixture(scope="module")
def found() -> dict[str, lessons.Finding]:
    findings = lessons.lesson("training").check()
    return {finding.id.removeprefix("training."): finding for finding in findings}


@pytest.mark.parametrize("name", list(forward(W_IJ, W_JK, W_KL)))
def test_the_forward_pass_is_that_of_plain_arithmetic(name: str) -> None:
    true = np.ravel(lessons.lesson("training").true(name))
    assert true == pytest.approx(forward(W_IJ, W_JK, W_KL)[name], rel=1e-12)


def test_the_gradients_are_those_of_differences() -> None:
    lesson = lessons.lesson("training")
    weights = [[list(row) for row in matrix] for matrix in (W_IJ, W_JK, W_KL)]
    for matrix, name in zip(weights, ("dw_ij", "dw_jk", "dw_kl"), strict=True):
        differences = slope(matrix, lambda: forward(*weights)["error"][0])
        assert lesson.true(name) == pytest.approx(np.array(differences), rel=1e-6, abs=1e-9)
        start = np.array(matrix)
        assert lesson.true(f"w{name[2:]}_new") == pytest.approx(start - 0.01 * np.array(differences), rel=1e-9)


def test_the_built_in_model_takes_the_same_step() -> None:
    """`notes-mlp` as one program, trained once, ends at the weights that the lesson reaches step by step."""
    lesson = lessons.lesson("training")
    step = pc.compile_training(
        pc.models.create("notes-mlp").init(),
        batch_size=1,
        input_shape=(3,),
        loss="output_cross_entropy",
        optimizer=pc.optim.SGD(lr=0.01),
        dtype="float64",
    )
    error = step(np.array([X]), np.array([Y]))
    assert error == pytest.approx(float(lesson.true("error")), rel=1e-6)
    for layer, name in (("fc1", "w_ij_new"), ("fc2", "w_jk_new"), ("fc3", "w_kl_new")):
        np.testing.assert_allclose(step.parameters[f"{layer}.weight"].T, lesson.true(name), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "verdict", "first_cause", "slips"),
    [
        ("update_rule.formula", "deviates", "update_rule.formula", ()),  # plus where there must be minus
        ("h1_in[1]", "agrees", None, ()),
        ("h2_in[3]", "deviates", "h2_in[3]", ("one digit",)),
        ("h2_out[3]", "agrees", None, ()),
        ("o_out[1]", "deviates", "o_out[1]", ("exponential left out",)),
        ("complement[1]", "follows from an earlier slip", "o_out[2]", ()),
        ("error_parts[1]", "deviates", "error_parts[1]", ("base-10 logarithm", "digits exchanged")),
        ("error_parts[3]", "deviates", "error_parts[3]", ("base-10 logarithm",)),
        ("error", "follows from an earlier slip", "error_parts[1]", ()),
        ("dE_dO.formula", "deviates", "dE_dO.formula", ()),  # the sign where y = 0
        ("dE_dO[1]", "follows from an earlier slip", "o_out[1]", ()),
        ("dE_dO[2]", "deviates", "dE_dO.formula", ()),
        ("dO_dOin[3]", "deviates", "dO_dOin[3]", ()),
        ("dw_kl.formula", "deviates", "dw_kl.formula", ()),  # only the softmax's diagonal
        ("dw_kl[1,1]", "deviates", "dw_kl.formula", ()),
        ("dw_kl[1,2]", "deviates", "dw_kl[1,2]", ("factor used twice",)),
        ("w_kl_new[1,1]", "follows from an earlier slip", "dw_kl.formula", ()),
        ("w_kl_new[2,3]", "deviates", "w_kl_new[2,3]", ("digit too many",)),
        ("dh2out_dh2in.formula[2]", "deviates", "dh2out_dh2in.formula[2]", ()),
        ("dh2out_dh2in[2]", "follows from an earlier slip", "h2_out[2]", ()),
        ("dE_dh2_parts[1,2]", "deviates", "dE_dh2_parts[1,2]", ()),
        ("dE_dh2[3]", "deviates", "dE_dh2[3]", ()),
        ("dw_jk[3,3]", "follows from an earlier slip", "dE_dh2[3]", ()),
        ("w_jk_new[3,3]", "deviates", "w_jk_new[3,3]", ("digit missing",)),
        ("w_jk_end[3,3]", "follows from an earlier slip", "w_jk_new[3,3]", ()),
        ("dE_dh1.formula", "deviates", "dE_dh1.formula", ()),  # only the diagonal of the weights
        ("w_ij_end[3,3]", "follows from an earlier slip", "dE_dh1.formula", ()),
        ("sigmoid_slope.formula", "agrees", None, ()),
        ("softmax_slope.formula", "agrees", None, ()),
        ("convolution[4]", "agrees", None, ()),
        ("filter_gradient[4]", "agrees", None, ()),
        ("max_pooling_gradient", "agrees", None, ()),
        ("average_pooling_gradient", "agrees", None, ()),
        ("lenet_features", "agrees", None, ()),
        ("lenet_parameters", "agrees", None, ()),
        ("alexnet_parameters", "agrees", None, ()),
        ("vgg_features", "deviates", "vgg_features", ()),
        ("vgg_parameters", "agrees", None, ()),
    ],
)
def test_what_is_found(
    found: dict[str, lessons.Finding],
    name: str,
    verdict: str,
    first_cause: str | None,
    slips: tuple[str, ...],
) -> None:
    finding = found[name]
    assert finding.verdict == verdict
    assert (finding.first_cause or "").removeprefix("training.") == (first_cause or "")
    assert finding.slips == slips


def test_the_rounding_of_a_hidden_layer_is_not_blamed_as_a_slip(found: dict[str, lessons.Finding]) -> None:
    assert found["o_in[1]"].reason == "earlier rounding"
    assert found["dh2out_dh2in[3]"].reason == "earlier rounding"


@pytest.mark.parametrize(
    ("name", "true"),
    [
        # Counted by hand: kernel area x channels x maps + biases, inputs x outputs + biases.
        ("lenet_features", 16 * 5 * 5),
        ("lenet_parameters", 156 + 2_416 + 48_120 + 10_164 + 850),
        ("vgg_features", 7 * 7 * 512),
        (
            "vgg_parameters",
            14_714_688 + 25_088 * 4_096 + 4_096 + 4_096 * 4_096 + 4_096 + 4_096 * 1_000 + 1_000,
        ),
        ("alexnet_parameters", 60_965_224),  # as published with the network's original definition
        ("vgg_classes", 1_000),
        ("lenet_classes", 10),
    ],
)
def test_the_published_networks_are_counted(name: str, true: int) -> None:
    assert float(lessons.lesson("training").true(name)) == true
