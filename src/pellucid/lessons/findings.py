"""What a check finds: for every stated thing what is true, whether it agrees, where a deviation began."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

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

SLIP_TEXT: dict[Slip, str] = {
    "base-10 logarithm": "it comes out with a base-10 logarithm in place of the natural one",
    "exponential left out": "it comes out when the exponential is left out",
    "factor used twice": "it comes out when one factor is multiplied twice",
    "sign": "the sign is wrong",
    "decimal point": "the decimal point is misplaced",
    "digits exchanged": "two neighbouring digits are exchanged",
    "one digit": "one digit is wrong",
    "digit missing": "one digit is missing",
    "digit too many": "one digit is too many",
}


@dataclass(frozen=True)
class Finding:
    """One stated number, sum, formula or sentence, judged.

    ``stated`` is the printed text, ``true`` the computed value written beside it. ``given`` is what the right
    rule yields from the earlier numbers as printed. ``causes`` are the ids of the first wrong (or rounded)
    numbers behind a deviation, in the order of the notes; ``slips`` what reproduces the stated number.
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
    detail: str = ""
    note: str = ""

    @property
    def first_cause(self) -> str | None:
        """The id of the earliest number or formula behind the deviation; its own when that is this one."""
        return self.causes[0] if self.causes else None

    @property
    def text(self) -> str:
        """The judgement as one English sentence."""
        if self.verdict == "agrees":
            return "agrees" if self.reason == "exact" else f"agrees ({self.reason})"
        if self.verdict == "deviates":
            return self._deviation()
        if self.reason == "earlier slip":
            return f"right for the numbers printed before it; first cause: {self._causes()}"
        return f"right for the rounded numbers printed before it: {self._causes()}"

    def _deviation(self) -> str:
        if self.reason == "formula" and self.causes != (self.id,):
            return f"what the formula printed for it gives, but that is wrong: {self._causes()}"
        if self.reason == "formula":
            return f"wrong: {self.detail}"
        parts = ["goes wrong here" if self.given else "wrong"]
        if self.given and self.given != self.true:
            parts.append(f"the numbers printed before it give {self.given}")
        parts += [self.detail] if self.detail else []
        parts += [SLIP_TEXT[slip] for slip in self.slips]
        return "; ".join(parts)

    def _causes(self) -> str:
        shown = [cause.partition(".")[2] for cause in self.causes]
        return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def following(findings: Iterable[Finding], cause: str) -> list[Finding]:
    """The later findings that deviate because of one: those that name its id among their causes."""
    return [finding for finding in findings if cause in finding.causes and finding.id != cause]
