"""Lessons as they are read: complete, in four languages, with every number where it belongs."""

import re

import pytest

from pellucid import languages, lessons
from pellucid.errors import UsageError
from pellucid.lessons.teaching import contents, teach, text


def test_every_set_of_notes_is_listed_in_its_own_language() -> None:
    assert [(name, code) for name, code, _, _ in contents()] == [
        ("channels", "tr"), ("training", "tr"), ("architecture", "en"), ("exercise", "fa"), ("slides", "ko"),
    ]  # fmt: skip
    titles = {code: [title for _, _, title, _ in contents(code)] for code in languages.CODES}
    for five in zip(*titles.values(), strict=True):
        assert len(set(five)) == len(languages.CODES)


@pytest.mark.parametrize("name", lessons.names())
def test_every_item_stands_in_one_example(name: str) -> None:
    notes = lessons.lesson(name).notes
    held = [item for items in notes.examples.values() for item in items]
    assert sorted(held) == sorted(item.id for item in notes.items)


@pytest.mark.parametrize("name", lessons.names())
def test_what_is_judged_does_not_depend_on_the_language(name: str) -> None:
    findings = lessons.lesson(name).check()
    for code in languages.CODES:
        taught = teach(name, language=code)
        judged = [one for example in taught.examples for entry in example.entries for one in entry.judged]
        found = {finding.label: (finding.stated, finding.verdict) for finding in findings}
        assert {one.name: (one.stated, one.verdict) for one in judged} == found
        assert all(entry.what and entry.place for example in taught.examples for entry in example.entries)
        assert "`" not in text(taught) and "{" not in taught.summary


def test_the_first_wrong_number_and_what_follows() -> None:
    taught = teach("exercise", language="en")
    cause = next(cause for cause in taught.causes if cause.name == "O[1,2]")
    assert (cause.stated, cause.true) == ("3", "6")  # 3*0 + 5*3 + 1*1 - 5*2
    assert cause.followers == ("gap", "y")
    lines = text(taught).splitlines()
    at = lines.index("Where it first goes wrong")
    assert any(line.strip() == "O[1,2]: stated 3, true 6" for line in lines[at:])


def test_persian_keeps_mathematics_apart_and_counts_as_it_is_told() -> None:
    latin, native = (text(teach("exercise", "forward", "fa", digits), digits) for digits in ("latin", "native"))
    assert "\u2066O[1,2]\u2069" in latin and "\u2066O[1,2]\u2069" in native
    outside = re.sub("\u2066[^\u2069]*\u2069", "", native)
    prose = [line for line in outside.splitlines() if re.search("[\u0600-\u06ff]", line)]
    assert not re.search("[0-9]", "".join(prose)) and re.search("[۰-۹]", outside)


def test_one_example_alone_tells_no_more_than_itself() -> None:
    taught = teach("slides", "dilation", "en")
    assert [example.id for example in taught.examples] == ["dilation"]
    assert taught.causes == () and "Everything stated here is right: 27 of 27." in text(taught)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(("slide",), "no notes"), (("slides", "dilatoin"), "no example"), (("slides", None, "de"), "no language")],
)
def test_what_there_is_not(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        teach(*arguments)
