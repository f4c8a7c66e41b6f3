"""What a check finds: for every stated thing what is true, whether it agrees, where a deviation began."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pellucid.languages import Prose, math

Verdict = Literal["agrees", "deviates", "follows from an earlier slip"]

# Why the verdict was given. The first three refine "agrees", the next two "deviates", the last two "follows".
Reason = Literal["exact", "rounded", "truncated", "slip", "formula", "earlier slip", "earlier rounding"]

# What may have happened, found by trying it: see slips.py.
Slip = Literal[
    "base-10 logarithm",
    "exponential left out",
    "factor used twice",
    "sign",
    "decimal point",
    "digits exchanged",
    "one digit",
    "digit missing",
    "digit too many",
]


@dataclass(frozen=True)
class Phrase:
    """A sentence of the catalogue `findings`, by its key, with what fills its gaps."""

    key: str
    values: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(key: str, **values: object) -> Phrase:
        """A phrase; numbers, names and formulas in its gaps are mathematics in every language."""
        return Phrase(key, tuple((name, math(value)) for name, value in values.items()))

    def say(self, prose: Prose) -> str:
        """The sentence in a language."""
        return prose(self.key, **dict(self.values))


ENGLISH = Prose("en", "findings")


@dataclass(frozen=True)
class Finding:
    """One stated number, sum, formula or sentence, judged.

    ``stated`` is the printed text, ``true`` the computed value written beside it; where that is no number, ``outcome``
    says it in words. ``given`` is what the right rule yields from the earlier numbers as printed. ``causes`` are the
    ids of the first wrong (or rounded) numbers behind a deviation, in the order of the notes; ``slips`` what
    reproduces the stated number; ``details`` what else is known about it.
    """

    id: str
    place: str
    what: str
    stated: str
    true: str
    verdict: Verdict
    reason: Reason
    causes: tuple[str, ...] = ()
    slips: tuple[Slip, ...] = ()
    given: str = ""
    details: tuple[Phrase, ...] = ()
    outcome: Phrase | None = None
    note: str = ""

    @property
    def first_cause(self) -> str | None:
        """The id of the earliest number or formula behind the deviation; its own when that is this one."""
        return self.causes[0] if self.causes else None

    @property
    def label(self) -> str:
        """The name of the number within its notes."""
        return self.id.partition(".")[2]

    @property
    def detail(self) -> str:
        """What else is known about a deviation, in English."""
        return "; ".join(phrase.say(ENGLISH) for phrase in self.details)

    @property
    def text(self) -> str:
        """The judgement as one English sentence."""
        return self.say(ENGLISH)

    def say(self, prose: Prose) -> str:
        """The judgement as one sentence; `prose` is of the subject `findings`."""
        if self.verdict == "agrees":
            return prose(f"agrees.{self.reason}")
        if self.verdict == "deviates":
            return prose("then").join(self._deviation(prose))
        return prose(
            "follows.slip" if self.reason == "earlier slip" else "follows.rounding", causes=self._causes(prose)
        )

    def _deviation(self, prose: Prose) -> list[str]:
        if self.reason == "formula" and self.causes != (self.id,):
            return [prose("wrong.formula", causes=self._causes(prose))]
        details = [phrase.say(prose) for phrase in self.details]
        if self.reason == "formula":
            return [prose("wrong.because", why=prose("then").join(details))]
        parts = [prose("wrong.here" if self.given else "wrong")]
        if self.given and self.given != self.true:
            parts.append(prose("wrong.given", given=math(self.given)))
        return [*parts, *details, *(prose(f"slip.{slip}") for slip in self.slips)]

    def _causes(self, prose: Prose) -> str:
        shown = [math(cause.partition(".")[2]) for cause in self.causes]
        names = prose("comma").join(shown[:3])
        return names if len(shown) <= 3 else prose("and_more", names=names, count=len(shown) - 3)


def following(findings: Iterable[Finding], cause: str) -> list[Finding]:
    """The later findings that deviate because of one: those that name its id among their causes."""
    return [finding for finding in findings if cause in finding.causes and finding.id != cause]
