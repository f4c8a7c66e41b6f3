"""A trace as plain text.

The result is shown to a number of significant digits; the operands to as many more as it takes for whoever
evaluates what is printed to find the printed result.
"""

from __future__ import annotations

from collections.abc import Iterable

from pellucid.explain import arithmetic
from pellucid.explain.trace import (
    Literal,
    Node,
    Number,
    Operation,
    Read,
    Reduction,
    Term,
    Trace,
    total,
    with_numbers,
)
from pellucid.notation import Tensor
from pellucid.notation.expression import Access, Call, Const, Expression, Position, transform
from pellucid.notation.printing import text as infix

EXACT = 17
"""So many significant digits tell any two float64 numbers apart."""


def render(trace: Trace, digits: int = 6) -> str:
    """The equation, where it is read, its sums term by term, and the arithmetic of the result."""
    place = element(trace.tensor.name, trace.coordinates)
    headline = f"{place} = {plain(trace.value, digits)}"
    if trace.tree is None or trace.equation is None:
        return f"{headline}\n\n{_without_equation(trace)}\n"
    precision = enough_digits(trace.tree, digits)
    part = f"   (part {trace.part + 1} of {trace.parts})" if trace.parts > 1 else ""
    lines = [headline, "", f"equation  {trace.equation}{part}"]
    if trace.indices:
        lines.append("at        " + " ".join(f"{index.name}={value}" for index, value in trace.indices))
    lines += [f"here      {by_name(trace.tree)}", ""]
    for reduction in reductions(trace.tree):
        # A sum that is the whole right-hand side stands in the line "here" already.
        heading = [] if reduction is trace.tree else [by_name(reduction)]
        lines += [*heading, *_reduction(reduction, precision), ""]
    result = f"{plain(trace.value, digits)}"
    if isinstance(trace.tree, Operation):
        result = f"{in_numbers(trace.tree, precision)}\n          = {result}"
    lines.append(f"result    {result}")
    return "\n".join(lines) + "\n"


def _without_equation(trace: Trace) -> str:
    if trace.parts:
        return "No part of the tensor's equations writes this element, so it is 0."
    return f"Given, not computed: {_ROLES[trace.tensor.role]}."


_ROLES = {
    "input": "it goes in",
    "parameter": "a parameter of the model",
    "state": "a state of the model",
    "constant": "a constant of the equation",
}


def _reduction(node: Reduction, precision: int, indent: str = "") -> list[str]:
    """One sum or maximum: how many terms, a row for each term shown, what the others come to, the value."""
    what = "term" if node.kind == "sum" else "candidate"
    largest = f"; the {len(node.terms)} largest are shown" if node.folded else ""
    lines = [f"{indent}{node.size} {what}{'s' if node.size > 1 else ''}{largest}"]
    rows = [_row(term, precision) for term in node.terms]
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(2)]
    for term, (point, body, value) in zip(node.terms, rows, strict=True):
        lines.append(f"{indent}  {point:{widths[0]}}  {body:{widths[1]}}  {value}")
        for inner in reductions(term.body):
            lines += [f"{indent}    {by_name(inner)}", *_reduction(inner, precision, indent + "    ")]
    if node.folded:
        others, value = _others(node, precision)
        lines.append(f"{indent}  {others:{sum(widths) + 2}}  {value}")
    name = {"sum": "sum", "max": "largest", "argmax": "place of the first largest"}[node.kind]
    return [*lines, f"{indent}  {name} = {plain(node.value, precision)}"]


def _others(node: Reduction, precision: int) -> tuple[str, str]:
    """What the terms that are not shown come to."""
    others = f"{node.folded} other{'s' if node.folded > 1 else ''}"
    if node.kind != "sum":
        return others, f"at most {plain(node.remainder, precision)}"
    zeros = {0: "", node.folded: ", all 0"}.get(node.zeros, f", {node.zeros} of them 0")
    return others + zeros, f"= {plain(node.remainder, precision)}"


def _row(term: Term, precision: int) -> tuple[str, str, str]:
    """The indices, the arithmetic by name and in numbers, and its value."""
    point = " ".join(f"{index.name}={value}" for index, value in term.point)
    arithmetic_of = f"{by_name(term.body)} = {in_numbers(term.body, precision)}"
    outside = " (outside)" if any(isinstance(n, Read) and not n.inside for n in leaves(term.body)) else ""
    if isinstance(term.body, Read | Literal):
        return point, by_name(term.body), f"= {plain(term.body.value, precision)}{outside}"
    return point, arithmetic_of, f"= {plain(term.body.value, precision)}{outside}"


def leaves(node: Node) -> Iterable[Node]:
    """The elements, literals and sums that a node's arithmetic works on."""
    if not node.operands:
        yield node
    for operand in node.operands:
        yield from leaves(operand)


def reductions(node: Node) -> list[Reduction]:
    """The sums and maxima that a node's arithmetic works on."""
    return [leaf for leaf in leaves(node) if isinstance(leaf, Reduction)]


def plain(value: Number, digits: int) -> str:
    """A number with that many significant digits; whole numbers of the notation as they are."""
    return str(value) if isinstance(value, int) else f"{value + 0.0:.{digits}g}"


def in_numbers(node: Node, digits: int) -> str:
    """A node's arithmetic with numbers in place of its operands, the negative ones in parentheses."""

    def shown(leaf: Node) -> Expression:
        if isinstance(leaf.expression, Const) and not isinstance(leaf.expression.value, float):
            return leaf.expression
        written = plain(leaf.value, digits)
        return _label(f"({written})" if written.startswith("-") else written)

    return infix(transform(with_numbers(node, shown), _bare_argument))


def _bare_argument(node: Expression) -> Expression:
    """A function's only argument stands in the function's own parentheses."""
    match node:
        case Call(function, (Access(tensor, ()),)):
            return Call(function, (_label(tensor.symbol.removeprefix("(").removesuffix(")")),))
    return node


def by_name(node: Node) -> str:
    """A node's arithmetic with the full names of the tensors and the coordinates it reads."""
    return infix(transform(node.expression, _named))


def _named(node: Expression) -> Expression:
    if isinstance(node, Access):
        return _label(element(node.tensor.name, node.at))
    if isinstance(node, Position) and not node.affine.terms and node.affine.constant < 0:
        return _label(f"({node.affine})")
    return node


def element(name: str, at: Iterable[object]) -> str:
    """`name[1,2,3]`, or the name alone for a single number."""
    inside = ",".join(map(str, at))
    return f"{name}[{inside}]" if inside else name


def _label(written: str) -> Expression:
    """Something that prints as it is written, so that the notation's own printing sets the parentheses."""
    return Access(Tensor(written, ()), ())


def enough_digits(tree: Node, digits: int) -> int:
    """The fewest significant digits of the operands from which the result comes out with `digits` digits."""
    wanted = plain(tree.value, digits)
    for precision in range(digits, EXACT):
        opened = plain(as_printed(tree, precision, opened=True), digits)
        summed = plain(as_printed(tree, precision, opened=False), digits)
        if opened == summed == wanted:
            return precision
    return EXACT


def as_printed(node: Node, precision: int, *, opened: bool) -> Number:
    """A node's value from numbers as they are printed: the operands of every term, or the terms' values."""

    def rounded(leaf: Node) -> Expression:
        if isinstance(leaf, Reduction) and leaf.kind == "sum":
            parts = [float(plain(leaf.remainder, precision))]
            for term in leaf.terms:
                shut = float(plain(term.body.value, precision))
                parts.append(float(as_printed(term.body, precision, opened=True)) if opened else shut)
            return Const(total(parts))
        return Const(leaf.value if isinstance(leaf.value, int) else float(plain(leaf.value, precision)))

    result = arithmetic.value(with_numbers(node, rounded))
    return int(result) if result.dtype.kind in "iub" else float(result)
