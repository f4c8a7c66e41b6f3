"""`pellucid exercise`: exercises with friendly numbers, and the grading of answers."""

import sys
from pathlib import Path
from typing import Any

import click

from pellucid.cli.output import json_option, json_result, message, result
from pellucid.cli.teaching import digits_option, language_option
from pellucid.errors import CheckFailedError, DataError, UsageError

KINDS = ("convolution", "padding", "stride", "dilation", "pooling", "backward", "parameters", "sizes")


@click.command()
@click.option("--kind", type=click.Choice(KINDS), help="What to practise; convolution unless FILE names it.")
@click.option("--seed", type=click.IntRange(min=0), help="Which exercise of its kind; 0 unless FILE names it.")
@click.option("--answers", "show_answers", is_flag=True, help="Print the answers, and what misconceptions give.")
@click.option("--grade", "file", metavar="FILE", help="Grade the answers in a TOML file; - reads stdin.")
@click.option("--ask", is_flag=True, help="Ask for the answers row by row, and grade them.")
@language_option
@digits_option
@json_option
def command(
    kind: str | None,
    seed: int | None,
    show_answers: bool,
    file: str | None,
    ask: bool,
    language: str | None,
    digits: str,
    as_json: bool,
) -> None:
    """Make an exercise, or grade the answers to one.

    The same kind and seed make the same exercise. Numbers are small; answers may be fractions, such as 3/2. A wrong
    answer that a usual misconception gives is recognised as that. The exit code is 6 when an answer is wrong.

    \b
    pellucid exercise --kind backward --seed 3
    pellucid exercise --kind backward --seed 3 --answers
    echo 'rows = 14' | pellucid exercise --kind sizes --grade -
    """
    from pellucid.languages import Prose
    from pellucid.lessons.practice import feedback, grade, make, read_answers, sheet

    if ask and file:
        raise UsageError("--ask and --grade both say where the answers come from; use one of them")
    given: dict[str, Any] = {}
    if file:
        given, named, number = read_answers(_read(file), "stdin" if file == "-" else Path(file).name)
        kind, seed = kind or named, number if seed is None else seed
    exercise = make(kind or KINDS[0], seed or 0)
    prose = Prose(language or "en", "exercise", digits)
    if not file and not ask:
        json_result(_exercise(exercise, prose, show_answers)) if as_json else result(
            sheet(exercise, prose, answers=show_answers)
        )
        return
    if ask:
        message(sheet(exercise, prose))
        given = {question.name: _ask(question.name, question.answer.shape) for question in exercise.questions}
    graded = grade(exercise, given)
    if as_json:
        json_result(_graded(graded, prose))
    else:
        result(feedback(graded, prose))
    if not graded.all_right:
        raise CheckFailedError("not every answer is right")


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: must be a readable file in UTF-8: {error}") from error


def _ask(name: str, shape: tuple[int, ...]) -> Any:
    """One number, one row of numbers, or several rows, asked for on stderr."""
    if len(shape) < 2:
        numbers = click.prompt(name, err=True).split()
        return numbers if shape else numbers[0]
    rows = 1
    for extent in shape[:-1]:
        rows *= extent
    return [click.prompt(f"{name}, row {row + 1} of {rows}", err=True).split() for row in range(rows)]


def _exercise(exercise: Any, prose: Any, show_answers: bool) -> dict[str, Any]:
    from pellucid.lessons.practice import sheet

    found: dict[str, Any] = {
        "kind": exercise.kind,
        "seed": exercise.seed,
        "given": exercise.given,
        "asked": {question.name: question.answer.shape for question in exercise.questions},
        "text": sheet(exercise, prose),
    }
    if show_answers:
        found["answers"] = {question.name: question.answer for question in exercise.questions}
    return found


def _graded(graded: Any, prose: Any) -> dict[str, Any]:
    return {
        "all_right": graded.all_right,
        "missing": graded.missing,
        "answers": [
            {
                "name": answer.question.name,
                "right": answer.right,
                "wrong": answer.wrong,
                "mistake": answer.mistake or None,
                "says": "" if answer.right else prose(f"mistake.{answer.mistake or 'unknown'}"),
            }
            for answer in graded.answers
        ],
    }
