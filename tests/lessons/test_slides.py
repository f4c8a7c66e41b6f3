"""The notes `slides`: tables and sizes against plain loops, the one slip in a formula."""

import numpy as np
import pytest

from pellucid import lessons
from pellucid.lessons.sums import parse

IMAGE = [
    [1, 0, 0, 1, 0, 0],
    [1, 1, 0, 1, 0, 0],
    [1, 0, 0, 1, 0, 0],
    [1, 1, 1, 1, 1, 1],
    [1, 0, 0, 1, 0, 0],
    [1, 0, 0, 1, 0, 0],
]


def test_filtering_and_pooling_are_those_of_plain_loops() -> None:
    lesson = lessons.lesson("slides")
    edges = [[sum(IMAGE[i + u][j] for u in range(3)) for j in range(4)] for i in range(4)]
    windows = [[[edges[i + u][j + v] for u in (0, 1) for v in (0, 1)] for j in range(3)] for i in range(3)]
    assert lesson.true("edges").tolist() == edges
    assert lesson.true("max_pooled").tolist() == [[max(window) for window in row] for row in windows]
    assert lesson.true("average_pooled").tolist() == [[sum(window) / 4 for window in row] for row in windows]


def test_the_quiz_is_answered() -> None:
    lesson = lessons.lesson("slides")
    assert lesson.answers() == {"quiz_size": "98 x 130"}
    assert float(lesson.true("quiz_channels")) == 9
    assert lesson.true("quiz_size").tolist() == [(480 + 10 - 5) // 5 + 1, (640 + 10 - 5) // 5 + 1]


def test_dilation_reaches_every_other_cell() -> None:
    cells = lessons.lesson("slides").true("dilated_cells")
    assert cells.tolist() == [[float(i % 2 == 0 and j % 2 == 0) for j in range(5)] for i in range(5)]


def test_the_letters_are_those_of_plain_loops() -> None:
    image = [[1, 1, 0], [1, 1, 0], [1, 0, 0]]
    taps = [(u, v) for u in (0, 1) for v in (0, 1)]
    by_hand = [
        parse(" + ".join(f"{image[i + u][j + v]}*w{u + 1}{v + 1}" for u, v in taps)) for i in (0, 1) for j in (0, 1)
    ]
    lesson = lessons.lesson("slides")
    assert lesson.true("feature") == by_hand
    assert lesson.true("max_gradient_weight") == [parse("x11 + x12 + x21 + x22")]
    assert lesson.true("max_gradient").tolist() == [1, 0]


def test_a_true_convolution_meets_row_i_minus_x_and_column_j_minus_y() -> None:
    lesson = lessons.lesson("slides")
    i, j, x, y = (lesson.true(name) for name in "ijxy")
    assert lesson.true("convolution_indices").tolist() == [i - x, j - y]
    wrong = [finding for finding in lesson.check() if finding.verdict != "agrees"]
    assert [finding.id for finding in wrong] == ["slides.convolution_indices.formula[2]"]


def test_decimals_left_open_agree_as_truncated() -> None:
    found = {finding.id: finding for finding in lessons.lesson("slides").check()}
    assert found["slides.average_pooled[1,1]"].reason == "truncated"
    assert found["slides.average_pooled[1,2]"].reason == "exact"
    assert np.isclose(lessons.lesson("slides").true("average_pooled")[0, 0], 2.25)


@pytest.mark.parametrize(("name", "true"), [("gaussian_factor", 1 / 16), ("average_factor", 1 / 9)])
def test_the_factors_of_the_smoothing_filters(name: str, true: float) -> None:
    assert float(lessons.lesson("slides").true(name)) == pytest.approx(true, rel=1e-15)
