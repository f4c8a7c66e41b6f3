"""The findings as a table to read: counts for each set of notes, then every place that does not agree.

The text is Markdown that also reads well as it is. Numbers that only repeat what an earlier number made wrong
are gathered by item, so that the first causes stand out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from pellucid.languages import Prose
from pellucid.lessons.findings import Finding
from pellucid.lessons.lesson import Lesson

_HEAD = ("notes", "stated", "agree", "of these truncated", "deviate", "follow a slip", "follow a rounding")


def report(findings: Iterable[Finding]) -> str:
    """Write a report on the findings of one or several lessons, in the order given."""
    lessons = {name: list(group) for name, group in groupby(findings, key=_lesson)}
    rows = [_counts(name, found) for name, found in lessons.items()]
    blocks = [_table(_HEAD, rows)]
    for name, found in lessons.items():
        if wrong := [finding for finding in found if finding.verdict != "agrees"]:
            blocks.append(f"### {name}\n\n{_table(('where', 'item', 'stated', 'true', 'finding'), _rows(wrong))}")
    return "\n\n".join(blocks) + "\n"


def remarks(lesson: Lesson) -> list[str]:
    """Say what the findings leave out: open questions answered, what cannot be checked, better readings."""
    sentences = [f"{name}: asked without an answer; it is {answer}." for name, answer in lesson.answers().items()]
    for item in lesson.unchecked():
        why = "a fact from outside" if item.kind == "fact" else "unreadable in the scan"
        sentences.append(f"{item.id}: not checked, {why}.")
    changes, gained = lesson.better_readings()
    if changes:
        read = ", ".join(f"{change.id} as {change.meant} (printed {change.printed})" for change in changes)
        sentences.append(f"Reading {read}, where the scan is doubtful, makes {gained} more numbers agree.")
    return sentences


def coverage(lessons: Iterable[Lesson]) -> str:
    """Every worked example of the notes: where it stands, and the items that cover it."""
    rows = []
    for lesson in lessons:
        items = {item.id: item for item in lesson.notes.items}
        for name, held in lesson.notes.examples.items():
            places = dict.fromkeys(items[one].place for one in held)
            title = Prose("en", "notes")(f"{lesson.name}/{name}")
            rows.append((f"`{lesson.name} {name}`", title, "; ".join(places), ", ".join(held)))
    return _table(("example", "what it is", "where", "items"), rows)


def _lesson(finding: Finding) -> str:
    return finding.id.partition(".")[0]


def _counts(name: str, found: list[Finding]) -> tuple[str, ...]:
    reasons = [finding.reason for finding in found]
    counts = (
        len(found),
        sum(finding.verdict == "agrees" for finding in found),
        reasons.count("truncated"),
        sum(finding.verdict == "deviates" for finding in found),
        reasons.count("earlier slip"),
        reasons.count("earlier rounding"),
    )
    return (name, *map(str, counts))


def _rows(wrong: list[Finding]) -> list[tuple[str, ...]]:
    """One row for each wrong number, one for all numbers of an item that only follow."""
    rows = []
    for (item, place, reason), group in groupby(wrong, key=_kind):
        found = list(group)
        if len(found) == 1 or reason not in ("earlier slip", "earlier rounding"):
            rows += [_row(finding) for finding in found]
            continue
        causes = dict.fromkeys(cause for finding in found for cause in finding.causes)
        together = replace(found[0], causes=tuple(causes))
        label = f"{item}: {len(found)} numbers"
        rows.append((place, label, f"`{found[0].stated}`, ...", f"{found[0].true}, ...", together.text))
    return rows


def _kind(finding: Finding) -> tuple[str, str, str]:
    return _name(finding).partition("[")[0], finding.place, finding.reason


def _name(finding: Finding) -> str:
    return finding.id.partition(".")[2]


def _row(finding: Finding) -> tuple[str, ...]:
    text = f"{finding.text}. {finding.note}" if finding.note else finding.text
    return finding.place, _name(finding), f"`{finding.stated}`", finding.true, text


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
