"""A lesson: one set of notes, every worked example in it, and what is found when all of it is computed."""

import itertools
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from pellucid.errors import UsageError
from pellucid.languages import Prose
from pellucid.lessons import architecture, channels, exercise, slides, training
from pellucid.lessons.examination import Examination
from pellucid.lessons.findings import Finding
from pellucid.lessons.items import Item, Notes, load
from pellucid.lessons.printed import show
from pellucid.lessons.workings import UNCHECKED, Step, Workings

_STEPS: dict[str, tuple[Step, ...]] = {
    "channels": channels.STEPS,
    "training": training.STEPS,
    "architecture": architecture.STEPS,
    "exercise": exercise.STEPS,
    "slides": slides.STEPS,
}


@dataclass(frozen=True)
class Reading:
    """A doubtful text read otherwise: where, what is printed, what it may say instead."""

    id: str
    printed: str
    meant: str


@dataclass(frozen=True)
class Lesson:
    """One set of notes as executable documentation."""

    notes: Notes
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """Short name of the notes."""
        return self.notes.name

    @property
    def title(self) -> str:
        """What the notes are about, in English."""
        return Prose("en", "notes")(self.name)

    def check(self) -> list[Finding]:
        """Compute everything the notes state, and judge each number, sum, formula and statement."""
        return Examination(Workings(self.notes, self.steps)).findings()

    def true(self, name: str) -> Any:
        """What the product computes for an item or a step: numbers, sums of products, or a comparison."""
        return Workings(self.notes, self.steps).true(name)

    def answers(self) -> dict[str, str]:
        """What the product answers to the questions the notes ask without printing an answer, by item id."""
        workings = Workings(self.notes, self.steps)
        questions = [item.id for item in self.notes.items if item.kind == "question"]
        return {name: " x ".join(show(float(n)) for n in workings.true(name).ravel()) for name in questions}

    def unchecked(self) -> list[Item]:
        """The stated items that cannot be checked: facts from outside, and what the scan made unreadable."""
        return [item for item in self.notes.items if item.kind in UNCHECKED]

    def better_readings(self) -> tuple[list[Reading], int]:
        """Read the doubtful texts so that most stated numbers agree, with as few changes as that takes.

        Returns the changes, and how many more numbers then agree (none and 0 when what is printed is best).
        Examples that have nothing to do with each other are read independently.
        """
        workings = Workings(self.notes, self.steps)
        groups: dict[frozenset[str], list[Reading]] = {}
        for item in self.notes.items:
            for k, text in enumerate(item.stated):
                for meant in item.doubtful.get(text, ()):
                    related = groups.setdefault(frozenset(workings.related(item.id)), [])
                    related.append(Reading(item.label(k), text, meant))
        chosen: list[Reading] = []
        gained = 0
        for related_items, doubts in groups.items():
            changes, more = self._best(doubts, related_items)
            chosen += changes
            gained += more
        return chosen, gained

    def _best(self, doubts: list[Reading], items: frozenset[str]) -> tuple[tuple[Reading, ...], int]:
        before = best = self._agreeing((), items)
        chosen: tuple[Reading, ...] = ()
        for count in range(1, len(doubts) + 1):
            for changes in itertools.combinations(doubts, count):
                agreeing = self._agreeing(changes, items)
                if agreeing > best:
                    best, chosen = agreeing, changes
        return chosen, best - before

    def _agreeing(self, changes: tuple[Reading, ...], items: frozenset[str]) -> int:
        examination = Examination(Workings(_reread(self.notes, changes), self.steps))
        return sum(finding.verdict == "agrees" for finding in examination.findings(items))


def names() -> tuple[str, ...]:
    """The short names of the five sets of notes, in their order."""
    return tuple(_STEPS)


def lesson(name: str) -> Lesson:
    """Load one set of notes by its short name.

    Raises UsageError when there is none of that name.
    """
    if name not in _STEPS:
        raise UsageError(f'There are no notes called "{name}"; choose one of {", ".join(names())}.')
    file = resources.files("pellucid.lessons") / "notes" / f"{name}.toml"
    return Lesson(_described(load(file)), _STEPS[name])


def _described(notes: Notes) -> Notes:
    """Say what each item is about, in English; `teaching` says it in the other languages."""
    say = Prose("en", "notes")
    items = (
        replace(item, what=say(f"{notes.name}.{item.id}"), note=_note(say, f"{notes.name}.{item.id}.note"))
        for item in notes.items
    )
    return replace(notes, items=tuple(items))


def _reread(notes: Notes, changes: tuple[Reading, ...]) -> Notes:
    meant = {change.id: change.meant for change in changes}
    items = tuple(
        replace(item, stated=tuple(meant.get(item.label(k), text) for k, text in enumerate(item.stated)))
        for item in notes.items
    )
    return replace(notes, items=items)


def _note(say: Prose, key: str) -> str:
    return say(key) if say.knows(key) else ""
