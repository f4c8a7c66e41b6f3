"""A document as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pellucid.explain.document import Document, Opening, Row, Sum
from pellucid.explain.render.styles import PLAIN
from pellucid.explain.render.words import Words

Paint = Callable[[str, str], str]
"""Colours a piece of text by what it is: "value", "label", "indices" or "note"."""


def unpainted(_: str, text: str) -> str:
    """No colours."""
    return text


def render(document: Document, words: Words, paint: Paint = unpainted) -> str:
    """The number, its equation, sums and arithmetic, what proves it, and the numbers opened further."""
    writer = _Writer(words, paint)
    lines = list(writer.opening(document.opening))
    lines += writer.proof(document)
    if document.further:
        lines += ["", paint("label", words("opened_further")), ""]
        for number, opening in enumerate(document.further):
            lines += [*([""] if number else []), *writer.opening(opening)]
    if document.unopened:
        lines += ["", words.counted("unopened", document.unopened)]
    return "\n".join(lines) + "\n"


class _Writer:
    def __init__(self, words: Words, paint: Paint) -> None:
        self.words, self.paint = words, paint
        self.width = max(len(words(key)) for key in ("equation", "at", "here", "result")) + 2

    def labelled(self, key: str, formula: str, after: str = "") -> str:
        label = self.words(key)
        padded = self.paint("label", label) + " " * (self.width - len(label))
        return f"{padded}{self.words.apart(formula)}{after}"

    def opening(self, opening: Opening) -> Iterator[str]:
        apart, paint = self.words.apart, self.paint
        yield apart(f"{PLAIN.write(opening.element)} = {paint('value', opening.value.written)}")
        yield ""
        if opening.equation is not None and opening.here is not None:
            part = opening.parts > 1
            after = f"   ({self.words('part', part=opening.part + 1, parts=opening.parts)})" if part else ""
            yield self.labelled("equation", str(opening.equation), after)
            if opening.indices:
                yield self.labelled("at", " ".join(f"{name}={value}" for name, value in opening.indices))
            yield self.labelled("here", PLAIN.write(opening.here))
            for total in opening.sums:
                yield ""
                yield from self.sum(total)
            yield ""
            yield self.labelled("result", self.result(opening))
            if opening.result is not None and opening.result != opening.value:
                yield " " * self.width + apart(f"= {paint('value', opening.value.written)}")
        if opening.notes and opening.equation is not None:
            yield ""
        yield from (paint("note", self.words.note(note)) for note in opening.notes)

    def result(self, opening: Opening) -> str:
        if opening.result is None or opening.result == opening.value:
            return self.paint("value", opening.value.written)
        return PLAIN.write(opening.result)

    def sum(self, total: Sum, indent: str = "") -> Iterator[str]:
        """How many terms, a row for each term shown, what the others come to, the value."""
        words, apart = self.words, self.words.apart
        if total.named is not None:
            yield indent + apart(PLAIN.write(total.named))
        yield (
            indent
            + words.counted("terms" if total.kind == "sum" else "candidates", total.size)
            + (words("largest_shown", count=len(total.rows)) if total.folded else "")
        )
        cells = [self._cells(row) for row in total.rows]
        widths = [max((len(row[k]) for row in cells), default=0) for k in range(2)]
        for row, (point, body, value) in zip(total.rows, cells, strict=True):
            at = self.paint("indices", point) + " " * (widths[0] - len(point))
            outside = f" ({words('outside')})" if row.outside else ""
            yield indent + "  " + apart(f"{at}  {body:{widths[1]}}  = {value}") + outside
            for inner in row.sums:
                yield from self.sum(inner, indent + "    ")
        if total.folded:
            others = self._others(total)
            sign = "<=" if total.kind != "sum" else "="
            gap = " " * max(sum(widths) + 2 - len(others), 0)
            yield f"{indent}  {others}{gap}  {apart(f'{sign} {total.remainder.written}')}"
        yield f"{indent}  {words(f'value_{total.kind}')} {apart(f'= {total.value.written}')}"

    def _cells(self, row: Row) -> tuple[str, str, str]:
        point = " ".join(f"{name}={value}" for name, value in row.point)
        named = PLAIN.write(row.named)
        body = named if row.numbers is None else f"{named} = {PLAIN.write(row.numbers)}"
        return point, body, row.value.written

    def _others(self, total: Sum) -> str:
        others = self.words.counted("others", total.folded)
        if total.kind != "sum" or not total.zeros:
            return others
        every = total.zeros == total.folded
        return others + (self.words("all_zero") if every else self.words("some_zero", count=total.zeros))

    def proof(self, document: Document) -> Iterator[str]:
        if document.scatter is not None and document.agreement is not None:
            yield ""
            yield self.paint("label", self.words("scatter"))
            yield from self.sum(document.scatter)
            yield self.words.agreement(document.agreement)
        if document.facts:
            yield ""
            yield self.paint("label", self.words("proof"))
        for fact in document.facts:
            value = f"= {fact.value.written}"
            formula = value if fact.expression is None else f"= {PLAIN.write(fact.expression)} {value}"
            yield f"  {self.words(fact.key)} {self.words.apart(formula)}"
