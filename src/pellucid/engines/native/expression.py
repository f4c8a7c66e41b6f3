"""Writing one equation's right-hand side as instructions, for one point or for a vector of neighbouring points.

What differs between a loop nest and the epilogue of a contraction is how a tensor's element is read; that is the
`Reader`. Values are scalars until they meet a vector. Floats are f32, integers i32, brackets i1.
"""

from __future__ import annotations

from functools import reduce
from typing import Protocol

from llvmlite import ir

from pellucid.engines.native.emit import FLOAT, I1, I32, Emitter
from pellucid.engines.native.mathematics import Mathematics
from pellucid.errors import NotationError
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
from pellucid.notation.index import Affine
from pellucid.notation.selection import split


class Reader(Protocol):
    """Where a writer gets what depends on the place."""

    def access(self, node: Access) -> ir.Value:
        """A tensor's element or elements: f32 or i32."""

    def position(self, affine: Affine) -> ir.Value:
        """An index expression as i32."""

    def reduction(self, node: Reduce) -> ir.Value:
        """A sum, maximum or argument over bound indices."""


class Writer:
    """Writes expressions at an emitter's cursor."""

    def __init__(self, emitter: Emitter, reader: Reader) -> None:
        self.emitter, self.reader = emitter, reader
        self.build = emitter.builder
        self.mathematics = Mathematics(emitter)

    def float(self, node: Expression) -> ir.Value:
        """The value as f32."""
        return self.as_float(self.value(node))

    def as_float(self, value: ir.Value) -> ir.Value:
        element = _element(value)
        if element == FLOAT:
            return value
        kind = _shaped(FLOAT, value)
        return self.build.uitofp(value, kind) if element == I1 else self.build.sitofp(value, kind)

    def as_word(self, value: ir.Value) -> ir.Value:
        """A value as i32: brackets are 1 or 0, fractions of numbers are cut off."""
        element = _element(value)
        if element == I32:
            return value
        kind = _shaped(I32, value)
        return self.build.zext(value, kind) if element == I1 else self.build.fptosi(value, kind)

    def value(self, node: Expression) -> ir.Value:
        match node:
            case Const(number):
                return ir.Constant(FLOAT, float(number))
            case Access():
                return self.reader.access(node)
            case Position(affine):
                return self.reader.position(affine)
            case Reduce():
                return self.reader.reduction(node)
            case Add():
                return self.sum(node)
            case Mul() | Div():
                return self.product(node)
            case Pow(base, exponent):
                return self.power(base, exponent)
            case Bracket(left, relation, right):
                return self.bracket(left, relation, right)
            case Call("uniform", args):
                return self.mathematics.uniform(*self.together([self.word(a) for a in args]))
            case Call("constant", (argument,)):
                return self.float(argument)
            case Call(function, args):
                values = self.together([self.float(a) for a in args])
                return self.mathematics.functions[function](*values)
        raise NotationError(f"the native engine cannot compile {type(node).__name__}")

    def together(self, values: list[ir.Value]) -> list[ir.Value]:
        """Scalars spread over vectors where they meet one."""
        width = next((v.type.count for v in values if isinstance(v.type, ir.VectorType)), None)
        return values if width is None else [self.spread(v, width) for v in values]

    def spread(self, value: ir.Value, width: int) -> ir.Value:
        if isinstance(value.type, ir.VectorType):
            return value
        if isinstance(value, ir.Constant):
            return ir.Constant(ir.VectorType(value.type, width), [value.constant] * width)
        return self.emitter.splat(value, width)

    def sum(self, node: Add) -> ir.Value:
        """Terms from left to right; a product with -1 is subtracted."""
        total: ir.Value | None = None
        for term in node.terms:
            negative = isinstance(term, Mul) and term.factors[0] == Const(-1) and len(term.factors) == 2
            value = self.float(term.factors[1] if negative and isinstance(term, Mul) else term)
            if total is None:
                total = self.build.fneg(value) if negative else value
                continue
            total, value = self.together([total, value])
            total = self.build.fsub(total, value) if negative else self.build.fadd(total, value)
        assert total is not None
        return total

    def product(self, node: Expression) -> ir.Value:
        """A product or quotient, strongly zero where a bracket in it is false."""
        brackets, numbers = split(node)
        value = reduce(self.multiply, [self.factor(n) for n in numbers])
        if not brackets:
            return value
        conditions = self.together([self.value(b) for b in brackets])
        holds = reduce(self.build.and_, conditions)
        holds, value = self.together([holds, value])
        return self.build.select(holds, value, self.mathematics.like(value, 0.0))

    def factor(self, node: Expression) -> ir.Value:
        """A factor of a product, without brackets of its own."""
        if not isinstance(node, Div):
            return self.float(node)
        return self.build.fdiv(*self.together([self.float(node.numerator), self.float(node.denominator)]))

    def multiply(self, left: ir.Value, right: ir.Value) -> ir.Value:
        left, right = self.together([left, right])
        return self.build.fmul(left, right)

    def power(self, base: Expression, exponent: Expression) -> ir.Value:
        if isinstance(exponent, Const):
            return self.mathematics.power(self.float(base), float(exponent.value))
        logarithm = self.mathematics.log(self.float(base))
        return self.mathematics.exp(self.multiply(logarithm, self.float(exponent)))

    def bracket(self, left: Expression, relation: str, right: Expression) -> ir.Value:
        sides = [self.word_or_float(left), self.word_or_float(right)]
        if all(_element(s) == I32 for s in sides):
            a, b = self.together(sides)
            return self.build.icmp_signed(relation, a, b)
        a, b = self.together([self.as_float(s) for s in sides])
        # Not-a-number is unequal to everything, and no other relation holds for it.
        return (
            self.build.fcmp_unordered(relation, a, b) if relation == "!=" else self.build.fcmp_ordered(relation, a, b)
        )

    def word_or_float(self, node: Expression) -> ir.Value:
        if isinstance(node, Const) and isinstance(node.value, int):
            return ir.Constant(I32, node.value)
        return self.value(node)

    def word(self, node: Expression) -> ir.Value:
        """The value as i32: integers only."""
        value = self.word_or_float(node)
        if _element(value) != I32:
            raise NotationError(f"{node} must be an integer here")
        return value


def _element(value: ir.Value) -> ir.Type:
    return value.type.element if isinstance(value.type, ir.VectorType) else value.type


def _shaped(kind: ir.Type, like: ir.Value) -> ir.Type:
    return ir.VectorType(kind, like.type.count) if isinstance(like.type, ir.VectorType) else kind
