"""Grading answers: each number is right or wrong, and wrong ones are compared with what misconceptions give."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError
from pellucid.lessons.practice.exercise import Array, Exercise, Question
from pellucid.lessons.printed import Printed, agreement, read

Texts = NDArray[np.object_]


@dataclass(frozen=True)
class Answer:
    """One graded question.

    `wrong` are the places of wrong numbers; `misplaced` says that the shape is not the right one. `mistake` is the key
    of the misconception that gives every wrong number, or "".
    """

    question: Question
    texts: Texts
    wrong: tuple[tuple[int, ...], ...]
    misplaced: bool
    mistake: str

    @property
    def right(self) -> bool:
        """Whether every number is right."""
        return not self.wrong and not self.misplaced


@dataclass(frozen=True)
class Graded:
    """The answers to an exercise; `missing` are the questions without one."""

    exercise: Exercise
    answers: tuple[Answer, ...]
    missing: tuple[str, ...]

    @property
    def all_right(self) -> bool:
        """Whether every question is answered, and rightly."""
        return not self.missing and all(answer.right for answer in self.answers)


def read_answers(text: str, where: str) -> tuple[dict[str, Any], str | None, int | None]:
    """Answers by name from TOML, with the kind and seed of the exercise where it names them.

    Raises DataError, naming `where` they come from, for what is no such file.
    """
    try:
        content = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{where}: must be TOML, such as Y = [[1, 2], [3, 4]]: {error}") from error
    kind, seed = content.pop("kind", None), content.pop("seed", None)
    if (kind is not None and not isinstance(kind, str)) or (seed is not None and type(seed) is not int):
        raise DataError(f"{where}: kind is a text and seed a whole number")
    answers = content.pop("answers", {})
    return {**content, **(answers if isinstance(answers, dict) else {})}, kind, seed


def grade(exercise: Exercise, answers: Mapping[str, Any]) -> Graded:
    """Grade answers by the names of the questions; DataError for a name nobody asked, or what is no number."""
    questions = {question.name: question for question in exercise.questions}
    unknown = [name for name in answers if name not in questions]
    if unknown:
        raise DataError(f'nobody asked for "{unknown[0]}"; asked is {", ".join(questions)}')
    graded = tuple(_graded(questions[name], answers[name]) for name in questions if name in answers)
    return Graded(exercise, graded, tuple(name for name in questions if name not in answers))


def _graded(question: Question, given: Any) -> Answer:
    texts: Texts = np.array(given, dtype=object)
    if texts.size == 0 or any(isinstance(text, list) for text in texts.ravel()):
        raise DataError(f"{question.name}: must hold numbers in equally long rows")
    numbers = [_number(question.name, text) for text in texts.ravel()]
    if (fitted := _fitted(texts, question.answer.shape)) is not None:
        truth = question.answer.ravel()
        wrong = [k for k, number in enumerate(numbers) if not _agrees(number, truth[k])]
        places = tuple(tuple(int(i) for i in np.unravel_index(k, question.answer.shape)) for k in wrong)
        return Answer(question, fitted, places, False, _mistake(question, fitted, numbers, wrong))
    return Answer(question, texts, (), True, _mistake(question, texts, numbers, list(range(len(numbers)))))


def _mistake(question: Question, texts: Texts, numbers: list[Printed], wrong: list[int]) -> str:
    """The misconception that gives every wrong number."""
    if not wrong:
        return ""
    for mistake in question.mistakes:
        if _fitted(texts, mistake.answer.shape) is not None:
            values = mistake.answer.ravel()
            if all(_agrees(numbers[k], values[k]) for k in wrong):
                return mistake.key
    return ""


def _fitted(texts: Texts, shape: tuple[int, ...]) -> Texts | None:
    """The texts in a shape of which leading ones may have been left out; None where they do not fit."""
    missing = len(shape) - texts.ndim
    if missing < 0 or (1,) * missing + texts.shape != shape:
        return None
    return texts.reshape(shape)


def _agrees(number: Printed, value: Array | float) -> bool:
    return agreement(number, float(value)) in ("exact", "rounded") and (number.place < 1 or number.value == value)


def _number(name: str, text: object) -> Printed:
    try:
        return read(str(text))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
