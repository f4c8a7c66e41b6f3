"""Counting what an equation costs: multiply-adds of its contractions, and all arithmetic operations."""

from __future__ import annotations

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Expression, Mul, Reduce, transform
from pellucid.notation.index import box
from pellucid.notation.selection import gathered, scattered
from pellucid.notation.simplify import operations


def multiply_adds(equation: Equation) -> int:
    """Products of two tensor elements that are summed up: what the literature calls multiply-adds (MACs)."""
    return _within(equation.value, box(equation.indices))


def _within(node: Expression, times: int) -> int:
    if isinstance(node, Reduce):
        times *= box(node.indices)
        body = node.body
        if node.kind == "sum" and isinstance(body, Mul) and sum(isinstance(f, Access) for f in body.factors) > 1:
            return times
    return sum(_within(child, times) for child in node.children)


def floating_point_operations(equation: Equation) -> int:
    """Additions, multiplications, divisions, comparisons and function calls, each counted as one (FLOPs)."""
    found = scattered(equation.value)
    if found is None:
        return operations(transform(equation.value, _one_term)) * box(equation.indices)
    selection, others = found
    assert isinstance(equation.value, Reduce)
    places = box(i for i in equation.indices if i != selection.key)
    return operations(Reduce("sum", equation.value.indices, others)) * places


def _one_term(node: Expression) -> Expression:
    """Of a sum that selects one value of an index, that term alone: the engines compute no other."""
    found = gathered(node) if isinstance(node, Reduce) else None
    if found is None or not isinstance(node, Reduce):
        return node
    selection, others = found
    over = tuple(i for i in node.indices if i != selection.key)
    return Reduce("sum", over, others) if over else others
