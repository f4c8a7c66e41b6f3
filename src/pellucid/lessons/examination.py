"""Judging an example: does each stated thing hold, and if not, did the slip happen here or earlier?

A number that is not true but is what the right rule gives from the earlier numbers as printed is right given
an earlier slip. The slip is found by correcting the earlier numbers one at a time and watching which of them
move it.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from functools import partial

from pellucid.lessons import slips
from pellucid.lessons.findings import ENGLISH, Finding, Phrase, Reason
from pellucid.lessons.items import Item
from pellucid.lessons.printed import Precision, Printed, agreement, readings, show
from pellucid.lessons.sums import Sum, parse
from pellucid.lessons.workings import UNCHECKED, Array, Comparison, Workings, close, expressions, formula_name

Recompute = Callable[[Mapping[str, Array]], float]

_GIVES_THE_TRUE_VALUES = Phrase.of("gives_the_true_values")


@dataclass(frozen=True)
class _Standing:
    """A judged number, and the first causes it hands on to the numbers computed from it."""

    finding: Finding
    slip_roots: tuple[str, ...] = ()
    rounding_roots: tuple[str, ...] = ()


class Examination:
    """Judges every item of a set of notes against the workings that compute it.

    A `strict` judge wants rounding: digits that are only cut off are wrong.
    """

    def __init__(self, workings: Workings, *, strict: bool = False) -> None:
        self.workings = workings
        self.strict = strict
        self._standings: dict[str, list[_Standing]] = {}
        self._order: dict[str, int] = {}  # of what was judged: its id, and its item's place

    def findings(self, only: Container[str] | None = None) -> list[Finding]:
        """Judge what is stated (by some items only), in the order of the notes."""
        found: list[Finding] = []
        for item in self.workings.notes.items:
            if item.kind in UNCHECKED or item.given or (only is not None and item.id not in only):
                continue
            found += [self._formula(item, which) for which in range(len(item.formula))]
            if item.kind == "sum":
                found += self._sums(item)
            elif item.kind == "statement":
                found.append(self._statement(item))
            elif item.kind == "number":
                found += [standing.finding for standing in self._numbers(item) if standing.finding.stated]
        return found

    # ---- numbers -------------------------------------------------------------------------------------------

    def _numbers(self, item: Item) -> list[_Standing]:
        if item.id not in self._standings:
            self._standings[item.id] = [self._number(item, k) for k in range(len(item.stated))]
        return self._standings[item.id]

    def _number(self, item: Item, k: int) -> _Standing:
        printed = self.workings.printed(item)[k]
        true = float(self.workings.true(item.id).ravel()[k])
        given = float(self.workings.from_stated(item.id).ravel()[k])
        finding = self._finding(item, k, printed.text, show(true, printed), given=show(given, printed))
        if not printed.text:  # not stated: what is wrong before it reaches on through it
            return _Standing(finding)
        if precision := self._agreement(printed, true):
            roots = () if precision == "exact" else (finding.id,)
            return _Standing(replace(finding, reason=precision), (), roots)
        if self._agreement(printed, given):
            return self._follows(finding, item, k, partial(self._from_corrected, item, k))
        return self._as_written(finding, item, k, printed) or self._slip(finding, item, k, printed, given, true)

    def _agreement(self, printed: Printed, value: float) -> Precision | None:
        precision = agreement(printed, value)
        return None if self.strict and precision == "truncated" and not printed.open_ended else precision

    def _as_written(self, finding: Finding, item: Item, k: int, printed: Printed) -> _Standing | None:
        """Judge a number that what is printed beside it yields, though the right rule does not."""
        for name, text in expressions(item, k).items():
            if not agreement(printed, self.workings.evaluate(item, k, text)):
                continue
            if name != "written" and self.workings.formula_holds(item, 0 if len(item.formula) == 1 else k):
                return self._follows(finding, item, k, partial(self.workings.evaluate, item, k, text))
            cause = finding.id if name == "written" else self._id(f"{item.id}.{name}")
            self._order[cause] = self.workings.order[item.id]
            details = (Phrase.of("as_is", text=text),)
            wrong = replace(finding, verdict="deviates", reason="formula", causes=(cause,), details=details)
            return _Standing(wrong, (cause,))
        return None

    def _slip(self, finding: Finding, item: Item, k: int, printed: Printed, given: float, true: float) -> _Standing:
        """Judge a first wrong number: say how far off it is, and which slip would explain it."""
        meant = [slips.Candidate(given), slips.Candidate(true)]
        for text in expressions(item, k).values():
            meant += slips.candidates(
                text, lambda variant, functions: self.workings.evaluate(item, k, variant, functions=functions)
            )
        found = slips.explain(printed, meant, approximate=item.approximate)
        details = _last_digits(printed, given)
        if written := expressions(item, k).get("written"):
            value = show(self.workings.evaluate(item, k, written), printed)
            details += (Phrase.of("calculation", value=value),) if value != finding.given else ()
        wrong = replace(finding, verdict="deviates", reason="slip", causes=(finding.id,), slips=found)
        return _Standing(replace(wrong, details=details), (finding.id,))

    def _follows(self, finding: Finding, item: Item, k: int, recompute: Recompute) -> _Standing:
        slip_roots, rounding_roots = self._roots(item, k, recompute)
        finding = replace(
            finding,
            verdict="follows from an earlier slip",
            reason="earlier slip" if slip_roots else "earlier rounding",
            causes=slip_roots or rounding_roots,
        )
        return _Standing(finding, slip_roots, rounding_roots)

    def _from_corrected(self, item: Item, k: int, corrected: Mapping[str, Array]) -> float:
        return float(self.workings.from_stated(item.id, corrected).ravel()[k])

    def _roots(self, item: Item, k: int, recompute: Recompute) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Correct the earlier numbers one at a time; those that move this one hand on their first causes."""
        before = recompute({})
        slip_roots: dict[str, None] = {}
        rounding_roots: dict[str, None] = {}
        for earlier in self.workings.earlier(item, k):
            if self.workings.items[earlier].given:
                continue
            stated, true = self.workings.stated(earlier), self.workings.true(earlier)
            for j, standing in enumerate(self._numbers(self.workings.items[earlier])):
                corrected = stated.copy()
                corrected.flat[j] = true.flat[j]
                if not close(recompute({earlier: corrected}), before):
                    slip_roots.update(dict.fromkeys(standing.slip_roots))
                    rounding_roots.update(dict.fromkeys(standing.rounding_roots))
        return self._in_order(slip_roots), self._in_order(rounding_roots)

    # ---- formulas, sums of products, statements ------------------------------------------------------------

    def _formula(self, item: Item, which: int) -> Finding:
        values = self.workings.formula_values(item, which)
        wrong = [(k, value, true) for k, value, true in values if not close(value, true)]
        name = self._id(f"{item.id}.{formula_name(item, which)}")
        self._order[name] = self.workings.order[item.id]
        finding = Finding(
            id=name,
            place=item.place,
            what=f"formula: {item.what}",
            stated=item.formula[which],
            true=_GIVES_THE_TRUE_VALUES.say(ENGLISH),
            verdict="agrees",
            reason="exact",
            outcome=_GIVES_THE_TRUE_VALUES,
            note=item.note,
        )
        if not wrong:
            return finding
        k, value, true = wrong[0]
        label = item.label(k, self.workings.true(item.id).shape)
        details = [Phrase.of("gives_instead", label=label, value=f"{value:.5g}", true=f"{true:.5g}")]
        if len(values) > 1:
            details.append(Phrase.of("wrong_for", count=len(wrong), total=len(values)))
        outcome = Phrase.of("true_for", true=f"{true:.5g}", label=label)
        return _deviates(replace(finding, true=outcome.say(ENGLISH), outcome=outcome), "formula", *details)

    def _sums(self, item: Item) -> list[Finding]:
        true_sums: list[Sum] = list(self.workings.true(item.id))
        return [self._sum(item, k, true) for k, true in enumerate(true_sums)]

    def _sum(self, item: Item, k: int, true: Sum) -> Finding:
        options = [parse(reading) for reading in readings(item.stated[k], item.glyphs)]
        finding = self._finding(item, k, item.stated[k], str(true))
        if true in options:
            return finding
        lacking, excess = options[0].difference(true)
        details = [Phrase.of("lacks", terms=lacking)] if lacking.terms else []
        details += [Phrase.of("has_wrongly", terms=excess)] if excess.terms else []
        return _deviates(finding, "slip", *details)

    def _statement(self, item: Item) -> Finding:
        comparison: Comparison = self.workings.true(item.id)
        outcome = Phrase.of("holds" if comparison.holds else "does_not_hold")
        finding = self._finding(replace(item, shape=()), 0, " ".join(item.stated), outcome.say(ENGLISH))
        finding = replace(finding, outcome=outcome)
        if comparison.holds:
            return finding
        return _deviates(finding, "formula", Phrase.of("sides_differ", difference=f"{comparison.difference:.2g}"))

    # ---- names ---------------------------------------------------------------------------------------------

    def _finding(self, item: Item, k: int, stated: str, true: str, given: str = "") -> Finding:
        name = self._id(item.label(k, item.shape))
        self._order[name] = self.workings.order[item.id]
        return Finding(name, item.place, item.what, stated, true, "agrees", "exact", given=given, note=item.note)

    def _id(self, label: str) -> str:
        return f"{self.workings.notes.name}.{label}"

    def _in_order(self, roots: Mapping[str, None]) -> tuple[str, ...]:
        return tuple(sorted(roots, key=lambda root: self._order[root]))


def _deviates(finding: Finding, reason: Reason, *details: Phrase) -> Finding:
    return replace(finding, verdict="deviates", reason=reason, causes=(finding.id,), details=details)


def _last_digits(printed: Printed, given: float) -> tuple[Phrase, ...]:
    """Say how far a wrong number is off when that is only a matter of its last digits."""
    if not printed.place or printed.figures < 3:
        return ()
    units = abs(printed.value - given) / printed.place
    return (Phrase.of("last_digits", units=f"{units:.1f}"),) if units < 10 else ()
