"""Derivation: from a program to the program of its gradients.

Backwards through the equations, each equation's right-hand side hands its gradient down to what it reads, by a
rule for each kind of node; `solve` turns every such read into an equation for the gradient of the tensor read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, count

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
    Pow,
    Reduce,
    accesses,
    bound_indices,
    bracket,
    free_indices,
    substitute,
)
from pellucid.notation.functions import FUNCTIONS
from pellucid.notation.index import Affine, Index
from pellucid.notation.program import order
from pellucid.notation.simplify import Definitions, simplify
from pellucid.notation.solve import guard, solve
from pellucid.notation.tensor import Tensor
from pellucid.notation.tidy import tidy


@dataclass(frozen=True)
class Part:
    """One part of a tensor's gradient, before it has a place: written at `at`, the rest summed over `over`."""

    at: tuple[Affine, ...]
    over: tuple[Index, ...]
    value: Expression


@dataclass
class Gradients:
    """What has been handed down so far: for each tensor, the contributions of the equations that read it."""

    contributions: dict[Tensor, list[list[Part]]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def add(self, tensor: Tensor, parts: list[Part]) -> None:
        self.contributions.setdefault(tensor, []).append(parts)


def derive(
    outputs: Mapping[Tensor, Tensor | None], wrt: Iterable[Tensor], *, keep_all: bool = False
) -> dict[Tensor, Tensor]:
    """The gradients of the outputs by each tensor of `wrt`, as tensors defined by new equations.

    `outputs` maps each differentiated tensor to the tensor that holds its incoming gradient, or to None for a
    scalar whose gradient is 1. With `keep_all` every intermediate gradient keeps its own equation, so that it can
    be looked at; otherwise those that cost nothing to compute in place are written into their readers.
    A tensor that the outputs do not depend on gets the gradient 0.
    """
    wrt = tuple(wrt)
    forward = order([*outputs, *(c for t in order(outputs) for c in t.companions)])
    gradients: dict[Tensor, Tensor] = {}
    handed = Gradients()
    definitions = Definitions.of(e for t in forward for e in t.definition)
    needed = _depends_on(forward, wrt)
    for tensor in reversed(forward):
        gradient = _settle(tensor, handed, outputs, definitions)
        if gradient is None:
            continue
        gradients[tensor] = gradient
        for equation in tensor.definition:
            if tensor in needed:
                _hand_down(equation, gradient, handed, needed)
    for tensor in wrt:
        if tensor not in gradients:
            gradients[tensor] = _settle(tensor, handed, outputs, definitions) or _zero(tensor)
    if keep_all:
        return gradients
    wanted = {t: gradients[t] for t in wrt}
    tidy(list(wanted.values()), [g for g in gradients.values() if g.role == "defined"], definitions)
    return wanted


def contributions(
    equation: Equation, gradient: Tensor, wrt: Tensor
) -> list[tuple[Access, tuple[Expression, ...], tuple[Index, ...]]]:
    """What an equation hands down to a tensor that it reads, before it is solved for that tensor's indices.

    Each read is given with the factors whose product reaches it, at every value of the equation's own indices and
    of the bound ones listed: the gradient as it is scattered, where `derive` says how it is gathered.
    """
    rule = _Rule(equation, {wrt})
    rule.push(equation.value, (Access(gradient, equation.at),), ())
    return [read for read in rule.reads if read[0].tensor is wrt]


def _depends_on(forward: list[Tensor], wrt: tuple[Tensor, ...]) -> set[Tensor]:
    """The tensors through which a gradient must flow to reach `wrt`."""
    needed = set(wrt)
    for tensor in forward:
        reads = {part.tensor for e in tensor.definition for part in e.value.walk() if isinstance(part, Access)}
        if tensor.differentiable and reads & needed:
            needed.add(tensor)
    return needed


def gradient_of(tensor: Tensor) -> Tensor:
    """An undefined tensor named as the gradient of another."""
    return Tensor(f"d{tensor.symbol}", tensor.extents, name=f"d {tensor.name}")


def _zero(tensor: Tensor) -> Tensor:
    gradient = gradient_of(tensor)
    gradient[tuple(Index(f"x{k + 1}", extent) for k, extent in enumerate(tensor.extents))] = Const(0)
    return gradient


def _settle(
    tensor: Tensor, handed: Gradients, outputs: Mapping[Tensor, Tensor | None], definitions: Definitions
) -> Tensor | None:
    """Give a tensor's gradient its equations, now that all its readers have contributed."""
    contributions = handed.contributions.get(tensor, [])
    if tensor in outputs:
        seed = outputs[tensor]
        own = tuple(Affine.of(Index(f"x{k + 1}", e)) for k, e in enumerate(tensor.extents))
        if seed is None and tensor.extents:
            raise NotationError(f"{tensor.name} has {tensor.size} elements: say what gradient comes in")
        if not contributions and seed is not None:
            return seed
        incoming: Expression = Const(1) if seed is None else Access(seed, own)
        contributions = [*contributions, [Part(own, (), incoming)]]
    contributions = [parts for parts in contributions if parts]
    if not contributions:
        return None
    gradient = gradient_of(tensor)
    every = [part for parts in contributions for part in parts]
    if len(contributions) == 1 or all(_apart(a.at, b.at) for a, b in combinations(every, 2)):
        _define(gradient, every, definitions)
    elif all(len(parts) == 1 and _plain(parts[0], tensor) for parts in contributions):
        _define(gradient, [_added(tensor, [parts[0] for parts in contributions])], definitions)
    else:
        _define(gradient, [_added_by_name(tensor, contributions, definitions)], definitions)
    return gradient


def _apart(one: tuple[Affine, ...], other: tuple[Affine, ...]) -> bool:
    """Whether two parts certainly share no element: in some dimension another phase, or another range."""
    for a, b in zip(one, other, strict=True):
        period = math.gcd(*(c for _, c in (*a.terms, *b.terms)))
        if (a.constant - b.constant) % period if period else a.constant != b.constant:
            return True
        if a.bounds[0] > b.bounds[1] or b.bounds[0] > a.bounds[1]:
            return True
    return False


def _plain(part: Part, tensor: Tensor) -> bool:
    """Whether a part is written at one full index for each dimension."""
    singles = [a.single for a in part.at]
    return len(set(singles)) == len(singles) and all(
        s is not None and s.size == e for s, e in zip(singles, tensor.extents, strict=True)
    )


def _added(tensor: Tensor, parts: list[Part]) -> Part:
    """Several contributions to the same elements as one sum, under the first one's index names."""
    at = parts[0].at
    taken = {a.single for a in at}
    terms = []
    for part in parts:
        table = {old.single: new for old, new in zip(part.at, at, strict=True) if old.single is not None}
        over = list(part.over)
        for k, index in enumerate(over):
            if any(index.name == other.name for other in taken if other):
                table[index] = Affine.of(_renamed(index, {i.name for i in (*taken, *over) if i}))
                over[k] = table[index].single or index
        value = substitute(part.value, table)
        terms.append(Reduce("sum", tuple(over), value) if over else value)
    return Part(at, (), Add(tuple(terms)))


def _renamed(index: Index, used: set[str]) -> Index:
    name = index.name
    while name in used:
        name += "'"
    return Index(name, index.extent)


def _added_by_name(tensor: Tensor, contributions: list[list[Part]], definitions: Definitions) -> Part:
    """Contributions of different forms get a tensor each; the gradient is their sum."""
    at = tuple(Index(f"x{k + 1}", e) for k, e in enumerate(tensor.extents))
    terms: list[Expression] = []
    for number, parts in enumerate(contributions, 1):
        piece = Tensor(f"d{tensor.symbol}_{number}", tensor.extents, name=f"d {tensor.name} ({number})")
        _define(piece, parts, definitions)
        terms.append(piece[at])
    return Part(tuple(map(Affine.of, at)), (), Add(tuple(terms)))


def _define(gradient: Tensor, parts: list[Part], definitions: Definitions) -> None:
    for part in parts:
        value = Reduce("sum", part.over, part.value) if part.over else part.value
        gradient.definition.append(Equation(gradient, part.at, simplify(value, definitions)))


def _hand_down(equation: Equation, gradient: Tensor, handed: Gradients, needed: set[Tensor]) -> None:
    """Differentiate one equation: every read of a tensor contributes to that tensor's gradient."""
    rule = _Rule(equation, needed)
    rule.push(equation.value, (Access(gradient, equation.at),), ())
    for access, factors, bound in rule.reads:
        handed.add(access.tensor, _parts(equation, gradient, access, factors, bound, handed.numbers))


def _parts(
    equation: Equation,
    gradient: Tensor,
    access: Access,
    factors: tuple[Expression, ...],
    bound: tuple[Index, ...],
    numbers: Iterator[int],
) -> list[Part]:
    scope = (*equation.indices, *bound)
    solutions = solve(access, equation.indices, (*scope, *bound_indices(equation.value)))
    if any(_divides_by_outside(substitute(f, s.values)) for s in solutions for f in factors):
        factors = _settled_before(equation, gradient, factors, next(numbers))
    parts = []
    for solution in solutions:
        at = set(i for a in solution.at for i in a.indices)
        placed = [substitute(f, solution.values) for f in factors]
        placed += guard(solution, placed, trusting=not any(map(_divides_by_outside, placed)))
        # What an index became says over what the sum still runs.
        left = dict.fromkeys(i for k in scope for i in solution.values.get(k, Affine.of(k)).indices if i not in at)
        value = placed[0] if len(placed) == 1 else Mul(tuple(placed))
        parts.append(Part(solution.at, _in_scope_order(left, scope), value))
    return parts


def _divides_by_outside(node: Expression) -> bool:
    """Whether the expression may be infinite where it reads 0 outside a tensor, so that 0 times it is not 0."""
    if isinstance(node, Div | Pow | Call):
        for part in node.walk():
            if isinstance(part, Access):
                for affine, extent in zip(part.at, part.tensor.extents, strict=True):
                    low, high = affine.bounds
                    if low < 0 or high >= extent:
                        return True
    return any(map(_divides_by_outside, node.children))


def _settled_before(
    equation: Equation, gradient: Tensor, factors: tuple[Expression, ...], number: int
) -> tuple[Expression, ...]:
    """Multiply what depends on the equation's own indices in place, under a name that reads 0 outside."""
    own = [f for f in factors if set(free_indices(f)) <= set(equation.indices)]
    symbol = f"G{equation.tensor.symbol}" + (f"_{number}" if number > 1 else "")
    name = Tensor(symbol, gradient.extents, name=f"{gradient.name} scaled ({number})")
    name.definition.append(Equation(name, equation.at, simplify(Mul(tuple(own)))))
    return (name.definition[0].left, *(f for f in factors if f not in own))


def _in_scope_order(left: Iterable[Index], scope: tuple[Index, ...]) -> tuple[Index, ...]:
    names = [i.name for i in scope]
    return tuple(sorted(left, key=lambda i: names.index(i.name) if i.name in names else len(names)))


@dataclass
class _Rule:
    """The table of rules, one for each kind of node; collects the reads with the gradient that reaches them."""

    equation: Equation
    needed: set[Tensor]
    reads: list[tuple[Access, tuple[Expression, ...], tuple[Index, ...]]] = field(default_factory=list)

    def value_of(self, node: Expression) -> Expression:
        """A node's value by name, where the equation gives it one."""
        return self.equation.left if node is self.equation.value else node

    def matters(self, node: Expression) -> bool:
        """Whether the node reads a tensor to which a gradient must flow."""
        return any(read.tensor in self.needed and read.tensor.differentiable for read in accesses(node))

    def push(self, node: Expression, gradient: tuple[Expression, ...], bound: tuple[Index, ...]) -> None:
        if not self.matters(node):
            return
        match node:
            case Access():
                self.reads.append((node, gradient, bound))
            case Bracket():
                pass
            case Add(terms):
                for term in terms:
                    self.push(term, gradient, bound)
            case Mul(factors):
                for k, factor in enumerate(factors):
                    self.push(factor, (*gradient, *factors[:k], *factors[k + 1 :]), bound)
            case Div(numerator, denominator):
                self.push(numerator, (*gradient, Const(1) / denominator), bound)
                self.push(denominator, (Const(-1), *gradient, self.value_of(node) / denominator), bound)
            case Pow(base, exponent):
                if self.matters(exponent):
                    raise NotationError(
                        f"{self.equation.tensor.name}: no rule to differentiate {node} by its exponent; "
                        "write it as exp(exponent * log(base))"
                    )
                lower = base if exponent == Const(2) else Pow(base, _less_one(exponent))
                self.push(base, (exponent, *gradient, lower), bound)
            case Call(function, args):
                slopes = FUNCTIONS[function].derivative(args, self.value_of(node))
                for argument, slope in zip(args, slopes, strict=True):
                    if slope is not None:
                        self.push(argument, (*gradient, slope), bound)
            case Reduce("sum", over, body):
                self.push(body, gradient, (*bound, *over))
            case Reduce("max"):
                self.push_maximum(node, gradient, bound)
            case _:
                raise NotationError(f"{self.equation.tensor.name}: no rule to differentiate {node}")

    def push_maximum(self, node: Reduce, gradient: tuple[Expression, ...], bound: tuple[Index, ...]) -> None:
        """The gradient of a maximum goes where its argument is: to the first such cell, or to all."""
        if node is not self.equation.value:
            raise NotationError(f"{self.equation.tensor.name}: give the maximum {node} an equation of its own")
        if node.ties == "all":
            chosen = bracket(node.body, "==", self.equation.left)
        else:
            where = argument_of(self.equation, node)
            chosen = bracket(Access(where, self.equation.at), "==", row_major(node.indices))
        self.push(node.body, (chosen, *gradient), (*bound, *node.indices))


def _less_one(exponent: Expression) -> Expression:
    return Const(exponent.value - 1) if isinstance(exponent, Const) else exponent - 1


def row_major(over: tuple[Index, ...]) -> Affine:
    """The position within the box of the indices, the last one running fastest."""
    position = Affine()
    for index in over:
        position = position * index.size + index
    return position


def argument_of(equation: Equation, maximum: Reduce) -> Tensor:
    """The tensor that holds, for each maximum, the position of the first cell that attains it."""
    tensor = equation.tensor
    found = next((c for c in tensor.companions if c.name == f"{tensor.name} argument"), None)
    if found is None:
        found = Tensor(f"arg{tensor.symbol}", tensor.extents, kind="int", name=f"{tensor.name} argument")
        tensor.companions = (*tensor.companions, found)
    value = Reduce("argmax", maximum.indices, maximum.body)
    if not any(e.at == equation.at for e in found.definition):
        found.definition.append(Equation(found, equation.at, value))
    return found
