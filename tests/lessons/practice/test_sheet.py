"""Sheets and feedback: what is given and asked stands there, in every language."""

import pytest

from pellucid.languages import CODES, Prose
from pellucid.lessons.practice import feedback, grade, kinds, make, sheet


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("kind", kinds())
def test_a_sheet_in_every_language(kind: str, code: str) -> None:
    for seed in (0, 1, 2):
        exercise = make(kind, seed)
        prose = Prose(code, "exercise")
        asked = sheet(exercise, prose)
        assert all(f"{name}[" in asked or f"{name} =" in asked for name in exercise.given)
        assert all(question.name in asked for question in exercise.questions)
        solved = sheet(exercise, prose, answers=True)
        assert solved.startswith(asked) and len(solved) > len(asked)
        assert "{" not in solved and "`" not in solved
        wrong = feedback(grade(exercise, {exercise.questions[0].name: 12345}), prose)
        assert exercise.questions[0].name in wrong and "{" not in wrong


def test_feedback_names_place_truth_and_misconception() -> None:
    exercise = make("parameters", 0)
    conv, fc = exercise.questions
    said = feedback(grade(exercise, {"conv": conv.mistakes[0].answer, "fc": fc.answer}), Prose("en", "exercise"))
    assert f"conv: you have {conv.mistakes[0].answer}, it is {int(conv.answer)}." in said
    assert "The bias was forgotten." in said and "fc: right." in said
