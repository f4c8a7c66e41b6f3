"""Expressions as MathML Core, which browsers typeset and screen readers read."""

from __future__ import annotations

from html import escape
from typing import ClassVar

from pellucid.explain.document import Document, equalities
from pellucid.explain.render.speech import Speech
from pellucid.explain.render.words import Words
from pellucid.explain.render.writing import POWER, Style
from pellucid.notation import Affine, Expression

MINUS, TIMES, PARTIAL = "−", "⋅", "∂"


def _operator(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


class MathML(Style):
    """`<mrow><mn>2.14</mn><mo>⋅</mo><mn>3</mn></mrow>`, the inside of a `math` element."""

    quotient_level = POWER
    bars_group = True
    relations: ClassVar = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥", "<": "<", ">": ">"}
    reductions: ClassVar = {"sum": "∑", "max": "max", "argmax": "arg max"}
    functions: ClassVar = {"sigmoid": "σ", "maximum": "max", "minimum": "min"}

    def number(self, written: str) -> str:
        if "/" in written:
            numerator, denominator = written.split("/")
            return f"<mfrac><mn>{numerator}</mn><mn>{denominator}</mn></mfrac>"
        if written in ("inf", "nan"):
            return "<mi>∞</mi>" if written == "inf" else "<mi>nan</mi>"
        digits, _, exponent = written.partition("e")
        if not exponent:
            return f"<mn>{digits}</mn>"
        size = f"<mn>{abs(int(exponent))}</mn>"
        power = _row(_operator(MINUS), size) if int(exponent) < 0 else size
        return _row(f"<mn>{digits}</mn>", _operator("×"), f"<msup><mn>10</mn>{power}</msup>")

    def element(self, name: str, at: tuple[Affine, ...], *, symbol: bool = False) -> str:
        prefix = "d" if symbol else "d "
        if name.startswith(prefix) and len(name) > len(prefix):
            below = _row(_operator(PARTIAL), self._subscripted(name.removeprefix(prefix), at))
            return f"<mfrac>{_row(_operator(PARTIAL), '<mi>L</mi>')}{below}</mfrac>"
        return self._subscripted(name, at)

    def _subscripted(self, name: str, at: tuple[Affine, ...]) -> str:
        letter = f"<mi>{escape(name)}</mi>"
        below = _operator(",").join(map(self.affine, at))
        return f"<msub>{letter}{_row(below)}</msub>" if at else letter

    def affine(self, affine: Affine) -> str:
        parts: list[str] = []
        for index, coefficient in affine.terms:
            if coefficient < 0 or parts:
                parts.append(_operator(MINUS if coefficient < 0 else "+"))
            factor = f"<mn>{abs(coefficient)}</mn>" if abs(coefficient) != 1 else ""
            parts.append(f"{factor}<mi>{escape(index.name)}</mi>")
        if affine.constant or not parts:
            if affine.constant < 0 or parts:
                parts.append(_operator(MINUS if affine.constant < 0 else "+"))
            parts.append(f"<mn>{abs(affine.constant)}</mn>")
        return _row(*parts) if len(parts) > 1 else parts[0]

    def group(self, inside: str) -> str:
        return _row(_operator("("), inside, _operator(")"))

    def negative(self, inside: str) -> str:
        return _row(_operator(MINUS), inside)

    def added(self, first: str, rest: list[tuple[bool, str]]) -> str:
        return _row(first, *(_operator(MINUS if minus else "+") + term for minus, term in rest))

    def product(self, factors: list[str]) -> str:
        return _row(_operator(TIMES).join(factors))

    def quotient(self, numerator: str, denominator: str) -> str:
        return f"<mfrac>{_row(numerator)}{_row(denominator)}</mfrac>"

    def power(self, base: str, exponent: str) -> str:
        return f"<msup>{_row(base)}{_row(exponent)}</msup>"

    def call(self, function: str, arguments: list[str]) -> str:
        if function == "sqrt":
            return f"<msqrt>{arguments[0]}</msqrt>"
        name = f"<mi>{self.functions.get(function, function)}</mi>"
        return _row(name, _operator("("), _operator(",").join(arguments), _operator(")"))

    def bracket(self, left: str, relation: str, right: str) -> str:
        return _row(_operator("["), left, _operator(self.relations[relation]), right, _operator("]"))

    def reduction(self, kind: str, names: list[str], body: str) -> str:
        below = _row(_operator(",").join(f"<mi>{escape(name)}</mi>" for name in names))
        return _row(f"<munder>{_operator(self.reductions[kind])}{below}</munder>", body)

    def equals(self, left: str, right: str) -> str:
        return _row(left, _operator("="), right)


def math(inside: str, spoken: str, *, block: bool = False) -> str:
    """A `math` element; `spoken` is what is read where MathML is not understood."""
    display = "block" if block else "inline"
    attributes = f'display="{display}" displaystyle="true" alttext="{escape(spoken)}"'
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML" {attributes}>{inside}</math>'


MATHML = MathML()


def render(document: Document, words: Words) -> str:
    """Every formula of a document as a `math` element of its own, one in a line."""
    speech = Speech(words.speech)

    def formula(*sides: Expression) -> str:
        spoken = f" {words.speech('equal')} ".join(map(speech.write, sides))
        return math(_row(_operator("=").join(map(MATHML.write, sides))), spoken, block=True)

    return "\n".join(formula(*sides) for sides in equalities(document)) + "\n"
