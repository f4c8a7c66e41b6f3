"""Selections: sums in which a bracket `[v == T[n]]` holds for a single v, so that only one term counts.

sum(v) [v == T[n]] * W[v,k]        a gather: row T[n] of W, and 0 where T[n] is none of the v
sum(n) [v == T[n]] * G[n,k]        a scatter: G's rows added up by the number in T, at every v
"""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.notation.expression import Access, Bracket, Const, Div, Expression, Mul, Position, Reduce, free_indices
from pellucid.notation.index import Index


@dataclass(frozen=True)
class Selection:
    """The bracket `[key == number]` of a sum, `number` being an element of a tensor of whole numbers."""

    key: Index
    number: Access

    @staticmethod
    def of(brackets: list[Expression]) -> tuple[Selection, list[Expression]] | None:
        """The first selecting bracket, and the other brackets; None if there is none."""
        for place, node in enumerate(brackets):
            if isinstance(node, Bracket) and node.relation == "==":
                for one, other in ((node.left, node.right), (node.right, node.left)):
                    key = one.affine.single if isinstance(one, Position) else None
                    if key is not None and isinstance(other, Access) and other.tensor.kind == "int":
                        return Selection(key, other), brackets[:place] + brackets[place + 1 :]
        return None


def selection(node: Reduce) -> tuple[Selection, Expression] | None:
    """What selects the terms of a sum, and what remains of them without the bracket; None if nothing does."""
    if node.kind != "sum":
        return None
    brackets, numbers = split(node.body)
    found = Selection.of(brackets)
    if found is None or found[0].key in free_indices(found[0].number):
        return None
    chosen, others = found
    return chosen, _together([*others, *numbers])


def gathered(node: Reduce) -> tuple[Selection, Expression] | None:
    """The selection of a sum over its key: one term in place of all."""
    found = selection(node)
    return found if found is not None and found[0].key in node.indices else None


def scattered(node: Expression) -> tuple[Selection, Expression] | None:
    """The selection of a sum whose key is not summed over: every term belongs to one place of the result."""
    found = selection(node) if isinstance(node, Reduce) else None
    if found is None or not isinstance(node, Reduce) or found[0].key in node.indices:
        return None
    return found


def split(node: Expression) -> tuple[list[Expression], list[Expression]]:
    """The brackets and the other factors of a product, nested products and numerators included; at least a 1."""
    if isinstance(node, Bracket):
        return [node], [Const(1)]
    if isinstance(node, Div):
        conditions, factors = split(node.numerator)
        return (conditions, [Div(_together(factors), node.denominator)]) if conditions else ([], [node])
    if not isinstance(node, Mul):
        return [], [node]
    brackets: list[Expression] = []
    numbers: list[Expression] = []
    for factor in node.factors:
        if isinstance(factor, Bracket):
            brackets.append(factor)
        else:
            inner = split(factor)
            brackets += inner[0]
            numbers += inner[1]
    return brackets, numbers or [Const(1)]


def _together(factors: list[Expression]) -> Expression:
    return factors[0] if len(factors) == 1 else Mul(tuple(factors))
