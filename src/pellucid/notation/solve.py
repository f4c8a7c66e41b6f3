"""Solving an access for its indices, which turns "who reads this element?" into an equation.

For `A[f(k)]` read at every value of the indices k, the gradient of one element collects all k with f(k) = a:

* Where f, on the indices of one dimension, is one-to-one and stays inside the tensor, nothing needs solving: the
  gradient is written at f(k) itself (`dX[n,c,2*i+u,2*j+v] = dY[n,c,i,j] / 4`).
* Where an index has coefficient 1 or -1 it is eliminated, preferably one of the output's:
  `x = i + u - p` gives `i = x + p - u`. What then runs outside its tensor reads 0, so no guard is needed.
* Strides are phases. With `x = s*x' + r` and `u = (s/g)*u' + t`, where g = gcd(d, s) and `d*t = r + p (mod s)`,
  the access `s*i + d*u - p = x` is solved by `i = x' + (r + p - d*t)/s - (d/g)*u'`: affine again, for each r.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from pellucid.errors import NotationError
from pellucid.notation.expression import Access, Expression, bracket
from pellucid.notation.index import Affine, Index


@dataclass(frozen=True)
class Solution:
    """Where the gradient is written, what the old indices become, and which ranges need a guard."""

    at: tuple[Affine, ...] = ()
    values: dict[Index, Affine] = field(default_factory=dict)
    guards: tuple[tuple[Affine, int], ...] = ()


def solve(access: Access, outputs: Iterable[Index], scope: Iterable[Index]) -> list[Solution]:
    """All parts of the gradient of an access.

    `outputs` are the free indices of the equation it stands in, preferred for elimination; `scope` all indices in
    scope, whose names new indices must not take.
    """
    outputs = tuple(outputs)
    names = _fresh_names({i.name for i in scope})
    # Dimensions addressed by a single index come first: they fix the indices that the others may rely on.
    dimensions = sorted(range(len(access.at)), key=lambda d: access.at[d].single is None)
    solutions: list[tuple[dict[int, Affine], Solution]] = [({}, Solution())]
    for dimension in dimensions:
        open_ended = any(not _direct(access, dimension, s, _fixed(at)) for at, s in solutions)
        name = next(names) if open_ended else ""
        solutions = [
            ({**at, dimension: target}, extended)
            for at, solution in solutions
            for target, extended in _solve_dimension(access, dimension, solution, at, outputs, name)
        ]
    return [Solution(tuple(at[d] for d in range(len(access.at))), s.values, s.guards) for at, s in solutions]


def _fixed(at: dict[int, Affine]) -> frozenset[Index]:
    return frozenset(i for affine in at.values() for i in affine.indices)


def _fresh_names(used: set[str]) -> Iterator[str]:
    for name in ("x", "y", "z", "w", "q", "r"):
        if name not in used:
            yield name
    for number in count(1):
        if f"x{number}" not in used:
            yield f"x{number}"


def _direct(access: Access, dimension: int, solution: Solution, fixed: frozenset[Index]) -> bool:
    """Whether a dimension is one-to-one in its own indices and never leaves the tensor."""
    affine = access.at[dimension].substitute(solution.values)
    low, high = affine.bounds
    if low < 0 or high >= access.tensor.extents[dimension]:
        return False
    reach = 0
    for index, coefficient in sorted(affine.terms, key=lambda term: abs(term[1])):
        if index in fixed or index.size == 1:
            continue
        if abs(coefficient) <= reach:
            return False
        reach += abs(coefficient) * (index.size - 1)
    return True


def _solve_dimension(
    access: Access,
    dimension: int,
    solution: Solution,
    at: dict[int, Affine],
    outputs: tuple[Index, ...],
    name: str,
) -> Iterator[tuple[Affine, Solution]]:
    fixed = _fixed(at)
    affine = access.at[dimension].substitute(solution.values)
    if _direct(access, dimension, solution, fixed):
        yield affine, solution
        return
    free = [(i, c) for i, c in affine.terms if i not in fixed]
    size = access.tensor.extents[dimension]
    if not free:
        # Determined by the other dimensions, but it may leave the tensor: an index of its own, and a bracket, which
        # holds where the two agree.
        target = Affine.of(Index(name, size))
        yield target, Solution((), solution.values, (*solution.guards, (target - affine, 1)))
        return
    rank = {i: k for k, i in enumerate(outputs)}
    chosen, step = min(free, key=lambda term: (term[0] not in rank, abs(term[1]) != 1, rank.get(term[0], 0)))
    if abs(step) != 1 and not _has_phases(affine, chosen, step, free):
        # No phases, but any index with coefficient 1 can be eliminated, at the price of a bracket.
        chosen, step = next(((i, c) for i, c in free if abs(c) == 1), (chosen, step))
    if abs(step) == 1:
        yield _eliminate(affine, chosen, step, Index(name, size), solution)
    elif _has_phases(affine, chosen, step, free):
        yield from _phases(affine, chosen, step, free, name, size, solution)
    else:
        raise NotationError(f"cannot derive the gradient through {access}: {affine} has too many strided indices")


def _eliminate(affine: Affine, chosen: Index, step: int, target: Index, solution: Solution) -> tuple[Affine, Solution]:
    rest = affine - Affine(((chosen, step),))
    value = (Affine.of(target) - rest) * step
    return Affine.of(target), _extend(solution, chosen, value)


def _extend(solution: Solution, chosen: Index, value: Affine) -> Solution:
    """Add `chosen = value`, and apply it to what was found before."""
    values = {i: a.substitute({chosen: value}) for i, a in solution.values.items()}
    guards = tuple((a.substitute({chosen: value}), size) for a, size in solution.guards)
    return Solution((), {**values, chosen: value}, (*guards, (value, chosen.size)))


def _has_phases(affine: Affine, chosen: Index, stride: int, free: list[tuple[Index, int]]) -> bool:
    """Whether an access is `stride * chosen`, plus at most one other index, plus a number."""
    return stride > 0 and len(free) <= 2 and len(free) == len(affine.terms)


def _phases(
    affine: Affine,
    chosen: Index,
    stride: int,
    free: list[tuple[Index, int]],
    name: str,
    size: int,
    solution: Solution,
) -> Iterator[tuple[Affine, Solution]]:
    others = [(i, c) for i, c in free if i != chosen]
    tap, dilation = others[0] if others else (None, 0)
    common = math.gcd(dilation, stride)
    period = stride // common
    for phase in range(min(stride, size)):
        wanted = phase - affine.constant
        first = next((t for t in range(period) if (wanted - dilation * t) % stride == 0), None)
        if first is None or (tap is None and first) or (tap is not None and first >= tap.size):
            continue
        target = Index(name, -(-(size - phase) // stride))
        value = Affine.of(target) + (wanted - dilation * first) // stride
        extended = solution
        if tap is not None:
            taps = Index(f"{tap.name}", -(-(tap.size - first) // period))
            extended = _rename(extended, tap, taps * period + first)
            value = value - taps * (dilation // common)
        yield target * stride + phase, _extend(extended, chosen, value)


def _rename(solution: Solution, old: Index, new: Affine) -> Solution:
    """Replace a summed index by one of its phases: no guard, all its values are legal."""
    values = {i: a.substitute({old: new}) for i, a in solution.values.items()}
    guards = tuple((a.substitute({old: new}), size) for a, size in solution.guards)
    return Solution((), {**values, old: new}, guards)


def guard(solution: Solution, factors: Iterable[Expression], *, trusting: bool) -> list[Expression]:
    """Brackets for the ranges that no factor's own reading of 0 outside its tensor already enforces.

    Reading 0 is not enough where another factor may be infinite: then nothing is trusted but the bracket.
    """
    reads = [
        (affine, extent)
        for factor in factors
        if trusting and isinstance(factor, Access) and factor.outside == 0
        for affine, extent in zip(factor.at, factor.tensor.extents, strict=True)
    ]
    needed: list[Expression] = []
    for affine, extent in solution.guards:
        low, high = affine.bounds
        below = low < 0 and not any(_leaves(read, -1, affine, below=True) for read in reads)
        above = high >= extent and not any(_leaves(read, extent, affine, below=False) for read in reads)
        if extent == 1 and (below or above):
            needed.append(bracket(affine, "==", 0))
            continue
        if below:
            needed.append(bracket(affine, ">=", 0))
        if above:
            needed.append(bracket(affine, "<", extent))
    return needed


def _leaves(read: tuple[Affine, int], value: int, affine: Affine, *, below: bool) -> bool:
    """Whether a read lies outside its tensor, on that side, wherever the affine expression has the value or goes on.

    The read must be a positive multiple of the expression, plus a number.
    """
    at, extent = read
    if not affine.terms or len(at.terms) != len(affine.terms):
        return False
    index, step = affine.terms[0]
    factor, remainder = divmod(at.coefficient(index), step)
    if remainder or factor < 1 or (at - affine * factor).terms:
        return False
    there = value * factor + (at - affine * factor).constant
    return there < 0 if below else there >= extent
