"""Choosing a schedule by an estimate that can be read.

The estimate counts what the generated loops do on one core:

    multiply-adds   two vectors per cycle, at best; fewer when too few accumulators hide the latency of one
    loads           two per cycle; tile points share them, so a tile of r x v accumulators loads r + v values for r * v products
    tiles           starting and storing the accumulators once per tile, loops, horizontal sums
    traffic         cache lines that come from the second cache, the last cache and memory, from the footprint of each loop

Nothing is tuned by running candidates: the same machine always gets the same code. `choose` picks the cheapest of a
few hundred candidates; `estimate` explains any schedule, also one written by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, gcd, prod

from pellucid.engines.native.contraction import Access, Contraction, Loop, Schedule, complete, tasks
from pellucid.engines.native.cpu import Caches, Target, caches

FLOATS_PER_LINE = 16
SETS = 64  # of the first cache; larger caches repeat the pattern
LATENCY = 4  # cycles from one multiply-add to the next on the same accumulator
PER_CYCLE = 2  # multiply-adds, and also loads, per cycle
TILE_OVERHEAD = 12  # cycles to enter and leave a register tile
LINE_CYCLES = (1.0, 6.0, 16.0)  # cycles per line from the second cache, the last cache, memory
EXPOSED = 0.2  # the part of these cycles that out-of-order execution and prefetching do not hide
ENOUGH_TASKS = 48
SMALLEST_TASK = 4000  # cycles; below this, handing out work costs more than it brings


@dataclass(frozen=True)
class Estimate:
    """Cycles on one core, and what they are made of."""

    compute: float
    tiles: float
    lines: tuple[float, ...]
    ideal: float

    @property
    def cycles(self) -> float:
        return _total(self.compute + self.tiles, self.lines)

    def __str__(self) -> str:
        share = 100 * self.ideal / self.cycles
        first, second, last = self.lines
        return (
            f"{self.cycles:.3g} cycles, {share:.0f}% of peak: multiply-adds and loads {self.compute:.3g}, "
            f"tiles {self.tiles:.3g}; cache lines: {first:.2g} from L2, {second:.2g} from L3, {last:.2g} from memory"
        )


def _total(core: float, lines: Iterable[float]) -> float:
    """Cycles when the core and the caches work at the same time: the slowest decides, some of the rest shows."""
    moving = [cycles * count for cycles, count in zip(LINE_CYCLES, lines, strict=True)]
    return max(core, *moving) + EXPOSED * sum(moving)


# ---- the register tile


@dataclass(frozen=True)
class _Body:
    """One reduction step of a register tile: multiply-adds, loads, values to hold, cycles."""

    sums: int
    loads: int
    held: int
    cycles: float


def _distinct(strides: Sequence[int], sizes: Sequence[int]) -> int:
    """How many different elements a small box of index values touches (equal strides overlap, as in a window)."""
    by_stride: dict[int, int] = {}
    for stride, size in zip(strides, sizes, strict=True):
        if stride:
            by_stride[abs(stride)] = by_stride.get(abs(stride), 1) + size - 1
    return prod(by_stride.values())


def _body(
    contraction: Contraction, lane: str, vectors: int, tiles: Mapping[str, int], target: Target, partial: int
) -> _Body:
    sizes = list(tiles.values())
    counts, loads = [], 0
    for access in (contraction.a, contraction.b):
        count = _distinct([access.stride(index) for index in tiles], sizes)
        stride = access.stride(lane)
        count *= vectors if stride else 1
        counts.append(count)
        loads += count * (1 if stride in (0, 1) else target.lanes + 1)
    sums = vectors * prod(sizes)
    # One operand stays in registers during a step, the other streams through one or two more.
    held = sums * partial + min(counts) + 1
    busy = max(sums, loads) / PER_CYCLE
    decode = (sums * (1 if target.fused else 2) + loads + 3) / 6
    return _Body(sums, loads, held, max(busy, decode, LATENCY / partial))


def _splits(contraction: Contraction, index: str, step: int) -> list[tuple[int, int]]:
    """How an index divides into register tiles: (how many, size) of full tiles and of what is left over."""
    for pair in contraction.ragged:
        if pair.inner == index:
            blocks, rest = divmod(pair.extent, contraction.extents[index])
            parts = [(blocks, contraction.extents[index]), (1, rest)]
            scale = contraction.extents[pair.block]
            found = [
                (count * number / scale, size)
                for count, extent in parts
                if count and extent
                for number, size in ((extent // step, step), (1, extent % step))
                if number and size
            ]
            return found  # type: ignore[return-value]
    whole, rest = divmod(contraction.extents[index], step)
    return [(number, size) for number, size in ((whole, step), (1, rest)) if number and size]


def _core(contraction: Contraction, schedule: Schedule, target: Target) -> tuple[float, float]:
    """Cycles of (reduction steps, tile starts and ends), summed over full and left-over tiles."""
    summed = schedule.lane in contraction.reduction
    steps = prod(contraction.extents[i] for i in contraction.reduction if i != schedule.lane)
    for pair in contraction.ragged:
        if pair.inner in contraction.reduction and pair.inner != schedule.lane:
            steps = steps * pair.extent / (contraction.extents[pair.block] * contraction.extents[pair.inner])
    if summed:
        steps *= sum(number for number, _ in _splits(contraction, schedule.lane, target.lanes))
    tiled = dict(schedule.tiles)
    if not summed:
        tiled[schedule.lane] = schedule.vectors * target.lanes
    repeats = prod(
        contraction.extents[i]
        for i in contraction.extents
        if i not in contraction.reduction and i not in tiled
    )
    compute = tile_cycles = 0.0
    for parts in itertools.product(*(_splits(contraction, index, step) for index, step in tiled.items())):
        number = repeats * prod(count for count, _ in parts)
        sizes = dict(zip(tiled, (size for _, size in parts), strict=True))
        vectors = ceil(sizes.pop(schedule.lane) / target.lanes) if not summed else 1
        body = _body(contraction, schedule.lane, vectors, sizes, target, schedule.partial)
        moves = body.sums * (1 if contraction.initial == "zero" else 2)
        close = (
            TILE_OVERHEAD + moves + (body.sums * 5 if summed else 0) + body.sums * (schedule.partial - 1) / 2
        )
        loop_cost = 1.5 if len(schedule.reduce) > 1 and contraction.extents[schedule.reduce[-1]] < 8 else 0.3
        compute += number * steps * (body.cycles + loop_cost / schedule.unroll)
        tile_cycles += number * close
    return compute, tile_cycles


def _pieces(contraction: Contraction, schedule: Schedule) -> int:
    """How many times a register tile is started and stored: once per cache block of the reduction."""
    finest = {loop.index: loop.step for loop in schedule.order if loop.index in contraction.reduction}
    return prod(ceil(contraction.extents[index] / step) for index, step in finest.items())


# ---- caches


@dataclass(frozen=True)
class _Footprint:
    """What a box of index values touches of one tensor.

    lines      cache lines
    crowded    lines of a cache they keep busy: strides that are multiples of large powers of two share few sets
    scattered  lines weighted by how hard they are to prefetch: a few at a time, far apart, cost twice
    """

    lines: float
    crowded: float
    scattered: float


def _footprint(access: Access, spans: Mapping[str, int]) -> _Footprint:
    by_stride: dict[int, int] = {}
    for index, stride in access.strides.items():
        if stride and spans[index] > 1:
            by_stride[abs(stride)] = by_stride.get(abs(stride), 1) + spans[index] - 1
    run, count, common = 1, 1, 0
    for stride in sorted(by_stride):
        if stride <= max(run, FLOATS_PER_LINE):
            run += (by_stride[stride] - 1) * stride
        else:
            count *= by_stride[stride]
            common = gcd(common, stride)
    # A run that does not fill its lines touches one more now and then.
    each = run / FLOATS_PER_LINE + (0.75 if run % FLOATS_PER_LINE else 0)
    spacing = gcd(common // FLOATS_PER_LINE, SETS) if common and common % FLOATS_PER_LINE == 0 else 1
    lines = count * each
    scattered = 2 if count > 1 and run <= 4 * FLOATS_PER_LINE else 1
    return _Footprint(lines, lines * max(1.0, spacing / ceil(each)), lines * scattered)


def _traffic(contraction: Contraction, schedule: Schedule, target: Target, sizes: Caches) -> list[float]:
    """Lines that arrive in the first cache, the second and the last.

    From the innermost loop outwards: as long as the footprint of the body of a loop fits into a cache, the whole loop
    fetches each of its lines once; otherwise every iteration fetches again what its body fetches.
    """
    accesses = (contraction.out, contraction.a, contraction.b)
    weights = (2.0, 1.0, 1.0)  # the output is read or claimed, and written
    capacities = [0.7 * size / 64 for size in (sizes.first, sizes.second, sizes.last)]
    spans = {
        index: schedule.step(index, target.lanes) if index not in contraction.reduction else 1
        for index in contraction.extents
    }
    if schedule.lane in contraction.reduction:
        spans[schedule.lane] = target.lanes
    spans = {index: min(span, contraction.extents[index]) for index, span in spans.items()}
    footprint = [_footprint(access, spans) for access in accesses]
    fetched = [[f.lines for f in footprint], *([f.scattered for f in footprint] for _ in capacities[1:])]
    for index, upto in _inside_out(contraction, schedule):
        trips = ceil(upto / spans[index])
        if trips <= 1:
            continue
        inner = sum(f.crowded for f in footprint)
        spans[index] = upto
        footprint = [
            _footprint(access, spans) if access.stride(index) else same
            for access, same in zip(accesses, footprint, strict=True)
        ]
        for k, capacity in enumerate(capacities):
            if inner > capacity:
                fetched[k] = [trips * lines for lines in fetched[k]]
            else:
                fetched[k] = [f.lines if k == 0 else f.scattered for f in footprint]
    return [sum(w * lines for w, lines in zip(weights, level, strict=True)) for level in fetched]


def _inside_out(contraction: Contraction, schedule: Schedule) -> Iterator[tuple[str, int]]:
    """Loops from the innermost outwards, each with how far its index is covered once it is done."""
    blocks: dict[str, list[int]] = {}
    for loop in schedule.order:
        blocks.setdefault(loop.index, []).append(loop.step)
    for index in reversed(schedule.reduce):
        yield index, min([contraction.extents[index], *blocks.get(index, [])])
    for position in range(len(schedule.order) - 1, -1, -1):
        index = schedule.order[position].index
        outer = [loop.step for loop in schedule.order[:position] if loop.index == index]
        yield index, min([contraction.extents[index], *outer])


def estimate(
    contraction: Contraction, schedule: Schedule, target: Target, sizes: Caches | None = None
) -> Estimate:
    """What the schedule should cost on one core of the target with these caches (default: this machine's)."""
    full = complete(contraction, schedule, target)
    compute, tile_cycles = _core(contraction, full, target)
    lines = _traffic(contraction, full, target, sizes or caches())
    ideal = contraction.multiply_adds / target.lanes / PER_CYCLE
    return Estimate(compute, tile_cycles * _pieces(contraction, full), tuple(lines), ideal)


# ---- candidates


def choose(contraction: Contraction, target: Target, sizes: Caches | None = None) -> Schedule:
    """The cheapest schedule of those worth considering; the same answer every time.

    First the register tile (lane, vectors, tile sizes) by what one core does, then the order of the loops and the
    cache blocks by traffic.
    """
    return _choose(_key(contraction), target, sizes or caches())


@dataclass(frozen=True)
class _Hashable:
    """A contraction as a key: equal equations share one choice."""

    text: str
    contraction: Contraction

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable) and self.text == other.text


def _key(contraction: Contraction) -> _Hashable:
    return _Hashable(repr(contraction), contraction)


@lru_cache(maxsize=4096)
def _choose(key: _Hashable, target: Target, sizes: Caches) -> Schedule:
    contraction = key.contraction
    best: tuple[float, Schedule] | None = None
    for tile in _best_tiles(contraction, target, keep=3):
        compute, tile_cycles = _core(contraction, tile, target)

        def cost(order: Schedule) -> tuple[float, Schedule]:
            candidate = _with_tasks(contraction, order, compute, target)
            core = compute + tile_cycles * _pieces(contraction, candidate)
            cycles = _total(core, _traffic(contraction, candidate, target, sizes))
            return cycles * _imbalance(tasks(contraction, candidate), cycles), candidate

        plain = sorted(
            (cost(order) for order in _orders(contraction, tile, target)), key=lambda found: found[0]
        )
        blocked = (cost(order) for _, base in plain[:3] for order in _blocked(contraction, base))
        for found in itertools.chain(plain[:1], blocked):
            if best is None or found[0] < best[0] * 0.995:
                best = found
    if best is None:
        raise ValueError(f"schedule: no register tile fits {contraction}")
    return best[1]


def _imbalance(number: int, cycles: float) -> float:
    """How much longer four workers take because tasks do not divide evenly; small work is not worth sharing."""
    workers = min(4, max(1, int(cycles / SMALLEST_TASK)))
    return 1 + 0.3 * (ceil(number / workers) * workers / number - 1)


def _lanes(contraction: Contraction, target: Target) -> list[str]:
    """Indices that can share a vector: neighbours in memory, or constant, in every operand."""
    blocks = {pair.block for pair in contraction.ragged}
    usable = []
    for index in contraction.extents:
        out, inputs = (
            contraction.out.stride(index),
            [contraction.a.stride(index), contraction.b.stride(index)],
        )
        neighbours = out == 1 if index not in contraction.reduction else all(s == 1 for s in inputs)
        if neighbours and all(s in (0, 1) for s in inputs) and index not in blocks:
            usable.append(index)
    # No such index: elements are gathered one by one along the longest output index. Correct, and slow.
    return usable or [
        max(
            (i for i in contraction.extents if i not in contraction.reduction and i not in blocks),
            key=lambda index: contraction.extents[index],
            default=next(iter(contraction.extents)),
        )
    ]


def _sizes(extent: int, most: int) -> list[int]:
    """Tile sizes worth trying for an extent: even splits, and the largest that fits."""
    return sorted(
        {ceil(extent / parts) for parts in range(ceil(extent / most), extent + 1)} | {min(extent, most)}
    )


def _best_tiles(contraction: Contraction, target: Target, keep: int) -> list[Schedule]:
    """The cheapest register tiles; of equally cheap ones those whose loads lie closest together."""
    reduce = _reduce_order(contraction)
    found = [replace(schedule, reduce=reduce) for schedule in _tile_candidates(contraction, target)]
    costs = [sum(_core(contraction, schedule, target)) for schedule in found]
    cheapest = min(costs, default=0.0)

    def rank(entry: tuple[float, Schedule]) -> tuple[float, ...]:
        cost, schedule = entry
        spread = sum(
            abs(access.stride(index)) for index in schedule.tiles for access in (contraction.a, contraction.b)
        )
        sums = schedule.vectors * prod(schedule.tiles.values())
        return round(50 * cost / cheapest), -min(schedule.vectors, 2), len(schedule.tiles), -sums, spread

    ranked = sorted(zip(costs, found, strict=True), key=rank)
    return [schedule for cost, schedule in ranked if cost <= cheapest * 1.05][:keep]


def _tile_candidates(contraction: Contraction, target: Target) -> Iterator[Schedule]:
    blocks = {pair.block for pair in contraction.ragged}
    for lane in _lanes(contraction, target):
        summed = lane in contraction.reduction
        free = [
            i
            for i in contraction.extents
            if i not in contraction.reduction and i != lane and i not in blocks and contraction.extents[i] > 1
        ]
        widest = 1 if summed else min(4, ceil(contraction.extents[lane] / target.lanes))
        groups: list[tuple[str, ...]] = [(), *((i,) for i in free), *itertools.combinations(free, 2)]
        for vectors, group in itertools.product(range(1, widest + 1), groups):
            if any(
                pair.inner == lane and contraction.extents[lane] % (vectors * target.lanes)
                for pair in contraction.ragged
            ):
                continue
            most = (target.registers - 2) // vectors
            for tile in itertools.product(*(_sizes(contraction.extents[i], most) for i in group)):
                if prod(tile) > most or (group and 1 in tile):
                    continue
                yield from _fitting(contraction, lane, vectors, dict(zip(group, tile, strict=True)), target)


def _fitting(
    contraction: Contraction, lane: str, vectors: int, tiles: dict[str, int], target: Target
) -> Iterator[Schedule]:
    """The tile if it fits into the registers, with several partial sums where it has few accumulators."""
    for partial in (1, 2, 4):
        body = _body(contraction, lane, vectors, tiles, target, partial)
        if body.held <= target.registers and (partial == 1 or body.sums * partial <= 16):
            yield Schedule(lane, vectors, tiles, parallel=0, unroll=partial, partial=partial)


def _reduce_order(contraction: Contraction) -> tuple[str, ...]:
    """Reduction loops by falling stride, so that the innermost walks through neighbouring memory."""
    blocks = {pair.block: pair.inner for pair in contraction.ragged}

    def reach(index: str) -> int:
        strides = abs(contraction.a.stride(index)) + abs(contraction.b.stride(index))
        return strides if index not in blocks else max(strides, reach(blocks[index]) + 1)

    return tuple(sorted(contraction.reduction, key=reach, reverse=True))


def _orders(contraction: Contraction, tile: Schedule, target: Target) -> Iterator[Schedule]:
    """Output loops in every sensible order; kernel positions innermost, where their windows overlap in the cache."""
    lanes = target.lanes
    out = [
        Loop(index, tile.step(index, lanes))
        for index in contraction.extents
        if index not in contraction.reduction
    ]
    short = [loop for loop in out if contraction.extents[loop.index] <= loop.step]
    window = [loop for loop in out if loop not in short and _is_window(contraction, loop.index)]
    long = [loop for loop in out if loop not in short and loop not in window]
    for order in _permutations(contraction, long):
        yield replace(tile, order=(*order, *window, *short))


def _blocked(contraction: Contraction, base: Schedule) -> Iterator[Schedule]:
    """The same order with cache blocks of the reduction between its loops."""
    order = base.order
    base = replace(base, parallel=0)
    for blocks in _reduction_blocks(contraction, base):
        for cut in range(len(order)):
            if _is_window(contraction, order[cut].index) and cut:
                break
            yield replace(base, order=(*order[:cut], *blocks, *order[cut:]))
            coarse = _coarse(contraction, order[cut:])
            if coarse:
                yield replace(base, order=(*order[:cut], *coarse, *blocks, *order[cut:]))


def _permutations(contraction: Contraction, loops: list[Loop]) -> Iterable[tuple[Loop, ...]]:
    """All orders of up to four loops (more: the given order), block numbers before their inner parts."""
    orders = itertools.permutations(loops) if len(loops) <= 4 else [tuple(loops)]
    for order in orders:
        names = [loop.index for loop in order]
        if all(
            pair.block not in names
            or pair.inner not in names
            or names.index(pair.block) < names.index(pair.inner)
            for pair in contraction.ragged
        ):
            yield tuple(order)


def _is_window(contraction: Contraction, index: str) -> bool:
    """A kernel position: it moves along the same memory axis as a reduction index, over a few places."""
    for access in (contraction.a, contraction.b):
        stride = access.stride(index)
        if stride and contraction.extents[index] <= 11:
            for other in contraction.reduction:
                if (
                    access.stride(other)
                    and access.stride(other) % stride == 0
                    and (contraction.extents[other] > contraction.extents[index])
                ):
                    return True
    return False


def _reduction_blocks(contraction: Contraction, tile: Schedule) -> Iterator[tuple[Loop, ...]]:
    """Cache blocks of the reduction: the outermost loops whole or in steps, so that a block has 100 to 4000 steps."""
    inner = {pair.inner for pair in contraction.ragged}
    names = [i for i in tile.reduce if i != tile.lane]
    inside = prod(contraction.extents[i] for i in names)
    ahead: list[Loop] = []
    for index in names:
        extent = contraction.extents[index]
        inside //= extent
        if index in inner:
            return
        steps = sorted({step for step in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if step < extent})
        for step in steps:
            if 100 <= step * inside <= 4000:
                yield (*ahead, Loop(index, step))
        ahead.append(Loop(index, 1))


def _coarse(contraction: Contraction, loops: Sequence[Loop]) -> tuple[Loop, ...]:
    """A coarse block of the first loop, so that tasks can be shared out before the reduction is blocked."""
    for loop in loops:
        parts = contraction.extents[loop.index] // loop.step
        if parts >= 4 and all(loop.index != pair.block for pair in contraction.ragged):
            return (Loop(loop.index, loop.step * ceil(parts / 8)),)
    return ()


def _with_tasks(contraction: Contraction, schedule: Schedule, cycles: float, target: Target) -> Schedule:
    """Flatten as many leading output loops as give enough tasks of a worthwhile size."""
    chosen = replace(schedule, parallel=0)
    for count in range(1, len(schedule.order) + 1):  # outermost loops first
        if schedule.order[count - 1].index in contraction.reduction:
            break
        candidate = replace(schedule, parallel=count)
        number = tasks(contraction, candidate)
        if tasks(contraction, chosen) >= 4 and cycles / number < SMALLEST_TASK:
            break
        chosen = candidate
        if number >= ENOUGH_TASKS:
            break
    return chosen
