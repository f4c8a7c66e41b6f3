"""Writing an expression: the parentheses, signs and order that all styles share; a style says how each thing looks."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pellucid.explain.document import Element, Shown
from pellucid.notation import Affine
from pellucid.notation.expression import (
    Access,
    Add,
    Bracket,
    Call,
    Const,
    Div,
    Expression,
    Mul,
    Position,
    Pow,
    Reduce,
)
from pellucid.notation.printing import number as constant

SUM, MAXIMUM, PRODUCT, POWER, ATOM = range(5)
"""How strongly an expression holds together."""


class Style(ABC):
    """How the parts of an expression look; every method takes parts that are written already."""

    quotient_level = PRODUCT
    """How strongly a quotient holds together: a fraction bar groups by itself."""

    bars_group = False
    """Whether numerator and denominator, base and exponent need no parentheses."""

    @abstractmethod
    def number(self, written: str) -> str:
        """A number that is not negative, as `1.5e-05` or `3/4`."""

    @abstractmethod
    def element(self, name: str, at: tuple[Affine, ...], *, symbol: bool = False) -> str:
        """An element of a tensor by its full name, or by its letter."""

    @abstractmethod
    def affine(self, affine: Affine) -> str:
        """An index expression."""

    @abstractmethod
    def group(self, inside: str) -> str:
        """Something in parentheses."""

    @abstractmethod
    def negative(self, inside: str) -> str:
        """Minus something."""

    @abstractmethod
    def added(self, first: str, rest: list[tuple[bool, str]]) -> str:
        """A sum; True where a term is subtracted."""

    @abstractmethod
    def product(self, factors: list[str]) -> str:
        """A product."""

    @abstractmethod
    def quotient(self, numerator: str, denominator: str) -> str:
        """A quotient."""

    @abstractmethod
    def power(self, base: str, exponent: str) -> str:
        """A power."""

    @abstractmethod
    def call(self, function: str, arguments: list[str]) -> str:
        """A function's value."""

    @abstractmethod
    def bracket(self, left: str, relation: str, right: str) -> str:
        """1 where the relation holds, otherwise 0."""

    @abstractmethod
    def reduction(self, kind: str, names: list[str], body: str) -> str:
        """A sum or maximum over indices."""

    def equals(self, left: str, right: str) -> str:
        """An equation."""
        return f"{left} = {right}"

    def write(self, node: Expression) -> str:
        """The whole expression."""
        return self._write(node)[0]

    def _wrap(self, node: Expression, level: int) -> str:
        written, strength = self._write(node)
        return written if strength >= level else self.group(written)

    def _write(self, node: Expression) -> tuple[str, int]:
        negative, positive = split_sign(node)
        if negative:
            return self.negative(self._wrap(positive, MAXIMUM)), SUM
        match node:
            case Shown(written):
                return self.number(written), self._number_level(written)
            case Const(value):
                return self.number(constant(value)), self._number_level(constant(value))
            case Position(affine):
                return self.affine(affine), ATOM if affine.single or not affine.terms else SUM
            case Element(name, at):
                return self.element(name, at), ATOM
            case Access(tensor, at):
                return self.element(tensor.symbol, at, symbol=True), ATOM
            case Reduce(kind, over, body):
                names = [index.name for index in over]
                inside = self._wrap(body, PRODUCT)
                return self.reduction(kind, names, inside), PRODUCT if kind == "sum" else MAXIMUM
        return self._operation(node)

    def _number_level(self, written: str) -> int:
        """A fraction is a quotient; with a power of ten a number is a product, unless it is written as one word."""
        if self.bars_group:
            return POWER if "/" in written or "e" in written else ATOM
        return PRODUCT if "/" in written else ATOM

    def _operation(self, node: Expression) -> tuple[str, int]:
        match node:
            case Add(terms):
                signed = [(False, t) if isinstance(t, Shown) else split_sign(t) for t in terms[1:]]
                rest = [(minus, self._wrap(term, MAXIMUM)) for minus, term in signed]
                return self.added(self._wrap(terms[0], SUM), rest), SUM
            case Mul(factors):
                # A reduction would take in what follows it.
                written = [self._wrap(f, _factor_level(f, k, len(factors))) for k, f in enumerate(factors)]
                return self.product(written), PRODUCT
            case Div(numerator, denominator):
                if self.bars_group:
                    return self.quotient(self.write(numerator), self.write(denominator)), self.quotient_level
                return self.quotient(self._wrap(numerator, PRODUCT), self._wrap(denominator, POWER)), PRODUCT
            case Pow(base, exponent):
                inside = self.write(exponent) if self.bars_group else self._wrap(exponent, ATOM)
                return self.power(self._wrap(base, ATOM), inside), POWER
            case Call(function, args):
                return self.call(function, [self.write(a) for a in args]), ATOM
            case Bracket(left, relation, right):
                return self.bracket(self.write(left), relation, self.write(right)), ATOM
        raise TypeError(f"cannot write {type(node).__name__}")


def _factor_level(factor: Expression, place: int, count: int) -> int:
    if isinstance(factor, Reduce) and place < count - 1:
        return ATOM
    return PRODUCT if place == 0 else POWER


def split_sign(node: Expression) -> tuple[bool, Expression]:
    """Whether an expression is subtracted, and what is left of it."""
    match node:
        case Shown(written, value) if written.startswith("-"):
            return True, Shown(written[1:], -value)
        case Const(value) if value < 0:
            return True, Const(-value)
        case Mul(factors):
            negative, first = split_sign(factors[0])
            # Numbers that are shown keep their signs, so that a sum's value is found again where it is used.
            if negative and not isinstance(factors[0], Shown):
                rest = factors[1:] if first == Const(1) and len(factors) > 1 else (first, *factors[1:])
                return True, rest[0] if len(rest) == 1 else Mul(rest)
        case Div(numerator, denominator):
            negative, first = split_sign(numerator)
            if negative and not isinstance(numerator, Shown):
                return True, Div(first, denominator)
    return False, node
