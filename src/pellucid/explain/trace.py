"""One number as a tree: the equation that writes it, and every operand with its coordinates and its value.

The tree is data only; the renderers turn it into something to read. Its leaves, elements of other tensors, open
again: each is a trace of its own, down to pixels and parameters or up to the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate

import numpy as np

from pellucid.explain import locate
from pellucid.explain.arithmetic import FLOATS, Arithmetic, reduced
from pellucid.explain.part import Array, Number, Part, Parts, number
from pellucid.notation import Equation, Index, Tensor
from pellucid.notation.expression import Access, Const, Expression, Position, Reduce, accesses, substitute

SHORT = 12
"""A sum of up to this many terms is shown as it is."""

LARGEST = 8
"""Of a longer sum, so many terms are shown; the others are summed up."""

OPENED = 40
"""So many numbers are opened further at most, the nearest first."""


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


def partial_sums(terms: Sequence[Term]) -> list[Number]:
    """The sums of the terms up to each of them, every one correctly rounded."""
    values = [term.body.value for term in terms]
    if not all(map(math.isfinite, values)):
        return [float(value) for value in np.cumsum([float(value) for value in values])]
    sums = list(accumulate(Fraction(value) for value in values))
    exact = any(isinstance(value, Fraction) for value in values)
    return [so_far if exact else float(so_far) for so_far in sums]


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
    define the tensor. `opened` are the traces of elements in the tree; `unopened` says how many more there were.
    """

    tensor: Tensor
    coordinates: tuple[int, ...]
    value: Number
    equation: Equation | None = None
    indices: tuple[tuple[Index, int], ...] = ()
    tree: Node | None = None
    part: int = 0
    parts: int = 0
    opened: tuple[Trace, ...] = ()
    unopened: int = 0

    def walk(self) -> Iterator[Node]:
        """All nodes of the tree, the root first."""
        stack = [self.tree] if self.tree else []
        while stack:
            node = stack.pop()
            yield node
            terms = node.terms if isinstance(node, Reduction) else ()
            stack += [*reversed([*node.operands, *(term.body for term in terms)])]


@dataclass
class Tracer:
    """Opens elements of tensors whose numbers are known, in float64 or in exact arithmetic.

    `full` keeps every term of a sum.
    """

    parts: Parts
    full: bool = False
    arithmetic: Arithmetic = field(default=FLOATS)

    def trace(self, tensor: Tensor, coordinates: tuple[int, ...], depth: int = 0) -> Trace:
        """Open an element, and the elements in its tree `depth` levels further."""
        found = self.element(tensor, coordinates)
        seen = {(tensor, coordinates)}
        level = [found]
        opened: list[Trace] = []
        unopened = 0
        for _ in range(depth):
            leaves = [leaf for opening in level for leaf in leaves_to_open(opening, seen)]
            room = OPENED - len(opened)
            unopened += max(len(leaves) - room, 0)
            level = [self.element(leaf.tensor, leaf.coordinates) for leaf in leaves[:room]]
            opened += level
        return replace(found, opened=tuple(opened), unopened=unopened)

    def element(self, tensor: Tensor, coordinates: tuple[int, ...]) -> Trace:
        """Open one element by its equation."""
        if not tensor.definition:
            return Trace(tensor, coordinates, self.parts[tensor.name].element(coordinates))
        found = locate.writer(tensor.definition, coordinates)
        if found is None:
            return Trace(tensor, coordinates, 0.0, parts=len(tensor.definition))
        part, equation, point = found
        tree = self.open(equation.value, point)
        return Trace(
            tensor, coordinates, tree.value, equation, tuple(point.items()), tree, part, len(tensor.definition)
        )

    def open(self, node: Expression, point: Mapping[Index, int]) -> Node:
        here = substitute(node, point)
        match node:
            case Const() | Position():
                return Literal(here, number(self.arithmetic.value(node, point)))
            case Access(tensor, at, outside):
                place = tuple(affine.evaluate(point) for affine in at)
                inside = all(0 <= p < extent for p, extent in zip(place, tensor.extents, strict=True))
                value = self.parts[tensor.name].element(place) if inside else outside
                return Read(here, value, tensor, place, inside)
            case Reduce():
                return self.reduction(node, here, point)
        parts = tuple(self.open(child, point) for child in node.children)
        unvalued = Operation(here, 0, parts)
        return replace(unvalued, value=number(self.arithmetic.value(with_numbers(unvalued))))

    def reduction(self, node: Reduce, here: Expression, point: Mapping[Index, int]) -> Reduction:
        bodies = np.asarray(self.arithmetic.bodies(node, point, self.parts))
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
        return number(reduced(kind, bodies))

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


def total(values: Sequence[Number]) -> Number:
    """The sum, correctly rounded where it is finite; exact for fractions."""
    if any(isinstance(value, Fraction) for value in values):
        return sum((Fraction(value) for value in values), Fraction(0))
    return math.fsum(values) if all(map(math.isfinite, values)) else float(np.sum([float(value) for value in values]))


def leaves_to_open(trace: Trace, seen: set[tuple[Tensor, tuple[int, ...]]]) -> list[Read]:
    """The computed elements in a trace's tree that have not been seen, which they then are."""
    found = []
    for node in trace.walk():
        if isinstance(node, Read) and node.inside and node.tensor.definition:
            if (node.tensor, node.coordinates) not in seen:
                found.append(node)
            seen.add((node.tensor, node.coordinates))
    return found


def read_within(tensor: Tensor, depth: int) -> set[Tensor]:
    """The tensors that an element's trace reads, opened `depth` levels further."""
    found: set[Tensor] = set()
    level = {tensor}
    for _ in range(depth + 1):
        level = {a.tensor for t in level for e in t.definition for a in accesses(e.value)} - found
        found |= level
    return found


def traced(arrays: Mapping[str, Array], tensor: Tensor, coordinates: tuple[int, ...], *, full: bool = False) -> Trace:
    """Open one element where the arrays of all tensors are known by name."""
    return Tracer({name: Part.whole(array) for name, array in arrays.items()}, full).trace(tensor, coordinates)
