"""The notes `channels`: everything in them is right, by plain loops."""

import pytest

from pellucid import lessons
from pellucid.lessons.sums import Sum, parse


def filter_gradient_by_loops() -> list[Sum]:
    """Which pixel meets which gradient, by the definition of a 2x2 filter on a 3x3 input."""
    return [
        parse(" + ".join(f"dO{i}{j}*X{i + u}{j + v}" for i in (1, 2) for j in (1, 2))) for u in (0, 1) for v in (0, 1)
    ]


def output_by_loops() -> list[Sum]:
    return [
        parse(" + ".join(f"F{1 + u}{1 + v}*X{i + u}{j + v}" for u in (0, 1) for v in (0, 1)))
        for i in (1, 2)
        for j in (1, 2)
    ]


def test_the_letters_are_those_of_plain_loops() -> None:
    channels, training = lessons.lesson("channels"), lessons.lesson("training")
    assert training.true("convolution") == output_by_loops()
    assert training.true("filter_gradient") == filter_gradient_by_loops()
    assert channels.true("output") == output_by_loops()[:1]
    assert channels.true("filter_gradient") == [filter_gradient_by_loops()[0], filter_gradient_by_loops()[3]]


@pytest.mark.parametrize(
    ("name", "true"),
    [("feature_maps_of_16", 16), ("first_filter", 3), ("second_input", 32), ("two_filters", 2)],
)
def test_depths(name: str, true: int) -> None:
    assert float(lessons.lesson("channels").true(name)) == true


def test_every_statement_of_these_notes_agrees() -> None:
    findings = lessons.lesson("channels").check()
    assert len(findings) == 17
    assert {finding.verdict for finding in findings} == {"agrees"}
