"""A trace laid out for reading: which expressions stand where, and every number as it is written.

This is what all renderers share. They differ in how they write an expression and where they put it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pellucid.explain.digits import EXACT, enough_for, enough_for_terms, shown
from pellucid.explain.field import Field
from pellucid.explain.notes import Note, notes
from pellucid.explain.part import Number
from pellucid.explain.proof import Proof, relative_difference
from pellucid.explain.trace import Node, Operation, Read, Reduction, Term, Trace, partial_sums, with_numbers
from pellucid.notation import Affine, Equation, Expression, Tensor
from pellucid.notation.expression import Access, Call, Const, Position, transform


@dataclass(frozen=True)
class Shown(Expression):
    """A number as it is written."""

    written: str
    value: Number


@dataclass(frozen=True)
class Element(Expression):
    """An element of a tensor by its full name."""

    name: str
    at: tuple[Affine, ...]


@dataclass(frozen=True)
class Row:
    """One term of a sum: the bound indices' values, its arithmetic by name and in numbers, its value.

    `numbers` is None where the term is a single number. `partial` is the sum of the terms shown up to this one, in a
    sum. `outside` says that it reads beyond its tensor.
    """

    point: tuple[tuple[str, int], ...]
    named: Expression
    numbers: Expression | None
    value: Shown
    partial: Shown | None
    outside: bool
    sums: tuple[Sum, ...]


@dataclass(frozen=True)
class Sum:
    """A sum or maximum (`kind`) of `size` terms, of which `rows` are shown; the rest is `folded`."""

    kind: str
    named: Expression | None
    size: int
    rows: tuple[Row, ...]
    folded: int
    zeros: int
    remainder: Shown
    value: Shown


@dataclass(frozen=True)
class Opening:
    """One number opened: its equation and indices, its sums, and the arithmetic that gives it.

    `here` is the right-hand side by full names, `result` the same in numbers; None where a sum is all of it.
    """

    tensor: Tensor
    element: Element
    value: Shown
    equation: Equation | None
    part: int
    parts: int
    indices: tuple[tuple[str, int], ...]
    here: Expression | None
    sums: tuple[Sum, ...]
    result: Expression | None
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Fact:
    """A number beside the explanation: its name in the catalogue, its arithmetic if it has any, and itself."""

    key: str
    expression: Expression | None
    value: Shown


@dataclass(frozen=True)
class Document:
    """An explanation: the number asked for, what stands beside it, and numbers opened further.

    A gradient has a second form, `scatter`, its relative difference to the first, `agreement`, and `facts` that
    prove it.
    """

    opening: Opening
    further: tuple[Opening, ...]
    unopened: int
    scatter: Sum | None
    agreement: Shown | None
    facts: tuple[Fact, ...]
    fields: tuple[Field, ...]


def document(
    trace: Trace,
    digits: int,
    scatter: Reduction | None = None,
    proof: Proof | None = None,
    fields: tuple[Field, ...] = (),
) -> Document:
    """Lay out a trace, the result with that many significant digits."""
    further = tuple(opening(t, digits) for t in trace.opened)
    spread = None if scatter is None else _sum(scatter, digits, named=False)
    facts = () if proof is None else _facts(proof, trace.value, digits)
    agreement = None if scatter is None else _agreement(trace.value, scatter.value)
    return Document(opening(trace, digits), further, trace.unopened, spread, agreement, facts, fields)


def _agreement(one: Number, other: Number) -> Shown:
    difference = relative_difference(float(one), float(other))
    return Shown(shown(difference, 2), difference)


def _facts(proof: Proof, value: Number, digits: int) -> tuple[Fact, ...]:
    quotient = _difference_quotient(proof, digits)
    hidden = 0 < abs(float(value)) < proof.difference.rounding

    def fact(key: str, number: Number, digits: int = 2, expression: Expression | None = None) -> Fact:
        return Fact(key, expression, Shown(shown(number, digits), number))

    return (
        fact("difference_quotient", proof.slope, digits, quotient),
        fact("disagreement_hidden" if hidden else "disagreement", proof.disagreement(value)),
        fact("difference_rounding", proof.difference.rounding),
        fact("reference", proof.reference, EXACT),
        fact("bound_float64", proof.bounds["float64"]),
        fact("bound_float32", proof.bounds["float32"]),
    )


def _difference_quotient(proof: Proof, digits: int) -> Expression:
    """The quotient with the fewest digits from which its value comes out as it is shown."""
    numbers = (proof.difference.above, proof.difference.below, 2 * proof.difference.step)
    for more in range(digits, EXACT + 1):
        above, below, width = (float(shown(v, more)) for v in numbers)
        if shown((above - below) / width, digits) == shown(proof.slope, digits):
            break
    left, right, width_shown = (Shown(shown(v, more), v) for v in numbers)
    return (left - right) / width_shown


def opening(trace: Trace, digits: int) -> Opening:
    """One trace laid out by itself."""
    element = Element(trace.tensor.name, tuple(map(Affine.of, trace.coordinates)))
    tree = trace.tree
    sums: tuple[Sum, ...] = ()
    result = here = None
    if tree is not None:
        here = by_name(tree)
        if isinstance(tree, Reduction):
            sums = (_sum(tree, digits, named=False),)
        else:
            more = enough_for(tree, digits)
            result = in_numbers(tree, more)
            sums = tuple(_sum(r, more) for r in reductions(tree))
    indices = tuple((index.name, value) for index, value in trace.indices)
    value = Shown(shown(trace.value, digits), trace.value)
    found = notes(trace, digits)
    return Opening(
        trace.tensor, element, value, trace.equation, trace.part, trace.parts, indices, here, sums, result, found
    )


def _sum(node: Reduction, digits: int, *, named: bool = True) -> Sum:
    more = enough_for_terms(node, digits)
    so_far = partial_sums(node.terms) if node.kind == "sum" else [None] * len(node.terms)
    rows = tuple(_row(term, partial, more) for term, partial in zip(node.terms, so_far, strict=True))
    remainder, value = (Shown(shown(v, d), v) for v, d in ((node.remainder, more), (node.value, digits)))
    name = by_name(node) if named else None
    return Sum(node.kind, name, node.size, rows, node.folded, node.zeros, remainder, value)


def _row(term: Term, partial: Number | None, digits: int) -> Row:
    body = term.body
    more = enough_for(body, digits)
    point = tuple((index.name, value) for index, value in term.point)
    outside = any(isinstance(leaf, Read) and not leaf.inside for leaf in leaves(body))
    numbers = in_numbers(body, more) if isinstance(body, Operation) else None
    sums = tuple(_sum(r, more) for r in reductions(body))
    so_far = None if partial is None else Shown(shown(partial, digits), partial)
    return Row(point, by_name(body), numbers, Shown(shown(body.value, digits), body.value), so_far, outside, sums)


def leaves(node: Node) -> Iterable[Node]:
    """The elements, literals and sums that a node's arithmetic works on."""
    if not node.operands:
        yield node
    for operand in node.operands:
        yield from leaves(operand)


def reductions(node: Node) -> list[Reduction]:
    """The sums and maxima that a node's arithmetic works on."""
    return [leaf for leaf in leaves(node) if isinstance(leaf, Reduction)]


def in_numbers(node: Node, digits: int) -> Expression:
    """A node's arithmetic with numbers, as they are shown, in place of its operands."""

    def written(leaf: Node) -> Expression:
        whole = isinstance(leaf.expression, Const) and not isinstance(leaf.expression.value, float)
        return leaf.expression if whole else Shown(shown(leaf.value, digits), leaf.value)

    return transform(with_numbers(node, written), _without_marks)


def by_name(node: Node) -> Expression:
    """A node's arithmetic with the full names of the tensors and the coordinates it reads."""
    return transform(node.expression, _named)


def _without_marks(node: Expression) -> Expression:
    """A value is the same whether or not a gradient flows through it: `constant` is for the derivation."""
    return node.args[0] if isinstance(node, Call) and node.function == "constant" else node


def _named(node: Expression) -> Expression:
    if isinstance(node, Access):
        return Element(node.tensor.name, node.at)
    if isinstance(node, Position) and not node.affine.terms:
        return Shown(str(node.affine), node.affine.constant)
    return _without_marks(node)


def equalities(document: Document) -> Iterator[tuple[Expression, ...]]:
    """All that a document says to be equal, from the number asked for to those opened further."""
    yield from _equalities_of(document.opening)
    if document.scatter is not None:
        yield from _rows_of(document.scatter)
    for fact in document.facts:
        if fact.expression is not None:
            yield fact.expression, fact.value
    for further in document.further:
        yield from _equalities_of(further)


def _equalities_of(opening: Opening) -> Iterator[tuple[Expression, ...]]:
    yield opening.element, opening.value
    if opening.here is not None:
        yield opening.element, opening.here
    for total in opening.sums:
        yield from _rows_of(total)
    if opening.result is not None:
        yield opening.result, opening.value


def _rows_of(total: Sum) -> Iterator[tuple[Expression, ...]]:
    for row in total.rows:
        yield (row.named, row.value) if row.numbers is None else (row.named, row.numbers, row.value)
        for inner in row.sums:
            yield from _rows_of(inner)
    if total.named is not None:
        yield total.named, total.value
