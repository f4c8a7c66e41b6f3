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
    Call,
    Const,
    Div,
    Expression,
    Mul,
    Pow,
    Reduce,
    bound_indices,
    free_indices,
    substitute,
)
from pellucid.notation.index import Affine, Index
from pellucid.notation.program import order
from pellucid.notation.rules import Backward, Descent, Read
from pellucid.notation.simplify import Definitions, simplify
from pellucid.notation.solve import Solution, guard, solve
from pellucid.notation.steps import Record, Rule, Step
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
    record: Record | None = None

    def add(self, tensor: Tensor, parts: list[Part]) -> None:
        self.contributions.setdefault(tensor, []).append(parts)


def derive(
    outputs: Mapping[Tensor, Tensor | None],
    wrt: Iterable[Tensor],
    *,
    keep_all: bool = False,
    record: Record | None = None,
    rules: Mapping[str, Backward] | None = None,
) -> dict[Tensor, Tensor]:
    """The gradients of the outputs by each tensor of `wrt`, as tensors defined by new equations.

    `outputs` maps each differentiated tensor to the tensor that holds its incoming gradient, or to None for a
    scalar whose gradient is 1. With `keep_all` every intermediate gradient keeps its own equation, so that it can
    be looked at; otherwise those that cost nothing to compute in place are written into their readers.
    A tensor that the outputs do not depend on gets the gradient 0. A `record` is told every step. `rules` replace the
    derivatives of functions, by their names; what comes out is then no gradient, but what these rules pass back.
    """
    wrt = tuple(wrt)
    forward = order([*outputs, *(c for t in order(outputs) for c in t.companions)])
    gradients: dict[Tensor, Tensor] = {}
    handed = Gradients(record=record)
    definitions = Definitions.of(e for t in forward for e in t.definition)
    needed = _depends_on(forward, wrt)
    for tensor in reversed(forward):
        gradient = _settle(tensor, handed, outputs, definitions)
        if gradient is None:
            continue
        gradients[tensor] = gradient
        for equation in tensor.definition:
            if tensor in needed:
                _hand_down(equation, gradient, handed, needed, rules or {})
    for tensor in wrt:
        if tensor not in gradients:
            gradients[tensor] = _settle(tensor, handed, outputs, definitions) or _zero(tensor, record)
    if keep_all:
        return gradients
    wanted = {t: gradients[t] for t in wrt}
    tidy(list(wanted.values()), [g for g in gradients.values() if g.role == "defined"], definitions, record)
    return wanted


def contributions(equation: Equation, gradient: Tensor, wrt: Tensor) -> list[Read]:
    """What an equation hands down to a tensor that it reads, before it is solved for that tensor's indices.

    Each read is given with the factors whose product reaches it, at every value of the equation's own indices and
    of the bound ones listed: the gradient as it is scattered, where `derive` says how it is gathered.
    """
    descent = Descent(equation, {wrt})
    descent.push(equation.value, (Access(gradient, equation.at),), (), ())
    return [read for read in descent.reads if read.access.tensor is wrt]


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


def _zero(tensor: Tensor, record: Record | None) -> Tensor:
    gradient = gradient_of(tensor)
    gradient[tuple(Index(f"x{k + 1}", extent) for k, extent in enumerate(tensor.extents))] = Const(0)
    if record is not None:
        record.add(tensor, Step("zero", Access(tensor, gradient.definition[0].at), Const(0)))
        record.settled(tensor, gradient)
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
        incoming: Expression = Const(1) if seed is None else Access(seed, own)
        if not contributions and seed is not None:
            return seed
        if handed.record is not None:
            handed.record.add(tensor, Step("incoming", Access(tensor, own), incoming))
        contributions = [*contributions, [Part(own, (), incoming)]]
    contributions = [parts for parts in contributions if parts]
    if not contributions:
        return None
    gradient = gradient_of(tensor)
    every = [part for parts in contributions for part in parts]
    record = handed.record
    if len(contributions) == 1 or all(_apart(a.at, b.at) for a, b in combinations(every, 2)):
        _define(gradient, every, definitions, record, tensor)
    elif all(len(parts) == 1 and _plain(parts[0], tensor) for parts in contributions):
        added = _added(tensor, [parts[0] for parts in contributions])
        _define(gradient, [added], definitions, record, tensor, "several")
    else:
        named = _added_by_name(tensor, contributions, definitions, record)
        _define(gradient, [named], definitions, record, tensor, "several_named")
    if record is not None:
        record.settled(tensor, gradient)
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


def _added_by_name(
    tensor: Tensor, contributions: list[list[Part]], definitions: Definitions, record: Record | None
) -> Part:
    """Contributions of different forms get a tensor each; the gradient is their sum."""
    at = tuple(Index(f"x{k + 1}", e) for k, e in enumerate(tensor.extents))
    terms: list[Expression] = []
    for number, parts in enumerate(contributions, 1):
        piece = Tensor(f"d{tensor.symbol}_{number}", tensor.extents, name=f"d {tensor.name} ({number})")
        _define(piece, parts, definitions)
        if record is not None:
            for equation in piece.definition:
                record.introduced(equation, "read")
        terms.append(piece[at])
    return Part(tuple(map(Affine.of, at)), (), Add(tuple(terms)))


def _define(
    gradient: Tensor,
    parts: list[Part],
    definitions: Definitions,
    record: Record | None = None,
    subject: Tensor | None = None,
    rule: Rule | None = None,
) -> None:
    """Write a gradient's equations, simplified; tell the record, for the gradient of `subject`, by which rule."""
    for part in parts:
        value = _summed(part)
        equation = Equation(gradient, part.at, simplify(value, definitions))
        gradient.definition.append(equation)
        if record is not None and subject is not None:
            if rule is not None:
                record.add(subject, Step(rule, Access(subject, part.at), value))
            record.defined(subject, equation, value)


def _summed(part: Part) -> Expression:
    return Reduce("sum", part.over, part.value) if part.over else part.value


def _hand_down(
    equation: Equation, gradient: Tensor, handed: Gradients, needed: set[Tensor], rules: Mapping[str, Backward]
) -> None:
    """Differentiate one equation: every read of a tensor contributes to that tensor's gradient."""
    descent = Descent(equation, needed, rules)
    descent.push(equation.value, (Access(gradient, equation.at),), (), ())
    for read in descent.reads:
        if handed.record is not None:
            _record_path(handed.record, equation, gradient, read)
        handed.add(read.access.tensor, _parts(equation, gradient, read, handed))


def _record_path(record: Record, equation: Equation, gradient: Tensor, read: Read) -> None:
    """Tell the record which rules lead from an equation's gradient to one of its reads."""
    access = read.access
    if not read.path:
        record.add(access.tensor, Step("read", access, Access(gradient, equation.at)))
    for applied in read.path:
        value = applied.gradient[0] if len(applied.gradient) == 1 else Mul(applied.gradient)
        names = (applied.name,) if applied.name else ()
        record.add(access.tensor, Step(applied.rule, applied.node, value, over=applied.over, names=names))


def _parts(equation: Equation, gradient: Tensor, read: Read, handed: Gradients) -> list[Part]:
    access, factors, bound = read.access, read.factors, read.bound
    scope = (*equation.indices, *bound)
    solutions = solve(access, equation.indices, (*scope, *bound_indices(equation.value)))
    if any(_divides_by_outside(substitute(f, s.values)) for s in solutions for f in factors):
        factors = _settled_before(equation, gradient, factors, handed)
    parts = []
    for solution in solutions:
        at = set(i for a in solution.at for i in a.indices)
        placed = [substitute(f, solution.values) for f in factors]
        brackets = guard(solution, placed, trusting=not any(map(_divides_by_outside, placed)))
        placed += brackets
        # What an index became says over what the sum still runs.
        left = dict.fromkeys(i for k in scope for i in solution.values.get(k, Affine.of(k)).indices if i not in at)
        value = placed[0] if len(placed) == 1 else Mul(tuple(placed))
        parts.append(Part(solution.at, _in_scope_order(left, scope), value))
        if handed.record is not None:
            rule: Rule = "guarded" if brackets else "phase" if len(solutions) > 1 else "solved"
            _record_solution(handed.record, rule, access, solution, parts[-1])
    return parts


def _record_solution(record: Record, rule: Rule, access: Access, solution: Solution, part: Part) -> None:
    """Tell the record what a read became once it was solved for its indices."""
    solved = tuple(solution.values.items())
    if not solved:
        rule = "collected" if part.over else "in_place"
    left = Access(access.tensor, part.at)
    record.add(access.tensor, Step(rule, left, _summed(part), over=() if solved else part.over, solved=solved))


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
    equation: Equation, gradient: Tensor, factors: tuple[Expression, ...], handed: Gradients
) -> tuple[Expression, ...]:
    """Multiply what depends on the equation's own indices in place, under a name that reads 0 outside."""
    number = next(handed.numbers)
    own = [f for f in factors if set(free_indices(f)) <= set(equation.indices)]
    symbol = f"G{equation.tensor.symbol}" + (f"_{number}" if number > 1 else "")
    name = Tensor(symbol, gradient.extents, name=f"{gradient.name} scaled ({number})")
    name.definition.append(Equation(name, equation.at, simplify(Mul(tuple(own)))))
    if handed.record is not None:
        handed.record.introduced(name.definition[0], "settled")
    return (name.definition[0].left, *(f for f in factors if f not in own))


def _in_scope_order(left: Iterable[Index], scope: tuple[Index, ...]) -> tuple[Index, ...]:
    names = [i.name for i in scope]
    return tuple(sorted(left, key=lambda i: names.index(i.name) if i.name in names else len(names)))
