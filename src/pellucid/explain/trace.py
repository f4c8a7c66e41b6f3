"""One number as a tree: the equation that writes it, and every operand with its coordinates and its value.

The tree is data only; `text` and later renderers turn it into something to read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pellucid.explain import arithmetic, locate
from pellucid.explain.arithmetic import Array, Arrays
from pellucid.notation import Equation, Index, Program, Tensor
from pellucid.notation.expression import Access, Const, Expression, Position, Reduce, substitute

SHORT = 12
"""A sum of up to this many terms is shown as it is."""

LARGEST = 8
"""Of a longer sum, so many terms are shown; the others are summed up."""

Number = float | int


@dataclass(frozen=True)
class Node:
    """A part of an equation at one point: the expression with its free indices replaced by their values."""

    expression: Expression
    value: Number

    @property
    def operands(self) -> tuple[Node, ...]:
        return ()


@dataclass(frozen=True)
class Literal(Node):
    """A number, or a position used as a number."""


@dataclass(frozen=True)
class Read(Node):
    """One element of a tensor; not `inside` when they lie outside and its neutral value is read."""

    tensor: Tensor
    coordinates: tuple[int, ...]
    inside: bool


@dataclass(frozen=True)
class Operation(Node):
    """Arithmetic on operands, in the order of the expression's children."""

    parts: tuple[Node, ...]

    @property
    def operands(self) -> tuple[Node, ...]:
        return self.parts


@dataclass(frozen=True)
class Term:
    """One term of a sum or one candidate of a maximum: the bound indices' values, and what it is there."""

    point: tuple[tuple[Index, int], ...]
    body: Node


@dataclass(frozen=True)
class Reduction(Node):
    """A sum or maximum: its terms in order, or the largest of them; `folded` counts the others.

    `remainder` is the sum of the folded terms (correctly rounded, whatever cancels), or the largest of them
    in a maximum; `zeros` is how many of them are 0. The value of an `argmax` is the first maximum's place.
    """

    kind: str
    size: int
    terms: tuple[Term, ...]
    folded: int
    zeros: int
    remainder: Number


@dataclass(frozen=True)
class Trace:
    """An element of a tensor and where its value comes from.

    `equation` and `tree` are None for a given tensor (input, parameter, state, constant) and for an element
    that no part of the definition writes, which is 0. `part` numbers the equation among the `parts` that
    define the tensor.
    """

    tensor: Tensor
    coordinates: tuple[int, ...]
    value: Number
    equation: Equation | None = None
    indices: tuple[tuple[Index, int], ...] = ()
    tree: Node | None = None
    part: int = 0
    parts: int = 0

    def walk(self) -> Iterator[Node]:
        """All nodes of the tree, the root first."""
        stack = [self.tree] if self.tree else []
        while stack:
            node = stack.pop()
            yield node
            terms = node.terms if isinstance(node, Reduction) else ()
            stack += [*reversed([*node.operands, *(term.body for term in terms)])]


def trace(
    program: Program, arrays: Arrays, tensor: Tensor, coordinates: tuple[int, ...], *, full: bool = False
) -> Trace:
    """Open one element of a tensor of a program whose values are known; `full` keeps every term of a sum."""
    equations = program.definition(tensor)
    if not equations:
        return Trace(tensor, coordinates, number(arrays[tensor.name][coordinates]))
    found = locate.writer(equations, coordinates)
    if found is None:
        return Trace(tensor, coordinates, 0.0, parts=len(equations))
    part, equation, point = found
    tree = _Tracer(arrays, full).open(equation.value, point)
    return Trace(tensor, coordinates, tree.value, equation, tuple(point.items()), tree, part, len(equations))


def number(value: Array) -> Number:
    """One element of an array as a plain number."""
    return int(value) if np.asarray(value).dtype.kind in "iub" else float(value)


@dataclass(frozen=True)
class _Tracer:
    arrays: Arrays
    full: bool

    def open(self, node: Expression, point: Mapping[Index, int]) -> Node:
        here = substitute(node, point)
        match node:
            case Const() | Position():
                return Literal(here, number(arithmetic.value(node, point)))
            case Access(tensor, at, outside):
                place = tuple(affine.evaluate(point) for affine in at)
                inside = all(0 <= p < extent for p, extent in zip(place, tensor.extents, strict=True))
                value = number(self.arrays[tensor.name][place]) if inside else outside
                return Read(here, value, tensor, place, inside)
            case Reduce():
                return self.reduction(node, here, point)
        parts = tuple(self.open(child, point) for child in node.children)
        unvalued = Operation(here, 0, parts)
        return replace(unvalued, value=number(arithmetic.value(with_numbers(unvalued))))

    def reduction(self, node: Reduce, here: Expression, point: Mapping[Index, int]) -> Reduction:
        bodies = np.asarray(arithmetic.bodies(node, point, self.arrays))
        chosen = self._chosen(node.kind, bodies)
        extents = [i.size for i in node.indices]
        terms = []
        for place in chosen:
            inner = zip(node.indices, (int(k) for k in np.unravel_index(place, extents)), strict=True)
            at = tuple(inner)
            terms.append(Term(at, self.open(node.body, {**point, **dict(at)})))
        rest = np.delete(bodies, chosen)
        value, remainder = self._reduced(node.kind, bodies), self._folded(node.kind, rest)
        zeros = int((rest == 0).sum())
        return Reduction(here, value, node.kind, bodies.size, tuple(terms), rest.size, zeros, remainder)

    def _reduced(self, kind: str, bodies: Array) -> Number:
        if kind == "sum":
            return total(bodies.tolist())
        return number(arithmetic.reduced(kind, bodies))

    def _folded(self, kind: str, rest: Array) -> Number:
        if kind == "sum":
            return total(rest.tolist())
        return number(rest.max()) if rest.size else 0

    def _chosen(self, kind: str, bodies: Array) -> list[int]:
        """The places of the terms to show, in order: the largest, the first of equals; no zeros of a sum."""
        if self.full or bodies.size <= SHORT:
            return list(range(bodies.size))
        sizes = np.abs(bodies) if kind == "sum" else bodies
        largest = (int(k) for k in np.argsort(-sizes, kind="stable")[:LARGEST])
        return sorted(k for k in largest if kind != "sum" or bodies[k] != 0)


def _exact(node: Node) -> Expression:
    return Const(node.value)


def with_numbers(node: Node, shown: Callable[[Node], Expression] = _exact) -> Expression:
    """The arithmetic of a node with numbers for its operands: elements, literals and, unopened, sums."""
    if isinstance(node, Operation):
        return node.expression.rebuild(tuple(with_numbers(part, shown) for part in node.parts))
    return shown(node)


def total(values: list[float]) -> float:
    """The sum, correctly rounded where it is finite."""
    return math.fsum(values) if all(map(math.isfinite, values)) else float(np.sum(values))
