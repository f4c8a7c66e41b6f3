"""The notes `exercise`: the true values against plain loops, the slips, and the scan's doubtful digits."""

import numpy as np
import pytest

from pellucid import lessons
from pellucid.errors import DataError
from pellucid.lessons.exercise import recovered_filter

X = [[2, 3, 5], [3, 1, 5], [5, -1, -2]]
F = [[0, 3], [1, -2]]
TAPS = [(u, v) for u in (0, 1) for v in (0, 1)]


@pytest.fixture(scope="module")
def found() -> dict[str, lessons.Finding]:
    findings = lessons.lesson("exercise").check()
    return {finding.id.removeprefix("exercise."): finding for finding in findings}


def test_convolution_and_pooling_are_those_of_plain_loops() -> None:
    lesson = lessons.lesson("exercise")
    output = [[sum(X[i + u][j + v] * F[u][v] for u, v in TAPS) for j in (0, 1)] for i in (0, 1)]
    by_filter = [[sum(X[i + u][j + v] for i, j in TAPS) / 4 for v in (0, 1)] for u in (0, 1)]
    by_input = np.zeros((3, 3))
    for i, j in TAPS:
        for u, v in TAPS:
            by_input[i + u, j + v] += F[u][v] / 4
    assert lesson.true("O").tolist() == output
    assert float(lesson.true("gap")) == sum(map(sum, output)) / 4 == 11
    assert float(lesson.true("dO")) == 1 / 4
    assert lesson.true("dF").tolist() == by_filter
    assert lesson.true("dX").tolist() == by_input.tolist()


def test_the_lost_filter_is_recovered() -> None:
    """The filter that subtracts eight times the centre from its neighbours, on a vertical line of tens."""
    lesson = lessons.lesson("exercise")
    laplace = [[1, 1, 1], [1, -8, 1], [1, 1, 1]]
    assert lesson.true("recovered_filter").tolist() == laplace
    line = np.pad(np.array([[0, 0, 10, 0, 0]] * 5), 1)
    filtered = [
        [sum(line[i + u, j + v] * laplace[u][v] for u in range(3) for v in range(3)) for j in range(5)]
        for i in range(5)
    ]
    assert lesson.true("filtered_line").tolist() == filtered


def test_rows_that_fit_no_filter_better_than_another_are_refused() -> None:
    line = np.zeros((5, 5))
    line[:, 2] = 10
    undecided = np.zeros((5, 5))
    undecided[1, 2], undecided[2, 2], undecided[3, 2] = 10, 20, 30
    with pytest.raises(DataError, match="do not determine one 3x3 filter"):
        recovered_filter(line, undecided)


@pytest.mark.parametrize(
    ("name", "verdict", "first_cause"),
    [
        ("filtered_line[2,3]", "agrees", None),
        ("filtered_line[3,3]", "deviates", "filtered_line[3,3]"),
        ("convolved_size[1]", "deviates", "convolved_size[1]"),
        ("convolved_size[3]", "agrees", None),
        ("pooled_size[1]", "deviates", "pooled_size[1]"),
        ("flattened", "deviates", "flattened"),
        ("first_dense", "follows from an earlier slip", "flattened"),
        ("second_dense", "agrees", None),
        ("pointwise", "agrees", None),
        ("O[1,1]", "agrees", None),
        ("O[1,2]", "deviates", "O[1,2]"),
        ("gap", "follows from an earlier slip", "O[1,2]"),
        ("dO", "deviates", "dO"),
        ("dF[1,1]", "agrees", None),  # 9/Σ, the sign read as 4
        ("dF[1,2]", "deviates", "dF[1,2]"),
        ("dX_letters[5]", "agrees", None),
        ("dX[1,1]", "agrees", None),
        ("dX[1,2]", "deviates", "dX[1,2]"),
        ("dX[2,1]", "agrees", None),
        ("dX[2,2]", "agrees", None),  # 1/Σ, the sign read as 2
        ("dX[3,3]", "agrees", None),
    ],
)
def test_what_is_found(found: dict[str, lessons.Finding], name: str, verdict: str, first_cause: str | None) -> None:
    assert found[name].verdict == verdict
    assert (found[name].first_cause or "").removeprefix("exercise.") == (first_cause or "")


@pytest.mark.parametrize(
    ("name", "true"),
    [
        ("convolved_size", [28, 28, 16]),
        ("pooled_size", [14, 14, 16]),
        ("flattened", 14 * 14 * 16),
        ("first_dense", 14 * 14 * 16 * 32),
        ("second_dense", 32 * 5),
    ],
)
def test_sizes_and_parameters(name: str, true: object) -> None:
    assert np.asarray(lessons.lesson("exercise").true(name)).tolist() == true


def test_what_the_scan_garbled_is_not_judged(found: dict[str, lessons.Finding]) -> None:
    unchecked = [item.id for item in lessons.lesson("exercise").unchecked()]
    assert unchecked == ["filter_gradient_letters", "last_filter_gradient_letters"]
    assert not any(name.startswith(tuple(unchecked)) for name in found)


def test_the_doubtful_digits_are_read_so_that_most_agrees() -> None:
    """With X13 = X31 = 4 the convolution gives 10, 3, 9, 18, as printed; with stride 2 the sizes fit."""
    changes, gained = lessons.lesson("exercise").better_readings()
    assert {change.id: change.meant for change in changes} == {
        "stride": "2",
        "convolved_size[1]": "14",
        "convolved_size[2]": "14",
        "X[1,3]": "4",
        "X[3,1]": "4",
        "dO": "1/4",
    }
    assert gained == 10
    reread = [[2, 3, 4], [3, 1, 5], [4, -1, -2]]
    assert [sum(reread[i + u][j + v] * F[u][v] for u, v in TAPS) for i, j in TAPS] == [10, 3, 9, 18]


@pytest.mark.parametrize("name", ["channels", "training", "architecture", "slides"])
def test_the_other_notes_hold_no_doubtful_digits(name: str) -> None:
    assert lessons.lesson(name).better_readings() == ([], 0)
