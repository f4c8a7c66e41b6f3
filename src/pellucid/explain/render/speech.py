"""Expressions as they are read aloud, and a document as sentences to be heard.

What is grouped is said to be opened and closed, so that a listener, or a reader program, finds the same number.
"""

from __future__ import annotations

from collections.abc import Iterator

from pellucid.explain.document import Document, Opening, Sum
from pellucid.explain.render.words import Words
from pellucid.explain.render.writing import Style
from pellucid.languages import Catalogue
from pellucid.notation import Affine

RELATIONS = {"==": "equal", "!=": "unequal", "<": "less", "<=": "at_most", ">": "greater", ">=": "at_least"}


class Speech(Style):
    """`2.14 times open parenthesis minus 0.131 close parenthesis`, in the words of a language."""

    def __init__(self, say: Catalogue) -> None:
        self.say = say

    def number(self, written: str) -> str:
        if "/" in written:
            return f" {self.say('over')} ".join(written.split("/"))
        if written in ("inf", "nan"):
            return self.say("infinity" if written == "inf" else "not_a_number")
        digits, _, exponent = written.partition("e")
        if not exponent:
            return digits
        minus = f"{self.say('minus')} " if int(exponent) < 0 else ""
        return f"{digits} {self.say('ten_to_the')} {minus}{abs(int(exponent))}"

    def element(self, name: str, at: tuple[Affine, ...], *, symbol: bool = False) -> str:
        prefix = "d" if symbol else "d "
        if name.startswith(prefix) and len(name) > len(prefix):
            name = self.say("gradient_by", name=name.removeprefix(prefix))
        return self.say("element", name=name, at=", ".join(map(self.affine, at))) if at else name

    def affine(self, affine: Affine) -> str:
        words: list[str] = []
        for index, coefficient in affine.terms:
            if coefficient < 0 or words:
                words.append(self.say("minus" if coefficient < 0 else "plus"))
            if abs(coefficient) != 1:
                words.append(f"{abs(coefficient)} {self.say('times')}")
            words.append(index.name)
        if affine.constant or not words:
            if affine.constant < 0 or words:
                words.append(self.say("minus" if affine.constant < 0 else "plus"))
            words.append(str(abs(affine.constant)))
        return " ".join(words)

    def group(self, inside: str) -> str:
        return f"{self.say('open')} {inside} {self.say('close')}"

    def negative(self, inside: str) -> str:
        return f"{self.say('minus')} {inside}"

    def added(self, first: str, rest: list[tuple[bool, str]]) -> str:
        return " ".join([first, *(f"{self.say('minus' if minus else 'plus')} {term}" for minus, term in rest)])

    def product(self, factors: list[str]) -> str:
        return f" {self.say('times')} ".join(factors)

    def quotient(self, numerator: str, denominator: str) -> str:
        return f"{numerator} {self.say('over')} {denominator}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base} {self.say('to_the_power')} {exponent}"

    def call(self, function: str, arguments: list[str]) -> str:
        inside = f" {self.say('comma')} ".join(arguments)
        return f"{function} {self.say('of')} {self.group(inside)}"

    def bracket(self, left: str, relation: str, right: str) -> str:
        return f"{self.say('one_if')} {left} {self.say(RELATIONS[relation])} {right} {self.say('otherwise_zero')}"

    def reduction(self, kind: str, names: list[str], body: str) -> str:
        return self.say(f"{kind}_over", names=", ".join(names), body=body)

    def equals(self, left: str, right: str) -> str:
        return f"{left} {self.say('equal')} {right}"


def render(document: Document, words: Words) -> str:
    """One sentence for each line: the number, its terms, its result, its proof."""
    speaker = _Speaker(words)
    lines = list(speaker.opening(document.opening))
    if document.scatter is not None and document.agreement is not None:
        lines += [f"{words('scatter')}.", *speaker.sum(document.scatter), words.agreement(document.agreement)]
    for fact in document.facts:
        value = speaker.style.write(fact.value)
        said = value if fact.expression is None else speaker.style.equals(speaker.style.write(fact.expression), value)
        lines.append(f"{words(fact.key)}: {said}.")
    for opening in document.further:
        lines += speaker.opening(opening)
    return "\n".join(lines) + "\n"


class _Speaker:
    def __init__(self, words: Words) -> None:
        self.words, self.style = words, Speech(words.speech)

    def opening(self, opening: Opening) -> Iterator[str]:
        write = self.style.write
        yield f"{self.style.equals(write(opening.element), write(opening.value))}."
        if opening.here is not None:
            yield f"{self.words('here')}: {write(opening.here)}."
        for total in opening.sums:
            yield from self.sum(total)
        if opening.result is not None:
            yield f"{self.words('result')}: {self.style.equals(write(opening.result), write(opening.value))}."
        yield from (self.words.note(note) for note in opening.notes)

    def sum(self, total: Sum) -> Iterator[str]:
        write, words = self.style.write, self.words
        largest = words("largest_shown", count=len(total.rows)) if total.folded else ""
        yield f"{words.counted('terms' if total.kind == 'sum' else 'candidates', total.size)}{largest}."
        for row in total.rows:
            value = write(row.value)
            said = value if row.numbers is None else self.style.equals(write(row.numbers), value)
            outside = f" ({words('outside')})" if row.outside else ""
            yield f"{write(row.named)}: {said}{outside}."
            for inner in row.sums:
                yield from self.sum(inner)
        if total.folded:
            yield f"{words.counted('others', total.folded)}: {write(total.remainder)}."
        yield f"{words(f'value_{total.kind}')}: {write(total.value)}."
