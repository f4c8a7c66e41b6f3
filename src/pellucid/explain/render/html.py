"""A document as one HTML file: nothing is fetched, every part opens by mouse and by keyboard, formulas are MathML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from itertools import chain

from pellucid.explain.document import Document, Opening, Row, Sum
from pellucid.explain.field import Field
from pellucid.explain.render import picture
from pellucid.explain.render.mathml import MATHML, math
from pellucid.explain.render.speech import Speech
from pellucid.explain.render.styles import PLAIN
from pellucid.explain.render.terminal import caption
from pellucid.explain.render.words import Words
from pellucid.notation import Expression


def page(document: Document, words: Words) -> str:
    """A whole page."""
    title = f"{document.opening.element.name} = {document.opening.value.written}"
    head = (
        f'<!DOCTYPE html>\n<html lang="{words.code}" dir="{words.direction}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style()}</style>\n</head>\n<body>\n<main>\n"
    )
    return f"{head}{fragment(document, words, heading='h1')}\n</main>\n</body>\n</html>\n"


def notebook(document: Document, words: Words) -> str:
    """The same as part of another page, in the style of this package."""
    inside = fragment(document, words, heading="h3")
    return (
        f'<style>\n{style()}</style>\n<div class="pellucid" lang="{words.code}" dir="{words.direction}">{inside}</div>'
    )


def style() -> str:
    """The style sheet; everything in it applies below `main` or `.pellucid`."""
    return (files("pellucid.explain.render") / "page.css").read_text(encoding="utf-8")


def fragment(document: Document, words: Words, heading: str) -> str:
    """The explanation itself."""
    return "\n".join(_Writer(words).document(document, heading))


def _title(opening: Opening) -> str:
    """A number's name and value as text, since not every reader takes a formula for a name."""
    return f'<code dir="ltr">{escape(PLAIN.write(opening.element))} = {escape(opening.value.written)}</code>'


class _Writer:
    def __init__(self, words: Words) -> None:
        self.words, self.speech = words, Speech(words.speech)

    def formula(self, *sides: Expression, relation: str = "=") -> str:
        """An expression, or an equation whose sides may stand on lines of their own where the page is narrow."""
        said = self.words.speech("equal")
        written = [math(MATHML.write(sides[0]), self.speech.write(sides[0]))]
        for side in sides[1:]:
            inside = f"<mrow><mo>{escape(relation)}</mo>{MATHML.write(side)}</mrow>"
            written.append(math(inside, f"{said} {self.speech.write(side)}"))
        return " ".join(written)

    def line(self, label: str, formula: str) -> str:
        return self.scrolling(label or self.words("formula"), f"{self.label(label)}{formula}")

    def label(self, label: str) -> str:
        return f'<span class="label">{escape(label)}</span> ' if label else ""

    def scrolling(self, name: str, inside: str) -> str:
        """What scrolls by itself where the page is narrow; so it must be reached by the keyboard, and have a name."""
        return f'<div class="line" dir="ltr" tabindex="0" role="group" aria-label="{escape(name)}">{inside}</div>'

    def document(self, document: Document, heading: str) -> Iterator[str]:
        yield f"<{heading}>{_title(document.opening)}</{heading}>"
        yield from self.opening(document.opening)
        for field in document.fields:
            yield self.field(field)
        if document.scatter is not None and document.agreement is not None:
            equal = escape(self.words.agreement(document.agreement))
            inside = chain(self.sum(document.scatter), [f"<p>{equal}</p>"])
            yield self.details(escape(self.words("scatter")), inside, open_now=False)
        if document.facts:
            yield self.details(escape(self.words("proof")), self.facts(document), open_now=True)
        for opening in document.further:
            yield self.details_of(opening)
        if document.unopened:
            yield f"<p>{escape(self.words.counted('unopened', document.unopened))}</p>"

    def facts(self, document: Document) -> Iterator[str]:
        for fact in document.facts:
            sides = (fact.value,) if fact.expression is None else (fact.expression, fact.value)
            yield self.line(self.words(fact.key), self.formula(*sides))

    def details(self, summary: str, inside: Iterable[str], *, open_now: bool) -> str:
        state = " open" if open_now else ""
        return f"<details{state}><summary>{summary}</summary>\n" + "\n".join(inside) + "\n</details>"

    def details_of(self, opening: Opening) -> str:
        return self.details(_title(opening), self.opening(opening), open_now=False)

    def opening(self, opening: Opening) -> Iterator[str]:
        words = self.words
        if opening.equation is not None and opening.here is not None:
            label = words("equation")
            if opening.parts > 1:
                label += f" ({words('part', part=opening.part + 1, parts=opening.parts)})"
            yield self.line(label, self.formula(opening.equation.left, opening.equation.value))
            if opening.indices:
                at = " ".join(f"{name}={value}" for name, value in opening.indices)
                yield self.line(words("at"), f"<code>{escape(at)}</code>")
            yield self.line(words("here"), self.formula(opening.here))
        for total in opening.sums:
            yield self.details(self.heading(total), self.sum(total), open_now=True)
        if opening.result is not None and opening.result != opening.value:
            yield self.line(words("result"), self.formula(opening.result, opening.value))
        for note in opening.notes:
            yield f"<p>{escape(words.note(note))}</p>"

    def heading(self, total: Sum) -> str:
        words = self.words
        text = words.counted("terms" if total.kind == "sum" else "candidates", total.size)
        return escape(text + (words("largest_shown", count=len(total.rows)) if total.folded else ""))

    def sum(self, total: Sum) -> Iterator[str]:
        words = self.words
        if total.named is not None:
            yield self.line("", self.formula(total.named))
        last = None if total.folded or not total.rows else total.rows[-1]
        rows = [f"<li>{self.row(row, last=row is last)}</li>" for row in total.rows]
        if total.folded:
            relation = "=" if total.kind == "sum" else "≤"
            others = escape(words.counted("others", total.folded))
            rows.append(f"<li><bdi>{others}</bdi> {relation} {self.formula(total.remainder)}</li>")
        value = self.formula(total.value)
        rows.append(f"<li><strong><bdi>{escape(words(f'value_{total.kind}'))}</bdi></strong> = {value}</li>")
        terms = "\n".join(rows)
        yield self.scrolling(self.words("formula"), f'<ul class="terms">\n{terms}\n</ul>')

    def row(self, row: Row, *, last: bool) -> str:
        at = " ".join(f"{name}={value}" for name, value in row.point)
        sides = (row.named, row.value) if row.numbers is None else (row.named, row.numbers, row.value)
        outside = f" (<bdi>{escape(self.words('outside'))}</bdi>)" if row.outside else ""
        if row.partial is not None and not last:
            so_far = f"{escape(self.words('so_far'))}: <span dir='ltr'>{escape(row.partial.written)}</span>"
            outside += f' <span class="partial" dir="auto">{so_far}</span>'
        inner = "".join(self.details(self.heading(s), self.sum(s), open_now=False) for s in row.sums)
        return self.label(at) + self.formula(*sides) + outside + inner

    def field(self, field: Field) -> str:
        """The map with the receptive field framed."""
        rows, columns = field.picture.shape
        (top, bottom), (left, right) = field.box[2:]
        text = escape(caption(field, self.words))
        return (
            f'<figure><svg viewBox="0 0 {columns} {rows}" role="img" aria-label="{text}" class="map">'
            f'<image href="{picture.png(field)}" width="{columns}" height="{rows}"/>'
            f'<rect x="{left}" y="{top}" width="{right - left + 1}" height="{bottom - top + 1}"/>'
            f"</svg><figcaption>{text}</figcaption></figure>"
        )
