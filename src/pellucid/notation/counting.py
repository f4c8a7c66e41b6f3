"""Counting what an equation costs: multiply-adds of its contractions, and all arithmetic operations."""

from __future__ import annotations

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Expression, Mul, Reduce
from pellucid.notation.index import box
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
    return operations(equation.value) * box(equation.indices)
