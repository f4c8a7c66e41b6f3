"""The scatter form of a gradient: not solved for the element, but collected from all that read it.

An equation for dX[x] gathers. The same number comes from the forward equations alone: whoever reads X[x], at
whatever values of its indices, hands its own gradient down, multiplied by its slope there. Both are sums of the
same numbers in another order, found in two different ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.explain import locate
from pellucid.explain.arithmetic import FLOATS, RATIONALS
from pellucid.explain.cone import read_box
from pellucid.explain.part import Array, Box, Number, hull, number
from pellucid.explain.trace import Reduction, Term, Tracer, total
from pellucid.explain.values import Source
from pellucid.notation import Expression, Index, Tensor
from pellucid.notation.derive import contributions
from pellucid.notation.expression import Const, Mul, Reduce, accesses
from pellucid.notation.index import box

SHOWN = 8
MOST = 2_000_000
"""A scatter of more terms is left out: the gather form has a mean over everything behind it."""


@dataclass(frozen=True)
class Spread:
    """One reader of the element: with some indices fixed at `point`, for all values of the `free` ones, the product."""

    product: Expression
    scope: tuple[Index, ...]
    point: dict[Index, int]

    @property
    def free(self) -> tuple[Index, ...]:
        return tuple(index for index in self.scope if index not in self.point)


def scatter(
    source: Source, tensor: Tensor, coordinates: tuple[int, ...], *, rational: bool = False
) -> Reduction | None:
    """The gradient of the loss by an element of a forward tensor, as what its readers hand down.

    None where nothing reads the element, or where too many do; in fractions if `rational`.
    """
    gradients = source.gradients(keep_all=True)
    spreads = list(_spreads(source, gradients, tensor, coordinates))
    if not spreads or sum(box(s.free) for s in spreads) > MOST:
        return None
    demands: dict[Tensor, Box] = {}
    for spread in spreads:
        ranges = {index: (value, value) for index, value in spread.point.items()}
        for access in accesses(spread.product):
            demands[access.tensor] = hull(demands.get(access.tensor), read_box(access, ranges))
    tracer = Tracer(source.parts(demands, rational=rational), True, RATIONALS if rational else FLOATS)
    terms: list[tuple[Number, Spread, int]] = []
    for spread in spreads:
        terms += [(number(value), spread, place) for place, value in enumerate(_bodies(spread, tracer))]
    return _folded(terms, tracer)


def _bodies(spread: Spread, tracer: Tracer) -> Array:
    """What a reader hands down, for all values of its free indices."""
    if not spread.free:
        return np.reshape(tracer.arithmetic.value(spread.product, spread.point, tracer.parts), 1)
    return tracer.arithmetic.bodies(Reduce("sum", spread.free, spread.product), spread.point, tracer.parts)


def _spreads(
    source: Source, gradients: dict[Tensor, Tensor], tensor: Tensor, coordinates: tuple[int, ...]
) -> Iterator[Spread]:
    for reader in source.forward:
        if reader not in gradients:
            continue
        for equation in reader.definition:
            if not any(access.tensor is tensor for access in accesses(equation.value)):
                continue
            for read in contributions(equation, gradients[reader], tensor):
                product = read.factors[0] if len(read.factors) == 1 else Mul(read.factors)
                for point in locate.solutions(read.access.at, coordinates):
                    yield Spread(product, (*equation.indices, *read.bound), point)


def _folded(terms: list[tuple[Number, Spread, int]], tracer: Tracer) -> Reduction:
    """The sum with its largest terms opened."""
    values = [value for value, _, _ in terms]
    sizes = sorted(range(len(terms)), key=lambda k: -abs(float(values[k])))[:SHOWN]
    chosen = sorted(k for k in sizes if values[k] != 0 or len(terms) <= SHOWN)
    opened = []
    for k in chosen:
        _, spread, place = terms[k]
        extents = [i.size for i in spread.free]
        inner = zip(spread.free, (int(p) for p in np.unravel_index(place, extents)), strict=True) if extents else ()
        point = {**spread.point, **dict(inner)}
        order = [i for i in spread.scope if i.size > 1] or list(spread.scope)
        opened.append(Term(tuple((i, point[i]) for i in order), tracer.open(spread.product, point)))
    rest = [value for k, value in enumerate(values) if k not in set(chosen)]
    zeros = sum(value == 0 for value in rest)
    everything = total(values)
    return Reduction(Const(everything), everything, "sum", len(terms), tuple(opened), len(rest), zeros, total(rest))
