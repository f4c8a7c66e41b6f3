"""An exercise and its feedback, for a terminal, in four languages."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product as every

import numpy as np

from pellucid.languages import Prose, math
from pellucid.lessons.practice.exercise import Array, Exercise, Question
from pellucid.lessons.practice.grading import Answer, Graded


def sheet(exercise: Exercise, prose: Prose, *, answers: bool = False) -> str:
    """The task, what is given and what is asked; with `answers` also the answers and what misconceptions give."""
    lines = [prose("title", kind=prose(f"kind.{exercise.kind}"), seed=exercise.seed), ""]
    values = {name: math(value) for name, value in exercise.values.items()}
    lines += [*prose.wrap(prose(exercise.task, **values)), ""]
    for name, array in exercise.given.items():
        lines += [*_tensor(name, array), ""]
    for question in exercise.questions:
        lines += prose.wrap(prose("asked", what=prose(f"asked.{question.name}"), name=math(question.name)))
    if answers:
        for question in exercise.questions:
            lines += ["", *_answered(question, prose)]
    return "\n".join(lines)


def feedback(graded: Graded, prose: Prose) -> str:
    """What is right, what is wrong, and which misconception would give it."""
    lines = [line for answer in graded.answers for line in _feedback(answer, prose)]
    lines += [prose("missing", name=math(name)) for name in graded.missing]
    lines += ["", prose("all_right" if graded.all_right else "not_all_right")]
    return "\n".join(lines)


def number(value: float) -> str:
    """A whole number or a fraction."""
    return str(Fraction(value).limit_denominator(1000))


def _feedback(answer: Answer, prose: Prose) -> Iterator[str]:
    name = math(answer.question.name)
    if answer.right:
        yield prose("right", name=name)
        return
    if answer.misplaced:
        given, wanted = (_by(array.shape) for array in (answer.texts, answer.question.answer))
        yield from prose.wrap(prose("shape", name=name, given=math(given), wanted=math(wanted)))
    for place in answer.wrong:
        where = math(f"{answer.question.name}{list(place)}".replace(" ", "") if place else answer.question.name)
        true = number(float(answer.question.answer[place]))
        yield from prose.wrap(prose("wrong", name=where, given=math(answer.texts[place]), true=math(true)))
    yield from prose.wrap(prose(f"mistake.{answer.mistake}" if answer.mistake else "mistake.unknown"), "  ")


def _answered(question: Question, prose: Prose) -> Iterator[str]:
    yield from _tensor(question.name, question.answer)
    for mistake in question.mistakes:
        yield from prose.wrap(prose("would_give", why=prose(f"mistake.{mistake.key}")), "  ")
        yield from (f"    {line}" for line in _tensor(question.name, mistake.answer))


def _tensor(name: str, array: Array) -> Iterator[str]:
    """A tensor by its matrices: rows in columns, the leading coordinates beside the name."""
    if array.ndim < 2:
        yield f"{name} = {' '.join(number(float(value)) for value in np.ravel(array))}"
        return
    for leading in every(*(range(extent) for extent in array.shape[:-2])):
        rows = [[number(float(value)) for value in row] for row in array[leading]]
        width = max(len(cell) for row in rows for cell in row)
        yield f"{name}[{','.join(map(str, leading))}] =" if leading else f"{name} ="
        yield from ("   " + "  ".join(cell.rjust(width) for cell in row) for row in rows)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"
