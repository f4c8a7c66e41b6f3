"""The comparison of results lets nothing wrong pass."""

import numpy as np
import pytest

from pellucid.bench.compare import TOLERANCE, distance, largest


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
    assert largest(ours, {"a": np.ones(4), "b": np.ones(4)}) == (pytest.approx(0.1), "b")


def test_a_missing_result_is_wrong() -> None:
    assert largest({"a": np.ones(1)}, {"a": np.ones(1), "b": np.ones(1)}) == (float("inf"), "b")
    assert largest({"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1)}) == (float("inf"), "b")
