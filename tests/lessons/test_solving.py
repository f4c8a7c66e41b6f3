"""The steps of a solution: all tensors of a small network, against numbers worked by hand."""

import math

import numpy as np
import pytest

from pellucid.lessons.items import Notes
from pellucid.lessons.solution import parse
from pellucid.lessons.solving import Solved
from pellucid.lessons.workings import Workings

NETWORK = {
    "input": [[1, 2, 0], [0, 1, 3], [2, 0, 1]],
    "layer": [
        {"type": "conv2d", "weight": [[1, 2], [0, "-1"]], "bias": [1]},
        {"type": "relu"},
        {"type": "maxpool2d", "kernel_size": 2},
        {"type": "flatten"},
        {"type": "linear", "weight": [["0.5"], [1]], "bias": [0, 0]},
    ],
    "loss": {"type": "cross_entropy", "target": 0},
    "update": {"lr": "0.1"},
    "stated": {"loss": 1},
}


def test_every_tensor_of_a_network_worked_by_hand() -> None:
    workings = Workings(Notes("mine", "en", "", ()), Solved(parse(NETWORK)).steps())
    conv = [[1 + 4 - 1 + 1, 2 - 3 + 1], [2 + 1, 1 + 6 - 1 + 1]]
    assert workings.true("conv1").tolist() == [[conv]]
    assert workings.true("pool1").tolist() == [[[[7.0]]]]
    scores = [3.5, 7.0]
    first = math.exp(scores[0]) / sum(map(math.exp, scores))
    assert float(workings.true("loss")) == pytest.approx(-math.log(first), rel=1e-12)
    assert workings.true("d fc1")[0] == pytest.approx([first - 1, 1 - first], rel=1e-12)
    back = 0.5 * (first - 1) + (1 - first)
    assert workings.true("d conv1")[0, 0].ravel() == pytest.approx([0, 0, 0, back], rel=1e-12)
    assert workings.true("d conv1.weight")[0, 0].ravel() == pytest.approx([back, 3 * back, 0, back], rel=1e-12)
    assert workings.true("updated conv1.weight")[0, 0, 0] == pytest.approx([1 - 0.1 * back, 2 - 0.3 * back], rel=1e-12)


def test_a_step_runs_on_what_it_is_given() -> None:
    steps = {step.__name__: step for step in Solved(parse(NETWORK)).steps()}
    assert steps["relu1"](np.array([[[[-2.0, 5.0], [0.0, 1.0]]]])).tolist() == [[[[0.0, 5.0], [0.0, 1.0]]]]


def test_counts() -> None:
    workings = Workings(Notes("mine", "en", "", ()), Solved(parse(NETWORK)).steps())
    assert workings.true("conv1.shape").tolist() == [1, 2, 2]
    assert [int(workings.true(f"{name}parameters")) for name in ("conv1.", "fc1.", "")] == [5, 4, 9]


def test_the_mean_over_several_examples() -> None:
    two = {"inputs": [[1], [3]], "layer": [{"type": "linear", "weight": [[2]]}]}
    two |= {"loss": {"type": "mse", "target": [[1], [1]]}, "stated": {"loss": 1}}
    workings = Workings(Notes("mine", "en", "", ()), Solved(parse(two)).steps())
    assert float(workings.true("loss")) == ((2 - 1) ** 2 + (6 - 1) ** 2) / 2
    assert workings.true("d fc1.weight").tolist() == [[(2 * 1 * 1 + 2 * 5 * 3) / 2]]
