"""Grading: right answers in any form, wrong ones recognised by the misconception behind them."""

from typing import Any

import pytest

from pellucid.errors import DataError
from pellucid.lessons.practice import grade, kinds, make, read_answers
from pellucid.lessons.practice.sheet import number


def written(array: Any) -> Any:
    """Nested lists of whole numbers and fractions."""
    return [written(row) for row in array] if array.ndim else number(float(array))


@pytest.mark.parametrize("kind", kinds())
def test_right_answers_are_right(kind: str) -> None:
    exercise = make(kind, 1)
    graded = grade(exercise, {question.name: written(question.answer) for question in exercise.questions})
    assert graded.all_right and not any(answer.mistake for answer in graded.answers)


@pytest.mark.parametrize("kind", kinds())
def test_every_misconception_is_recognised(kind: str) -> None:
    exercise = make(kind, 2)
    for question in exercise.questions:
        for mistake in question.mistakes:
            (answer,) = grade(exercise, {question.name: written(mistake.answer)}).answers
            assert not answer.right and answer.mistake == mistake.key


def test_one_wrong_number_is_located_and_the_others_stay_right() -> None:
    exercise = make("convolution", 0)
    answers = written(exercise.questions[0].answer)
    answers[0][1][0] = "1000"
    (answer,) = grade(exercise, {"Y": answers}).answers
    assert answer.wrong == ((0, 1, 0),) and answer.mistake == "" and not answer.misplaced


def test_a_misconception_at_one_place_is_recognised_there() -> None:
    exercise = make("convolution", 0)
    question = exercise.questions[0]
    bias = next(mistake for mistake in question.mistakes if mistake.key == "bias")
    answers = written(question.answer)
    answers[0][0][1] = written(bias.answer)[0][0][1]
    (answer,) = grade(exercise, {"Y": answers}).answers
    assert answer.wrong == ((0, 0, 1),) and answer.mistake == "bias"


def test_leading_ones_may_be_left_out_and_numbers_written_in_any_way() -> None:
    exercise = make("pooling", 1)  # an average: 9/4, 2, 1/2, 3
    assert written(exercise.questions[0].answer) == [[["9/4", "2"], ["1/2", "3"]]]
    assert grade(exercise, {"Y": [["2.25", 2], ["0.5", "6/2"]]}).all_right
    assert not grade(exercise, {"Y": [[2, 2], ["0.5", 3]]}).all_right


def test_the_wrong_shape() -> None:
    (answer,) = grade(make("convolution", 0), {"Y": [1, 2, 3]}).answers
    assert answer.misplaced and not answer.right and answer.mistake == ""


def test_what_is_not_answered_is_missing() -> None:
    graded = grade(make("parameters", 0), {"fc": written(make("parameters", 0).questions[1].answer)})
    assert graded.missing == ("conv",) and not graded.all_right


def test_files_of_answers() -> None:
    assert read_answers('kind = "stride"\nseed = 3\nY = [[0.50]]', "f") == ({"Y": [["0.50"]]}, "stride", 3)
    assert read_answers("[answers]\nrows = 4", "f") == ({"rows": 4}, None, None)


@pytest.mark.parametrize("text", ["Y = ", 'seed = "x"', "kind = 3"])
def test_files_that_are_none(text: str) -> None:
    with pytest.raises(DataError, match=r"^f: "):
        read_answers(text, "f")


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"Z": 1}, 'nobody asked for "Z"; asked is Y'),
        ({"Y": [[1, 2], [3]]}, "equally long rows"),
        ({"Y": []}, "equally long rows"),
        ({"Y": "many"}, "Y: .*must be a printed number"),
    ],
)
def test_answers_that_are_none(answers: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        grade(make("stride", 0), answers)
