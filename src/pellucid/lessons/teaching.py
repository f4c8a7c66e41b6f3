"""A lesson as it is read: each worked example explained, what is stated beside what is true, in one of four languages.

`teach` gathers everything as data, with all prose said; `text` arranges that for a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from pellucid.errors import UsageError
from pellucid.languages import Prose, math
from pellucid.lessons.findings import Finding, following
from pellucid.lessons.items import Item
from pellucid.lessons.lesson import Lesson, Reading, lesson, names


@dataclass(frozen=True)
class Judged:
    """One stated number, sum, formula or sentence: its name, both values, the verdict, and a sentence about it."""

    name: str
    stated: str
    true: str
    verdict: str
    says: str
    causes: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One item of an example: `stated` has rows of texts; `remarks` say why it is not judged, and what to note."""

    id: str
    place: str
    what: str
    original: str
    stated: tuple[tuple[str, ...], ...]
    judged: tuple[Judged, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class ExampleShown:
    """A worked example: its title, what it is about, its items, and a sentence on what came out."""

    id: str
    title: str
    about: str
    entries: tuple[Entry, ...]
    result: str


@dataclass(frozen=True)
class Cause:
    """A number, sum or formula at which something first goes wrong, and the later ones that follow from it."""

    name: str
    stated: str
    true: str
    says: str
    followers: tuple[str, ...]
    follows: str


@dataclass(frozen=True)
class Taught:
    """A set of notes, or one example of it, in one language."""

    name: str
    language: str
    title: str
    examples: tuple[ExampleShown, ...]
    causes: tuple[Cause, ...]
    summary: str
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def teach(name: str, example: str | None = None, language: str | None = None, digits: str = "latin") -> Taught:
    """Run a lesson, or one of its examples, and say it in a language; without one, in that of the notes.

    Raises UsageError when there are no such notes, no such example or no such language.
    """
    one = lesson(name)
    return _Teacher(one, Prose(language or one.notes.language, "notes", digits)).taught(example)


def contents(language: str | None = None, digits: str = "latin") -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    """All notes: name, language, title, examples with titles; each in its own language unless one is named."""
    rows = []
    for name in names():
        notes = lesson(name).notes
        say = Prose(language or notes.language, "notes", digits)
        rows.append((name, notes.language, say(name), [(e, say(f"{name}/{e}")) for e in notes.examples]))
    return rows


@cache
def _findings(name: str) -> tuple[Finding, ...]:
    """What is found in a lesson: the same in every language."""
    return tuple(lesson(name).check())


@cache
def _better_readings(name: str) -> tuple[list[Reading], int]:
    return lesson(name).better_readings()


class _Teacher:
    """Says one lesson."""

    def __init__(self, one: Lesson, say: Prose) -> None:
        self.lesson, self.say = one, say
        self.findings = _findings(one.name)
        self.judgement = say.of("findings")

    def taught(self, example: str | None) -> Taught:
        notes = self.lesson.notes
        if example is not None and example not in notes.examples:
            raise UsageError(
                f'the notes {notes.name} have no example "{example}"; they have {", ".join(notes.examples)}'
            )
        chosen = [example] if example else list(notes.examples)
        items = {name for one in chosen for name in notes.examples[one]}
        found = [finding for finding in self.findings if _item_of(finding) in items]
        return Taught(
            name=notes.name,
            language=self.say.code,
            title=self.say(notes.name),
            examples=tuple(self.example(one) for one in chosen),
            causes=tuple(self.cause(f) for f in found if f.causes == (f.id,)),
            summary=self.counts(found),
            remarks=self.readings() if example is None else (),
        )

    def example(self, name: str) -> ExampleShown:
        notes = self.lesson.notes
        items = {item.id: item for item in notes.items}
        key = f"{notes.name}/{name}"
        held = notes.examples[name]
        found = [finding for finding in self.findings if _item_of(finding) in held]
        entries = tuple(self.entry(items[one]) for one in held)
        return ExampleShown(name, self.say(key), self.say(f"{key}.about"), entries, self.counts(found))

    def entry(self, item: Item) -> Entry:
        judged = tuple(self.judged(finding) for finding in self.findings if _item_of(finding) == item.id)
        key = f"{self.lesson.name}.{item.id}"
        remarks = [self.say(f"{key}.note")] if self.say.knows(f"{key}.note") else []
        if item.kind in ("fact", "garbled"):
            remarks.insert(0, self.say(f"unchecked.{item.kind}"))
        if item.kind == "question":
            remarks.insert(0, self.say("answer", answer=math(self.lesson.answers()[item.id])))
        if item.given:
            remarks.insert(0, self.say("given"))
        stated = item.stated or item.formula
        rows = np.array(stated, dtype=object).reshape(item.shape if len(item.shape) == 2 else (1, -1)).tolist()
        place, what = self.place(item.place), self.say(key)
        return Entry(item.id, place, what, item.original, tuple(map(tuple, rows)), judged, tuple(remarks))

    def judged(self, finding: Finding) -> Judged:
        true = finding.outcome.say(self.judgement) if finding.outcome else finding.true
        says = finding.say(self.judgement)
        causes = tuple(cause.partition(".")[2] for cause in finding.causes)
        return Judged(finding.label, finding.stated, true, finding.verdict, says, causes)

    def cause(self, finding: Finding) -> Cause:
        judged = self.judged(finding)
        later = tuple(other.label for other in following(self.findings, finding.id))
        where = self.say("comma").join(math(name) for name in dict.fromkeys(label.partition("[")[0] for label in later))
        follows = self.say("followers", count=len(later), names=where) if later else self.say("no_followers")
        return Cause(judged.name, judged.stated, judged.true, judged.says, later, follows)

    def counts(self, found: Sequence[Finding]) -> str:
        right = sum(finding.verdict == "agrees" for finding in found)
        if right == len(found):
            return self.say("all_right", count=right) if found else ""
        reasons = [finding.reason for finding in found]
        return self.say(
            "counts",
            total=len(found),
            right=right,
            wrong=sum(finding.verdict == "deviates" for finding in found),
            slip=reasons.count("earlier slip"),
            rounding=reasons.count("earlier rounding"),
        )

    def readings(self) -> tuple[str, ...]:
        """Where the scan may be misread: the reading under which most agrees."""
        changes, gained = _better_readings(self.lesson.name)
        if not changes:
            return ()
        said = [self.say("change", name=math(c.id), meant=math(c.meant), printed=math(c.printed)) for c in changes]
        return (self.say("reading", changes=self.say("comma").join(said), count=gained),)

    def place(self, place: str) -> str:
        """Where something stands: "slides 10 and 11", "question 3, back propagation"."""
        return self.say("comma").join(self.place_part(part) for part in place.split(", "))

    def place_part(self, part: str) -> str:
        if part == "back propagation":
            return self.say("place.back")
        match = re.fullmatch(r"(page|slide|step|question) (.+)|slides (\d+) and (\d+)", part)
        assert match, part
        if match[3]:
            return self.say("place.slides", first=match[3], last=match[4])
        return self.say(f"place.{match[1]}", first=math(match[2]) if '"' in match[2] else match[2])


def _item_of(finding: Finding) -> str:
    return re.split(r"[.\[]", finding.label, maxsplit=1)[0]


# ---- for a terminal ----------------------------------------------------------------------------------------


def text(taught: Taught, digits: str = "latin") -> str:
    """A lesson as plain text."""
    say = Prose(taught.language, "notes", digits)
    lines = [taught.title, "=" * len(taught.title)]
    for number, example in enumerate(taught.examples, 1):
        lines += ["", say.set(f"{number}. {example.title}  (`{taught.name} {example.id}`)"), ""]
        lines += [*say.wrap(example.about, "   "), ""]
        for entry in example.entries:
            lines += _entry(entry, say)
        lines += [f"   {example.result}"] if example.result else []
    if taught.causes:
        lines += ["", say("first_wrong"), ""]
        for cause in taught.causes:
            lines.append(f"   {_sides(cause, say)}")
            lines += [*say.wrap(cause.says, "      "), *say.wrap(cause.follows, "      ")]
    if len(taught.examples) > 1:
        lines += ["", *say.wrap(taught.summary)]
    return "\n".join([*lines, *(line for remark in taught.remarks for line in say.wrap(remark))]) + "\n"


def _entry(entry: Entry, say: Prose) -> list[str]:
    lines = say.wrap(f"{entry.place}: {entry.what}  ({say.set(math(entry.id))})", "   ")
    if entry.original:
        lines += say.wrap(f"\u00ab{entry.original}\u00bb", "      ")
    lines += [f"      {line}" for line in _aligned(entry.stated)]
    for remark in entry.remarks:
        lines += say.wrap(remark, "      ")
    wrong = [judged for judged in entry.judged if judged.verdict != "agrees"]
    for judged in wrong:
        lines.append(f"      {_sides(judged, say)}")
        lines += say.wrap(judged.says, "         ")
    if entry.judged and not wrong:
        lines.append(f"      {' / '.join(dict.fromkeys(judged.says for judged in entry.judged))}")
    return [*lines, ""]


def _sides(judged: Judged | Cause, say: Prose) -> str:
    """What is stated beside what is true; the latter is already set where it is more than a number."""
    true = say.set(math(judged.true)) if re.fullmatch(r"[\w\s.,+*/-]*", judged.true) else judged.true
    stated = f"{say('stated')} {say.set(math(judged.stated))}"
    return f"{say.set(math(judged.name))}: {stated}{say('comma')}{say('true')} {true}"


def _aligned(rows: tuple[tuple[str, ...], ...]) -> list[str]:
    """Rows of texts in columns."""
    if len(rows) == 1:
        return ["   ".join(rows[0])] if sum(map(len, rows[0])) < 90 else list(rows[0])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
