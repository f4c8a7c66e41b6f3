"""How many digits to show, so that whoever evaluates what is shown finds the number shown for it.

A number is shown with the digits asked for. The expression behind it shows its operands with as many more as it
takes for the same digits to come out, and each sum among those operands its terms in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from pellucid.explain.arithmetic import FLOATS, RATIONALS
from pellucid.explain.part import Number, number
from pellucid.explain.trace import Node, Reduction, total, with_numbers
from pellucid.notation.expression import Const

EXACT = 17
"""So many significant digits tell any two float64 numbers apart."""

MANY = 1000


def shown(value: Number, digits: int) -> str:
    """A number with that many significant digits; whole numbers of the notation and fractions as they are."""
    return str(value) if isinstance(value, int | Fraction) else f"{value + 0.0:.{digits}g}"


def as_shown(value: Number, digits: int) -> Number:
    """The number that is read from what is shown."""
    return value if isinstance(value, int | Fraction) else float(shown(value, digits))


def enough_for(node: Node, digits: int) -> int:
    """The fewest digits of the operands from which the node's value comes out as it is shown.

    It does from its sums as they are shown, and from their terms where someone adds these up instead.
    """
    return _fewest(digits, lambda more: _comes_out(node, digits, more))


def _comes_out(node: Node, digits: int, more: int) -> bool:
    wanted = shown(node.value, digits)
    if shown(evaluated(node, more), digits) != wanted:
        return False
    if not _has_sums(node):
        return True
    return all(shown(added_up(node, more, inside=inside), digits) == wanted for inside in (True, False))


def _has_sums(node: Node) -> bool:
    return isinstance(node, Reduction) or any(map(_has_sums, node.operands))


def enough_for_terms(node: Reduction, digits: int) -> int:
    """The fewest digits of the terms' values from which a sum comes out as it is shown.

    It does from these values, and from what is in the terms where someone adds that up instead; of very long sums the
    second is not looked at.
    """
    wanted = shown(node.value, digits)

    def enough(more: int) -> bool:
        values = [as_shown(term.body.value, more) for term in node.terms]
        if shown(_reduced(node, values, more), digits) != wanted:
            return False
        return len(node.terms) > MANY or shown(_reduced(node, _insides(node, more), more), digits) == wanted

    return _fewest(digits, enough)


def _insides(node: Reduction, digits: int) -> list[Number]:
    """The terms' values from the numbers shown in them, for values of that many digits."""
    return [added_up(term.body, enough_for(term.body, digits)) for term in node.terms]


def evaluated(node: Node, digits: int) -> Number:
    """The value of a node's arithmetic with its operands as they are shown."""
    return _value(node, lambda leaf: as_shown(leaf.value, digits))


def added_up(node: Node, digits: int, *, inside: bool = True) -> Number:
    """The same with every sum among the operands added up, from its terms or from what is `inside` them."""

    def value(leaf: Node) -> Number:
        if not isinstance(leaf, Reduction):
            return as_shown(leaf.value, digits)
        more = enough_for_terms(leaf, digits)
        if inside:
            return _reduced(leaf, _insides(leaf, more), more)
        return _reduced(leaf, [as_shown(term.body.value, more) for term in leaf.terms], more)

    return _value(node, value)


def _value(node: Node, value: Callable[[Node], Number]) -> Number:
    expression = with_numbers(node, lambda leaf: Const(value(leaf)))
    exact = any(isinstance(part, Const) and isinstance(part.value, Fraction) for part in expression.walk())
    return number((RATIONALS if exact else FLOATS).value(expression))


def _reduced(node: Reduction, values: Sequence[Number], digits: int) -> Number:
    """A sum or maximum of these values of its terms, and of the others as they are shown."""
    if node.kind == "sum":
        return total([*values, as_shown(node.remainder, digits)] if node.folded else values)
    if node.kind == "max":
        return max(values)
    return place_of(node, list(values).index(max(values)))


def place_of(node: Reduction, term: int) -> int:
    """The place of a term that is shown, counted over all terms."""
    place = 0
    for index, value in node.terms[term].point:
        place = place * index.size + value
    return place


def _fewest(digits: int, enough: Callable[[int], bool]) -> int:
    return next((more for more in range(digits, EXACT) if enough(more)), EXACT)
