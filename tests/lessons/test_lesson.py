"""The five lessons: what there is, in which language, and what a wrong name leads to."""

import pytest

from pellucid import lessons
from pellucid.errors import UsageError


def test_the_five_notes_are_there() -> None:
    assert lessons.names() == ("channels", "training", "architecture", "exercise", "slides")


@pytest.mark.parametrize(
    ("name", "language"),
    [("channels", "tr"), ("training", "tr"), ("architecture", "en"), ("exercise", "fa"), ("slides", "ko")],
)
def test_each_says_what_it_is(name: str, language: str) -> None:
    lesson = lessons.lesson(name)
    assert lesson.name == lesson.notes.name == name
    assert lesson.notes.language == language
    assert lesson.title
    assert lesson.notes.source.endswith(".txt")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match='no notes called "chanels"; choose one of channels, training'):
        lessons.lesson("chanels")


@pytest.mark.parametrize("name", lessons.names())
def test_every_finding_is_complete(name: str) -> None:
    findings = lessons.lesson(name).check()
    ids = [finding.id for finding in findings]
    assert len(set(ids)) == len(ids)
    known = set(ids)
    for finding in findings:
        assert finding.id.startswith(f"{name}.")
        assert finding.stated
        assert finding.true
        assert finding.place
        assert finding.text
        assert set(finding.causes) <= known
        assert (finding.verdict == "agrees") == (not finding.causes)


@pytest.mark.parametrize("name", lessons.names())
def test_every_step_is_used(name: str) -> None:
    lesson = lessons.lesson(name)
    items = {item.id for item in lesson.notes.items}
    formulas = " ".join(" ".join(item.formula) for item in lesson.notes.items)
    parameters = {p for step in lesson.steps for p in step.__code__.co_varnames[: step.__code__.co_argcount]}
    for step in lesson.steps:
        assert step.__name__ in items | parameters or step.__name__ in formulas


@pytest.mark.parametrize("name", lessons.names())
def test_the_files_hold_no_verdicts(name: str) -> None:
    """Only what the notes state is stored: a true value would have no field to stand in."""
    assert not {"true", "verdict", "correct"} & set(vars(lessons.lesson(name).notes.items[0]))


def test_every_call_computes_anew() -> None:
    lesson = lessons.lesson("channels")
    assert lesson.check() == lesson.check()
