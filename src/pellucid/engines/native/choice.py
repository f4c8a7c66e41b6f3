"""Which layout a program gets.

Where several sums of products share a layout, a rough estimate of the lanes they fill decides; the copies into it and
out of it hardly count. For a single sum they do: there all kernels of each layout are priced, copies included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.layout import LAYOUTS, batched_tensors
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.pricing import price
from pellucid.engines.native.product import sum_of_products
from pellucid.notation import Affine, Index, Program, Tensor
from pellucid.notation.expression import Reduce, accesses
from pellucid.notation.index import box
from pellucid.notation.selection import selection

HANDICAPS = {"images": 1.3, "channels": 1.1}
"""Measured: rows as lanes load more for each multiply-add; channels need their weights packed and unpacked."""

SHARED = 3_000_000
"""Lane slots from which on several threads share the work; blocks of images are then what each of them takes."""

STRIDED = 4
"""What gathering elements that are not neighbours costs."""

ROWS = 1.15
"""Measured: where lanes run along rows, sums of products take so much longer than priced, as others do not."""


def choose(program: Program, target: Target, lowered: Callable[[str], Iterable[Kernel]]) -> tuple[str, str]:
    """The layout that should take least time, and the reason in words; `lowered` makes a layout's kernels."""
    batched = batched_tensors(program)
    if batched is None:
        return "images", "images: the batch is not simply passed through"
    if sum(sum_of_products(e) is not None for e in program) != 1:
        return by_lanes(program, batched, target.lanes)
    prices = {name: price(lowered(name), target) for name in LAYOUTS}
    prices["images"] *= ROWS
    return _least(prices, "millions of cycles")


def by_lanes(program: Program, batched: Mapping[Tensor, int], lanes: int) -> tuple[str, str]:
    """The layout with the best use of lanes over all contractions, and the estimate in words."""
    size = next(iter(batched)).extents[0]
    work = dict.fromkeys(LAYOUTS, 0.0)
    for equation in program:
        reads = [a for a in (equation.left, *accesses(equation.value)) if a.tensor in batched]
        sums = [n for n in equation.value.walk() if isinstance(n, Reduce) and selection(n) is None]
        if not reads or not sums:
            continue
        over = [i for n in sums for i in n.indices]
        points = box(equation.indices) * sum(box(n.indices) for n in sums)
        inner = equation.indices if equation.tensor in batched else (*equation.indices, *over)
        work["images"] += points / _best_lane([a.at[-1] for a in reads], inner, lanes)
        work["batch"] += points / lane_use(size, lanes)
        work["channels"] += points / _best_lane([a.at[min(1, len(a.at) - 1)] for a in reads], inner, lanes)
    if work["batch"] > SHARED:
        work["batch"] *= _imbalance(-(-size // lanes))
    for name, handicap in HANDICAPS.items():
        work[name] *= handicap
    return _least(work, "millions of lane slots used by sums")


def _least(costs: dict[str, float], what: str) -> tuple[str, str]:
    name = min(costs, key=lambda each: costs[each])
    return name, f"{name}: {what}: {', '.join(f'{each} {cost / 1e6:.2f}' for each, cost in costs.items())}"


def _imbalance(blocks: int) -> float:
    """How much longer blocks take than their even share: between what it is for two workers and for four."""
    return sum(-(-blocks // workers) * workers / blocks for workers in (2, 4)) / 2


def _best_lane(last: list[Affine], inner: tuple[Index, ...], lanes: int) -> float:
    """The best use of lanes among the indices that walk through memory one element at a time."""
    best = 1 / lanes
    for index in inner:
        steps = {abs(a.coefficient(index)) for a in last}
        if 1 in steps:
            best = max(best, lane_use(index.size, lanes) / (1 if max(steps) == 1 else STRIDED))
    return best


def lane_use(extent: int, lanes: int) -> float:
    """The share of vector lanes that do something when an index of this extent runs over them."""
    return extent / (-(-extent // lanes) * lanes)
