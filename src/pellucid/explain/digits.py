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


def shown(value: Number, digits: int) -> str:
    """A number with that many significant digits; whole numbers of the notation and fractions as they are."""
    return str(value) if isinstance(value, int | Fraction) else f"{value + 0.0:.{digits}g}"


def as_shown(value: Number, digits: int) -> Number:
    """The number that is read from what is shown."""
    return value if isinstance(value, int | Fraction) else float(shown(value, digits))


def evaluated(node: Node, digits: int) -> Number:
    """The value of a node's arithmetic with its operands as they are shown."""
    expression = with_numbers(node, lambda leaf: Const(as_shown(leaf.value, digits)))
    exact = any(isinstance(part, Const) and isinstance(part.value, Fraction) for part in expression.walk())
    return number((RATIONALS if exact else FLOATS).value(expression))


def enough_for(node: Node, digits: int) -> int:
    """The fewest digits of the operands from which the node's value comes out as it is shown."""
    return _fewest(digits, lambda more: shown(evaluated(node, more), digits) == shown(node.value, digits))


def enough_for_terms(node: Reduction, digits: int) -> int:
    """The fewest digits of the terms' values from which a sum, or a maximum, comes out as it is shown."""
    return _fewest(digits, lambda more: shown(reduced_as_shown(node, more), digits) == shown(node.value, digits))


def enough_for_bodies(bodies: Sequence[Node], digits: int) -> int:
    """The fewest digits from which every term comes out as it is shown."""
    return max((enough_for(body, digits) for body in bodies if body.operands), default=digits)


def reduced_as_shown(node: Reduction, digits: int) -> Number:
    """A sum or maximum of its terms as they are shown."""
    values = [as_shown(term.body.value, digits) for term in node.terms]
    if node.kind == "sum":
        return total([*values, as_shown(node.remainder, digits)] if node.folded else values)
    if node.kind == "max":
        return max(values)
    places = [place_of(node, k) for k in range(len(values))]
    return places[values.index(max(values))]


def place_of(node: Reduction, term: int) -> int:
    """The place of a term that is shown, counted over all terms."""
    place = 0
    for index, value in node.terms[term].point:
        place = place * index.size + value
    return place


def _fewest(digits: int, enough: Callable[[int], bool]) -> int:
    return next((more for more in range(digits, EXACT) if enough(more)), EXACT)
