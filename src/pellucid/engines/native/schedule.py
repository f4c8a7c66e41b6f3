"""Choosing a schedule: candidates, ranked by the cost model.

Nothing is tuned by running candidates, so the same machine always gets the same code, and choosing takes
milliseconds. First the register tile (lane, vectors, tile sizes) by what one core does; then the order of the
outer loops and the cache blocks of the reduction by traffic. `choose` returns an ordinary Schedule: print it,
change a field with dataclasses.replace, or write one by hand; `cost.estimate` explains any of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, prod

from pellucid.engines.native.contraction import Access, Contraction, Loop, Schedule, tasks
from pellucid.engines.native.cost import Model
from pellucid.engines.native.cpu import Caches, Target, caches

ENOUGH_TASKS = 48  # outer loops are flattened into tasks until there are this many
SMALLEST_TASK = 4000  # cycles; below this, handing out work costs more than it brings
TILES_KEPT = 4  # register tiles whose loop orders are compared
ORDERS_KEPT = 2  # loop orders that are also tried with cache blocks
BLOCKING_PAYS = 1.08  # ... where traffic makes the best order this much slower than the core alone
MANY_TASKS = 1000  # so many even themselves out
WINDOW = 11  # kernel sizes up to this count as windows


def choose(
    contraction: Contraction, target: Target, sizes: Caches | None = None,
    *, around: Sequence[Access] = (), cold: Sequence[str] = (),
) -> Schedule:  # fmt: skip
    """The cheapest schedule of those worth considering, with these caches (default: this machine's).

    `around` are the accesses of an epilogue: a lane is not worth considering if what it reads lies apart. `cold` names
    the factors that may come from memory.
    """
    turnable = tuple(
        index for index in contraction.extents
        if contraction.row(index) is not None and all(access.stride(index) in (0, 1) for access in around)
    )  # fmt: skip
    key = _Key(repr((contraction, turnable, cold)), contraction, turnable, tuple(cold))
    return _choose(key, target, sizes or caches())


def block_size(extent: int, target: Target) -> int:
    """How many output channels to store next to each other: two vectors, or fewer whole ones for narrow
    layers.
    """
    return target.lanes * min(2, ceil(extent / target.lanes))


@dataclass(frozen=True)
class _Key:
    """A contraction as a dictionary key: equal equations share one choice."""

    text: str
    contraction: Contraction
    turnable: tuple[str, ...] = ()
    cold: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.text == other.text


@lru_cache(maxsize=512)  # some kilobytes each
def _choose(key: _Key, target: Target, sizes: Caches) -> Schedule:
    contraction = key.contraction
    model = Model(contraction, target, sizes, key.cold)
    found: list[tuple[float, Schedule]] = []
    for tile in _best_tiles(model, key.turnable):
        plain = sorted((_priced(model, order) for order in _orders(model, tile)), key=lambda entry: entry[0])
        found.append(plain[0])
        # Partial sums that rest where lanes lie apart would be gathered again one by one.
        if contraction.row(tile.lane) is None and plain[0][0] > BLOCKING_PAYS * sum(model.core(tile)):
            for _, base in plain[:ORDERS_KEPT]:
                found.extend(_priced(model, candidate) for candidate in _blocked(contraction, base))
    best = found[0]
    for entry in found[1:]:
        # Earlier candidates are simpler: a later one must be clearly better.
        if entry[0] < best[0] * 0.995:
            best = entry
    return best[1]


def _priced(model: Model, schedule: Schedule) -> tuple[float, Schedule]:
    """A schedule with its tasks, and its cost when up to four workers share them."""
    candidate = _with_tasks(model.contraction, schedule)
    cycles = model.estimate(candidate).cycles
    most = min(4, max(1, int(cycles / SMALLEST_TASK)))
    uneven = [_imbalance(model.contraction, candidate, workers) for workers in {min(2, most), most}]
    return cycles * (1 + sum(uneven) / len(uneven)), candidate


def _imbalance(contraction: Contraction, schedule: Schedule, workers: int) -> float:
    """How much more than its share the busiest worker does, when each takes as many tasks in a row."""
    number = tasks(contraction, schedule)
    if number > MANY_TASKS or workers == 1:
        return ceil(number / workers) * workers / number - 1
    sizes = [1]  # of the tasks, in their order: the last block of a loop may be a small one
    for loop in schedule.order[: schedule.parallel]:
        extent = contraction.extents[loop.index]
        blocks = [min(loop.step, extent - begin) for begin in range(0, extent, loop.step)]
        sizes = [size * block for size in sizes for block in blocks]
    ends = [number * worker // workers for worker in range(workers + 1)]
    shares = [sum(sizes[begin:end]) for begin, end in itertools.pairwise(ends)]
    return max(shares) * workers / sum(sizes) - 1


def _with_tasks(contraction: Contraction, schedule: Schedule) -> Schedule:
    """Flatten as many leading output loops as give enough tasks of a worthwhile size."""
    # Two vectors per cycle, some sixteen lanes: a rough size is enough here.
    cycles = contraction.multiply_adds / 32
    chosen, number = 0, 1
    for loop in schedule.order:
        again = any(loop.index == earlier.index for earlier in schedule.order[:chosen])
        if again or loop.index in contraction.reduction or number >= ENOUGH_TASKS:
            break
        more = number * ceil(contraction.extents[loop.index] / loop.step)
        if number >= 4 and cycles / more < SMALLEST_TASK:
            break
        chosen, number = chosen + 1, more
    return replace(schedule, parallel=chosen)


# ---- register tiles


def _best_tiles(model: Model, turnable: Sequence[str]) -> list[Schedule]:
    """The cheapest register tiles; of equally cheap ones those whose loads lie closest together."""
    contraction = model.contraction
    found = list(_tiles(model, turnable))
    costs = [sum(model.core(schedule)) for schedule in found]
    cheapest = min(costs)

    def rank(entry: tuple[float, Schedule]) -> tuple[float, ...]:
        cost, schedule = entry
        sums = schedule.vectors * prod(schedule.tiles.values())
        inputs = (contraction.a, contraction.b)
        spread = sum(abs(access.stride(index)) for index in schedule.tiles for access in inputs)
        return round(50 * cost / cheapest), -min(schedule.vectors, 2), len(schedule.tiles), -sums, spread

    near = [s for cost, s in sorted(zip(costs, found, strict=True), key=rank) if cost <= cheapest * 1.06]
    kept: dict[tuple[str, ...], Schedule] = {}
    for schedule in near:
        # One per choice of indices: what they share in the caches differs more than sizes do.
        kept.setdefault((schedule.lane, *schedule.tiles), schedule)
    # Where lanes are summed both factors are read as vectors: a square tile needs fewest, if they come from afar.
    squares = [s for s in near if s.lane in contraction.reduction and len(s.tiles) == 2]
    square = min(squares, key=lambda s: sum(s.tiles.values()) / prod(s.tiles.values()), default=near[0])
    chosen = list(kept.values())[:TILES_KEPT]
    return chosen if square in chosen else [*chosen, square]


def _tiles(model: Model, turnable: Sequence[str]) -> Iterator[Schedule]:
    """Register tiles of up to two indices besides the lane that fit into the registers."""
    contraction, target = model.contraction, model.target
    blocks = {pair.block for pair in contraction.ragged}
    reduce = _reduce_order(contraction)
    for lane in _lanes(contraction, turnable):
        summed, row = lane in contraction.reduction, contraction.row(lane)
        free = [
            index
            for index, extent in contraction.extents.items()
            if index not in contraction.reduction and index != lane and index not in blocks and extent > 1
        ]
        widest = 1 if summed else min(4, ceil(contraction.extents[lane] / target.lanes))
        groups: list[tuple[str, ...]] = [(), *((i,) for i in free), *itertools.combinations(free, 2)]
        for vectors, group in itertools.product(range(1, widest + 1), groups):
            if row is not None and row not in group:
                continue
            most = (target.registers - 2) // vectors
            for tile in itertools.product(*(_sizes(contraction.extents[index], most) for index in group)):
                if prod(tile) <= most and 1 not in tile:
                    tiles = dict(zip(group, tile, strict=True))
                    yield from _fitting(model, Schedule(lane, vectors, tiles, reduce=reduce, parallel=0))


def _fitting(model: Model, tile: Schedule) -> Iterator[Schedule]:
    """The tile if it fits into the registers; with several partial sums where accumulators are few."""
    sums = tile.vectors * prod(tile.tiles.values())
    for partial in (1, 2, 4):
        if partial > 1 and sums * partial > 16:
            break
        held = model.body(tile.lane, tile.vectors, tile.tiles, partial).held
        if held <= model.target.registers or sums == partial == 1:
            yield tile if partial == 1 else replace(tile, unroll=partial, partial=partial)


def _lanes(contraction: Contraction, turnable: Sequence[str]) -> list[str]:
    """Indices that can share a vector: neighbours in memory, or constant, in every operand.

    Also those that are so in the factors and whose results can be turned before they are stored.
    """
    inputs = (contraction.a, contraction.b)
    blocks = {pair.block for pair in contraction.ragged}
    usable, turned = [], []
    for index in contraction.extents:
        strides = [access.stride(index) for access in inputs]
        if index in blocks:
            continue
        if index in contraction.reduction:
            usable += [index] if strides == [1, 1] else []
        elif all(stride in (0, 1) for stride in strides):
            usable += [index] if contraction.out.stride(index) == 1 else []
            turned += [index] if contraction.row(index) is not None else []
    usable = [*usable, *(i for i in turned if i in turnable)] if usable else turned
    # No such index: elements are gathered one by one along the longest output index. Correct, and slow.
    outputs = [i for i in contraction.extents if i not in contraction.reduction and i not in blocks]
    anything = outputs or [i for i in contraction.extents if i not in blocks]
    return usable or [max(anything, key=lambda index: contraction.extents[index])]


def _sizes(extent: int, most: int) -> list[int]:
    """Tile sizes worth trying for an extent: even splits, and the largest that fits."""
    return sorted({ceil(extent / parts) for parts in range(ceil(extent / most), extent + 1)} | {min(extent, most)})


def _reduce_order(contraction: Contraction) -> tuple[str, ...]:
    """Reduction loops by falling stride, so that the innermost walks through neighbouring memory."""
    inner = {pair.block: pair.inner for pair in contraction.ragged}

    def reach(index: str) -> int:
        strides = abs(contraction.a.stride(index)) + abs(contraction.b.stride(index))
        return max(strides, reach(inner[index]) + 1) if index in inner else strides

    return tuple(sorted(contraction.reduction, key=reach, reverse=True))


# ---- loop orders


def _orders(model: Model, tile: Schedule) -> Iterator[Schedule]:
    """Output loops in every sensible order; kernel positions innermost, where their windows overlap."""
    contraction, lanes = model.contraction, model.target.lanes
    out = [Loop(i, tile.step(i, lanes)) for i in contraction.extents if i not in contraction.reduction]
    short = [loop for loop in out if contraction.extents[loop.index] <= loop.step]
    window = [loop for loop in out if loop not in short and _is_window(contraction, loop.index)]
    long = [loop for loop in out if loop not in short and loop not in window]
    for order in itertools.permutations(long) if len(long) <= 4 else [tuple(long)]:
        loops = _blocks_first(contraction, (*order, *window, *short))
        yield replace(tile, order=loops)


def _blocks_first(contraction: Contraction, loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
    """The same loops, with the loop over ragged blocks ahead of the one inside them."""
    ordered = list(loops)
    for pair in contraction.ragged:
        names = [loop.index for loop in ordered]
        if pair.block in names and pair.inner in names and names.index(pair.inner) < names.index(pair.block):
            ordered.insert(names.index(pair.inner), ordered.pop(names.index(pair.block)))
    return tuple(ordered)


def _is_window(contraction: Contraction, index: str) -> bool:
    """A kernel position: it moves along the same axis as a longer reduction index, over a few places."""
    extent = contraction.extents[index]
    for access in (contraction.a, contraction.b):
        stride = access.stride(index)
        for other in contraction.reduction:
            along = stride and access.stride(other) and access.stride(other) % stride == 0
            if along and extent <= WINDOW and contraction.extents[other] > extent:
                return True
    return False


def _blocked(contraction: Contraction, base: Schedule) -> Iterator[Schedule]:
    """The same order with cache blocks of the reduction between its loops."""
    order = base.order
    for blocks in _reduction_blocks(contraction, base):
        for cut in range(len(order)):
            if cut and _is_window(contraction, order[cut].index):
                break
            yield replace(base, order=(*order[:cut], *blocks, *order[cut:]))
            coarse = _coarse(contraction, order[cut:])
            if coarse:
                yield replace(base, order=(*order[:cut], *coarse, *blocks, *order[cut:]))


def _reduction_blocks(contraction: Contraction, base: Schedule) -> Iterator[tuple[Loop, ...]]:
    """Outer reduction loops one by one, and sizes of the next, so that a block has 100 to 4000 steps."""
    inner = {pair.inner for pair in contraction.ragged}
    names = [index for index in base.reduce if index != base.lane]
    inside = prod(contraction.extents[index] for index in names)
    ahead: tuple[Loop, ...] = ()
    for index in names:
        if index in inner:
            return
        extent = contraction.extents[index]
        inside //= extent
        for step in (2**power for power in range(10)):
            if step < extent and 100 <= step * inside <= 4000:
                yield (*ahead, Loop(index, step))
        ahead = (*ahead, Loop(index, 1))


def _coarse(contraction: Contraction, loops: Sequence[Loop]) -> tuple[Loop, ...]:
    """A coarse block of the first long loop, so that there are tasks to share before the reduction is cut."""
    blocks = {pair.block for pair in contraction.ragged}
    for loop in loops:
        parts = contraction.extents[loop.index] // loop.step
        if parts >= 4 and loop.index not in blocks:
            return (Loop(loop.index, loop.step * ceil(parts / 8)),)
    return ()
