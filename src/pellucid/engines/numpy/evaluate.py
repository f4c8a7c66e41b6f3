"""Evaluation of one equation's right-hand side, node by node, over the whole box of its indices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np

from pellucid.engines.numpy.block import Array, Block, Padded, union
from pellucid.engines.numpy.contract import contract
from pellucid.engines.numpy.selection import gather, scatter
from pellucid.errors import NotationError
from pellucid.notation.equation import Equation
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
    accesses,
    free_indices,
    substitute,
)
from pellucid.notation.index import Affine, Index, box
from pellucid.notation.random import uniform
from pellucid.notation.selection import Selection, split

WINDOW = 128
"""A reduction of at most this many points, such as a pooling window, goes point by point if its result is large."""


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), with exp only of what is not positive."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype, copy=False)


def _erf(x: Array) -> Array:
    """NumPy has no error function; Python's own, one number at a time."""
    values = np.fromiter((math.erf(value) for value in x.ravel().tolist()), np.float64, x.size)
    return values.reshape(x.shape).astype(x.dtype, copy=False)


FUNCTIONS: dict[str, Any] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "erf": _erf,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "constant": lambda x: x,
    "uniform": uniform,
}
RELATIONS: dict[str, Any] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal
}  # fmt: skip


class Evaluator:
    """The right-hand side of one equation, over given arrays."""

    def __init__(self, equation: Equation, arrays: Mapping[str, Array], dtype: np.dtype[Any]) -> None:
        self.equation = equation
        self.dtype = dtype
        self.padded = Padded(accesses(equation.value), arrays)

    def value(self) -> Block:
        """The value at every point of the left-hand side's indices (those it depends on)."""
        return self.evaluate(self.equation.value)

    def evaluate(self, node: Expression) -> Block:
        match node:
            case Const(value):
                return Block((), np.asarray(value if isinstance(value, int) else float(value)))
            case Position(affine):
                return self.position(affine)
            case Access():
                return self.padded.view(node)
            case Add(terms):
                return self.combine(np.add, [self.number(t) for t in terms])
            case Mul():
                return self.product(node)
            case Div(numerator, denominator):
                return self.quotient(numerator, denominator)
            case Pow(base, exponent):
                return self.combine(np.power, [self.number(base), self.number(exponent)])
            case Call("uniform", args):
                return self.combine(uniform, [self.evaluate(a) for a in args])
            case Call(function, args):
                return self.combine(FUNCTIONS[function], [self.number(a) for a in args])
            case Bracket(left, relation, right):
                return self.combine(RELATIONS[relation], [self.evaluate(left), self.evaluate(right)])
            case Reduce():
                return self.reduction(node)
        raise NotationError(f"the numpy engine cannot evaluate {type(node).__name__}")

    def number(self, node: Expression) -> Block:
        """A value in the engine's dtype: integers, brackets and constants are converted."""
        block = self.evaluate(node)
        return Block(block.axes, block.array.astype(self.dtype, copy=False))

    def position(self, affine: Affine) -> Block:
        total = np.asarray(affine.constant)
        axes = affine.indices
        for k, (index, coefficient) in enumerate(affine.terms):
            steps = np.arange(index.size) * coefficient
            total = total + steps.reshape([-1 if d == k else 1 for d in range(len(axes))])
        return Block(axes, total)

    def combine(self, function: Any, blocks: list[Block]) -> Block:
        """Apply a function to aligned blocks; sums, products and conjunctions from left to right."""
        axes = self.order(union(blocks))
        arrays = [block.spread(axes) for block in blocks]
        if len(arrays) > 1 and function in (np.add, np.multiply, np.logical_and):
            return Block(axes, reduce(function, arrays))
        if len(arrays) == 1 and function in (np.add, np.multiply, np.logical_and):
            return Block(axes, arrays[0])
        return Block(axes, np.asarray(function(*arrays)))

    def order(self, axes: tuple[Index, ...]) -> tuple[Index, ...]:
        """The left-hand side's order first, so that results need no transposition."""
        left = self.equation.indices
        return tuple(sorted(axes, key=lambda i: left.index(i) if i in left else len(left)))

    def product(self, node: Expression) -> Block:
        """A product, strongly zero where a bracket is false."""
        brackets, numbers = split(node)
        return self.where(brackets, self.combine(np.multiply, [self.number(f) for f in numbers]))

    def quotient(self, numerator: Expression, denominator: Expression) -> Block:
        """A quotient, strongly zero where a bracket in its numerator is false."""
        brackets, numbers = split(numerator)
        top = self.combine(np.multiply, [self.number(f) for f in numbers])
        return self.where(brackets, self.combine(np.divide, [top, self.number(denominator)]))

    def where(self, brackets: list[Expression], value: Block) -> Block:
        """The value where all brackets hold, and 0 elsewhere."""
        return self.kept([self.evaluate(b) for b in brackets], value) if brackets else value

    def kept(self, conditions: list[Block], value: Block) -> Block:
        """The value where all conditions hold, and 0 elsewhere."""
        holds = self.combine(np.logical_and, conditions)
        axes = self.order(union([holds, value]))
        return Block(axes, np.where(holds.spread(axes), value.spread(axes), self.dtype.type(0)))

    def reduction(self, node: Reduce) -> Block:
        if node.kind == "sum":
            product = self.selection(node) or self.contraction(node)
            if product is not None:
                return product
        if box(node.indices) <= WINDOW and box(free_indices(node)) >= 8 * WINDOW:
            return self.window(node)
        body = self.number(node.body)
        missing = box(i for i in node.indices if i not in body.axes)
        axes = tuple(i for i in body.axes if i not in node.indices)
        over = [i for i in node.indices if i in body.axes]
        array = body.spread((*axes, *over)).reshape([i.size for i in axes] + [-1])
        if node.kind == "argmax":
            return Block(axes, array.argmax(axis=-1))
        if node.kind == "max":
            return Block(axes, array.max(axis=-1))
        return Block(axes, array.sum(axis=-1) * self.dtype.type(missing))

    def selection(self, node: Reduce) -> Block | None:
        """A sum of which a bracket selects the terms by number; None if it is none."""
        brackets, numbers = split(node.body)
        found = Selection.of(brackets)
        if found is None:
            return None
        selection, others = found
        key, selected = selection.key, self.evaluate(selection.number)
        if node.indices != (key,):
            value = self.combine(np.multiply, [self.number(f) for f in numbers])
            return scatter(selected, key, self.where(others, value), node.indices) if key not in node.indices else None
        factors = [gather(selected, key, self.number(f)) for f in numbers]
        conditions = [gather(selected, key, self.evaluate(b)) for b in others]
        if None in factors or None in conditions:
            return None
        inside = Block(selected.axes, (selected.array >= 0) & (selected.array < key.size))
        value = self.combine(np.multiply, [f for f in factors if f])
        return self.kept([inside, *(c for c in conditions if c)], value)

    def contraction(self, node: Reduce) -> Block | None:
        """A sum of products, two factors at a time; None if it is none.

        A bracket masks every factor that has its indices. Where another factor is infinite that would not be
        strongly zero, and the sum is taken term by term instead.
        """
        brackets, numbers = split(node.body)
        if len(numbers) < 2:
            return None
        blocks = [self.number(f) for f in numbers]
        for condition in map(self.evaluate, brackets):
            masked = [self.masked(block, condition) for block in blocks]
            if any(new is old and not np.isfinite(old.array).all() for new, old in zip(masked, blocks, strict=True)):
                return None
            if all(new is old for new, old in zip(masked, blocks, strict=True)):
                masked.append(Block(condition.axes, condition.array.astype(self.dtype)))
            blocks = masked
        while len(blocks) > 2:
            a, b = min(itertools.combinations(blocks, 2), key=lambda pair: box(union(pair)))
            blocks = [self.combine(np.multiply, [a, b]), *(x for x in blocks if x is not a and x is not b)]
        missing = box(i for i in node.indices if i not in union(blocks))
        keep = self.order(tuple(i for i in union(blocks) if i not in node.indices))
        result = contract(blocks[0], blocks[1], keep, node.indices)
        return Block(result.axes, result.array * self.dtype.type(missing)) if missing != 1 else result

    def masked(self, block: Block, condition: Block) -> Block:
        """The block with 0 where the condition fails, if it depends on all that the condition depends on."""
        if not set(condition.axes) <= set(block.axes):
            return block
        return Block(block.axes, np.where(condition.spread(block.axes), block.array, self.dtype.type(0)))

    def window(self, node: Reduce) -> Block:
        """A reduction point by point, in the order of its indices: the first of equal maxima wins."""
        axes = self.order(free_indices(node))
        best: Array | None = None
        where = np.zeros([i.size for i in axes], np.int64)
        for place, point in enumerate(itertools.product(*(range(i.size) for i in node.indices))):
            values = {index: Affine.of(k) for index, k in zip(node.indices, point, strict=True)}
            block = self.number(substitute(node.body, values))
            value = np.broadcast_to(block.spread(axes), where.shape)
            if best is None:
                best = value.copy()
            elif node.kind == "sum":
                best += value
            elif node.kind == "max":
                np.maximum(best, value, out=best)
            else:
                wins = (value > best) | (np.isnan(value) & ~np.isnan(best))
                where[wins] = place
                best = np.where(wins, value, best)
        assert best is not None
        return Block(axes, where if node.kind == "argmax" else best)
