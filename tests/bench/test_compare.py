"""The comparison of results lets nothing wrong pass."""

import numpy as np
import pytest

from pellucid.bench.compare import TOLERANCE, disagreement, distance


def test_distance_is_relative() -> None:
    theirs = np.array([3.0, 4.0])
    assert distance(theirs, theirs) == 0
    assert distance(1000 * (theirs + np.array([0, 0.5])), 1000 * theirs) == pytest.approx(0.1)
    assert distance(np.array([0.25]), np.array([0.0])) == 0.25


@pytest.mark.parametrize(
    "ours", [np.zeros(2), np.zeros((3, 1)), np.array([1.0, np.nan, 1.0]), np.array([1.0, np.inf, 1.0])]
)
def test_another_shape_or_no_number_is_wrong(ours: np.ndarray) -> None:
    assert distance(ours, np.ones(3)) > TOLERANCE
    assert distance(np.ones(3), ours) > TOLERANCE


def test_the_worst_of_all_results_is_named() -> None:
    ours = {"a": np.ones(4), "b": np.array([1.0, 1.0, 1.0, 1.2])}
    assert disagreement(ours, {"a": np.ones(4), "b": np.ones(4)}) == (pytest.approx(0.1), "b")


def test_a_missing_result_is_wrong() -> None:
    assert disagreement({"a": np.ones(1)}, {"a": np.ones(1), "b": np.ones(1)}) == (float("inf"), "b")
    assert disagreement({"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1)}) == (float("inf"), "b")


def test_gradients_behind_a_kink_do_not_decide_but_a_wrong_one_does() -> None:
    theirs = {f"d {k}": np.ones(100) for k in range(5)} | {"loss": np.array(1.0)}
    flipped = theirs | {f"d {k}": 1.02 * np.ones(100) for k in range(3)}
    assert disagreement(flipped, theirs)[0] < TOLERANCE
    assert disagreement(theirs | {"d 0": 1.2 * np.ones(100)}, theirs) == (pytest.approx(0.2), "d 0")
    assert disagreement(theirs | {"loss": np.array(1.01)}, theirs) == (pytest.approx(0.01), "loss")


def test_a_gradient_by_itself_is_held_to_the_tolerance() -> None:
    theirs = {"d weight": np.ones(100)}
    assert disagreement({"d weight": 1.001 * np.ones(100)}, theirs) == (pytest.approx(1e-3), "d weight")
