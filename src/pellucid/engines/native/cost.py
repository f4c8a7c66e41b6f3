"""What a schedule costs, counted on paper.

The model counts what the generated loops do on one core:

    multiply-adds   two vectors per cycle at best; fewer when too few accumulators hide the latency of one
    loads           two per cycle; a tile of r x v accumulators loads r + v values for r * v products
    tiles           starting and storing the accumulators once per tile, short loops, horizontal sums
    traffic         cache lines that come from the second cache, the last cache and memory

and adds up cycles. The constants are rounded from measurements on current x86 cores; what matters is the
order in which candidates come out, and bench/contraction.py compares it with measured times.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, gcd, log2, prod

from pellucid.engines.native.contraction import Access, Contraction, Schedule, Window, complete
from pellucid.engines.native.cpu import FLOATS_PER_LINE, Caches, Target, caches
from pellucid.engines.native.prefetch import ahead, sparse

WAYS = 8  # lines per set, in caches of all levels
USABLE = 0.7  # of a cache: the last is shared, the others also hold what the model does not see
LATENCY = 4  # cycles from one multiply-add to the next on the same accumulator
PER_CYCLE = 2  # multiply-adds, and also loads, per cycle
LOAD = 0.03  # cycles that a load costs even when multiply-adds hide it
DECODED = 6  # instructions per cycle
TILE_OVERHEAD = 12  # cycles to enter and leave a register tile
WINDOW_OVERHEAD = 6  # ... and to find out which part of a window it sees
LINE_CYCLES = (1.0, 3.0, 16.0)  # cycles per line from the second cache, the last cache, memory
SCATTERED = 2  # lines a few at a time, far apart, cost as many when they come from beyond the first cache
SPARSE = 4  # ... and as many where the innermost loop jumps through what may be in memory only
EXPOSED = 0.2  # the part of these cycles that out-of-order execution and prefetching do not hide


@dataclass(frozen=True)
class Estimate:
    """Cycles on one core and what they are made of; `ideal` counts multiply-adds at full speed alone."""

    steps: float
    tiles: float
    lines: tuple[float, ...]
    ideal: float

    @property
    def cycles(self) -> float:
        """Core and caches work at the same time: the slowest decides, and some of the rest shows."""
        moving = [cycles * count for cycles, count in zip(LINE_CYCLES, self.lines, strict=True)]
        return max(self.steps + self.tiles, *moving) + EXPOSED * sum(moving)

    def __str__(self) -> str:
        first, second, last = self.lines
        return (
            f"{self.cycles:.3g} cycles, {100 * self.ideal / self.cycles:.0f}% of peak: "
            f"multiply-adds and loads {self.steps:.3g}, tiles {self.tiles:.3g}; "
            f"cache lines {first:.2g} from L2, {second:.2g} from L3, {last:.2g} from memory"
        )


def estimate(contraction: Contraction, schedule: Schedule, target: Target, sizes: Caches | None = None) -> Estimate:
    """What the schedule should cost on one core of the target with these caches (default: this machine's)."""
    return Model(contraction, target, sizes or caches()).estimate(complete(contraction, schedule, target))


@dataclass(frozen=True)
class Body:
    """One reduction step of a register tile: accumulators, registers in use at a time, cycles."""

    sums: int
    held: int
    cycles: float


@dataclass(frozen=True)
class _Footprint:
    """What a box of index values touches of one tensor: runs of neighbouring lines, `common` lines apart.

    `scattered` weights the lines by how hard they are to prefetch.
    """

    lines: float
    run: float
    common: int
    scattered: float

    def fits(self, capacity: float, each_step: bool) -> bool:
        """Whether the lines find room: strides of large powers of two share few of a cache's sets.

        Lines used at each step of a tile may fill a set but for one place, through which the others pass.
        """
        sets = 1 << max(0, round(log2(capacity / USABLE / WAYS)))
        shared = gcd(self.common, sets) if self.common else 1
        reached = sets * min(1.0, ceil(self.run) / shared)
        return self.lines <= min(capacity, reached * (WAYS - 1 if each_step else USABLE * WAYS))


@dataclass(frozen=True)
class _Reach:
    """What some loops cover of each index, and what they touch and fetch (by cache) of each tensor."""

    spans: Mapping[str, int]
    manners: tuple[float | None, ...]
    touched: tuple[_Footprint, ...]
    fetched: tuple[tuple[float, ...], ...]
    each_step: bool = False  # nothing but one step of the register tile


class Model:
    """The costs of schedules for one contraction on one target. Schedules must be complete.

    `cold` names the factors that nobody has just written: the caller's, which may come from memory.
    """

    def __init__(self, contraction: Contraction, target: Target, sizes: Caches, cold: Sequence[str] = ()) -> None:
        self.contraction, self.target, self.cold = contraction, target, cold
        self._accesses = (contraction.out, contraction.a, contraction.b)
        self._capacities = [USABLE * size / 64 for size in (sizes.first, sizes.second, sizes.last)]
        self._footprints: dict[tuple[float | None, ...], _Footprint] = {}
        self._cores: dict[tuple[object, ...], tuple[float, float]] = {}
        self._shares: dict[tuple[Window, int, int], float] = {}
        self._reaches: dict[tuple[object, ...], _Reach] = {}

    def estimate(self, schedule: Schedule) -> Estimate:
        steps, tiles = self.core(schedule)
        ideal = self.contraction.multiply_adds / self.target.lanes / PER_CYCLE
        return Estimate(steps, tiles * self.pieces(schedule), tuple(self.traffic(schedule)), ideal)

    # ---- the core

    def body(self, lane: str, vectors: int, tiles: Mapping[str, int], partial: int = 1) -> Body:
        """One reduction step of a tile with these sizes."""
        sums = vectors * prod(tiles.values())
        counts, loads = [], 0
        for access in (self.contraction.a, self.contraction.b):
            stride = access.stride(lane)
            count = _distinct((access.stride(index), size) for index, size in tiles.items())
            count *= vectors if stride else 1
            counts.append(count)
            loads += count * (1 if stride in (0, 1) else self.target.lanes + 1)
        # One operand stays in registers during a step, the other streams through one or two more.
        held = sums * partial + min(counts) + 1
        instructions = sums * (1 if self.target.fused else 2) + loads + 3
        busy = max(sums / PER_CYCLE, loads / PER_CYCLE, instructions / DECODED, LATENCY / partial)
        return Body(sums, held, busy + LOAD * loads)

    def core(self, schedule: Schedule) -> tuple[float, float]:
        """Cycles of (reduction steps, tile starts and ends), summed over full and left-over tiles.

        They depend on the register tile only, not on the order of the loops around it.
        """
        key = (schedule.lane, schedule.vectors, schedule.partial, schedule.unroll, *schedule.tiles.items())
        if key not in self._cores:
            self._cores[key] = self._core(schedule)
        return self._cores[key]

    def _core(self, schedule: Schedule) -> tuple[float, float]:
        contraction, lane = self.contraction, schedule.lane
        summed = lane in contraction.reduction
        steps, windows = self._reduction_steps(lane), contraction.windows
        tiled = dict(schedule.tiles) if summed else {**schedule.tiles, lane: schedule.vectors * self.target.lanes}
        repeats = prod(n for i, n in contraction.extents.items() if i not in contraction.reduction and i not in tiled)
        short = len(schedule.reduce) > 1 and contraction.extents[schedule.reduce[-1]] < 8
        loop = (1.5 if short else 0.3) / schedule.unroll
        moved = 1 if contraction.initial == "zero" else 2
        per_sum = moved + (5 if summed else 0) + (schedule.partial - 1) / 2
        row = contraction.row(lane)
        step_cycles = tile_cycles = 0.0
        for parts in itertools.product(*(self._splits(index, step) for index, step in tiled.items())):
            number = repeats * prod(count for count, _ in parts)
            sizes = dict(zip(tiled, (size for _, size in parts), strict=True))
            inside = prod(self._share(window, sizes, schedule) for window in windows)
            vectors = 1 if summed else ceil(sizes.pop(lane) / self.target.lanes)
            body = self.body(lane, vectors, sizes, schedule.partial)
            step_cycles += number * steps * inside * (body.cycles + loop)
            turned = vectors * self._turning(sizes, row) if row in sizes else 0.0
            tile_cycles += number * (TILE_OVERHEAD + WINDOW_OVERHEAD * len(windows) + body.sums * per_sum + turned)
        return step_cycles, tile_cycles

    def _turning(self, sizes: Mapping[str, int], row: str) -> float:
        """Cycles to turn a tile's squares before they are stored: a swap for each lane and each doubling."""
        lanes = self.target.lanes
        squares = prod(ceil(size / lanes) if index == row else size for index, size in sizes.items())
        return squares * lanes * (log2(lanes) + 1)

    def share(self, window: Window, schedule: Schedule) -> float:
        """The part of a window's inner loop that the tiles of a schedule run through, on average."""
        tiles = self._splits(window.outer, schedule.step(window.outer, self.target.lanes))
        shares = [number * self._share(window, {window.outer: size}, schedule) for number, size in tiles]
        return sum(shares) / sum(number for number, _ in tiles)

    def _share(self, window: Window, sizes: Mapping[str, int], schedule: Schedule) -> float:
        """The same for tiles of one size: full ones, or the one that is left over at the end."""
        if window.inner == schedule.lane:
            return 1.0
        key = (window, sizes.get(window.outer, 1), schedule.step(window.outer, self.target.lanes))
        if key not in self._shares:
            _, size, step = key
            outer, inner = self.contraction.extents[window.outer], self.contraction.extents[window.inner]
            starts = range(0, outer - step + 1, step) if size == step else (outer - size,)
            trips = [len(window.inside(start, start + size - 1, inner)) for start in starts]
            self._shares[key] = sum(trips) / len(trips) / inner
        return self._shares[key]

    def pieces(self, schedule: Schedule) -> int:
        """How many times a register tile is started and stored: once per cache block of the reduction."""
        finest = {loop.index: loop.step for loop in schedule.order if loop.index in self.contraction.reduction}
        return prod(ceil(self.contraction.extents[index] / step) for index, step in finest.items())

    def _reduction_steps(self, lane: str) -> float:
        contraction = self.contraction
        steps: float = prod(contraction.extents[i] for i in contraction.reduction if i != lane)
        for pair in contraction.ragged:
            if pair.inner in contraction.reduction and pair.inner != lane:
                steps *= pair.extent / (contraction.extents[pair.block] * contraction.extents[pair.inner])
        if lane in contraction.reduction:
            steps *= sum(number for number, _ in self._splits(lane, self.target.lanes))
        return steps

    def _splits(self, index: str, step: int) -> list[tuple[float, int]]:
        """How an index divides into register tiles: (how many, size) of full tiles and of the rest."""
        extent = self.contraction.extents[index]
        runs: list[tuple[float, int]] = [(1, extent)]
        for pair in self.contraction.ragged:
            if pair.inner == index:
                whole, rest = divmod(pair.extent, extent)
                blocks = self.contraction.extents[pair.block]
                runs = [(whole / blocks, extent), (1 / blocks, rest)]
        parts = [
            (count * number, size)
            for count, length in runs
            for number, size in ((length // step, step), (1, length % step))
        ]
        return [(count, size) for count, size in parts if count and size]

    # ---- the caches

    def traffic(self, schedule: Schedule) -> list[float]:
        """Lines that arrive in the first cache, the second and the last.

        From the innermost loop outwards: as long as what the body of a loop touches fits into a cache, the
        whole loop fetches each of its lines once; otherwise every iteration fetches again what its body
        fetches.
        """
        spans, manners = self._tile_spans(schedule), self._manners(schedule)
        path: tuple[object, ...] = (manners, *spans.values())
        reach = self._reached(path, lambda: self._start(spans, manners))
        for depth, (index, upto) in enumerate(self._inside_out(schedule)):
            if upto > reach.spans[index]:
                step = (index, upto, depth < len(schedule.reduce))
                path = (*path, step)
                reach = self._reached(path, partial(self._around, reach, *step))
        # What fits a cache altogether is taken to be there already, left by whoever made it.
        arriving = zip(reach.fetched, self._capacities, strict=True)
        # The output is claimed or read, and written back.
        return [0.0 if _fit(reach.touched, capacity) else 2 * out + a + b for (out, a, b), capacity in arriving]

    def _reached(self, path: tuple[object, ...], find: Callable[[], _Reach]) -> _Reach:
        """Schedules that agree in their inner loops share what these reach."""
        found = self._reaches.get(path)
        if found is None:
            found = self._reaches[path] = find()
        return found

    def _manners(self, schedule: Schedule) -> tuple[float | None, ...]:
        """What lines of a cold factor cost for the order in which it is walked through; None: as the lines lie."""
        found: dict[str, float] = {}
        for name in self.cold:
            if sparse(self.contraction, schedule, name, self.target.lanes):
                asked = ahead(self.contraction, schedule, name, self.target.lanes) is not None
                found[name] = 1 if asked else SPARSE
        return (None, found.get("a"), found.get("b"))

    def _start(self, spans: Mapping[str, int], manners: tuple[float | None, ...]) -> _Reach:
        touched = tuple(self._footprint(k, spans, manners[k]) for k in range(3))
        return _Reach(spans, manners, touched, tuple(_lines(touched, level) for level in range(3)), True)

    def _around(self, body: _Reach, index: str, upto: int, in_registers: bool) -> _Reach:
        """A loop over `index` around the loops so far; inside the register tile the output rests in registers."""
        trips = ceil(upto / body.spans[index])
        spans = {**body.spans, index: upto}
        touched = tuple(
            self._footprint(k, spans, body.manners[k]) if access.stride(index) else body.touched[k]
            for k, access in enumerate(self._accesses)
        )
        inner = body.touched[1:] if in_registers else body.touched
        fetched = tuple(
            _lines(touched, level)
            if _fit(inner, capacity, body.each_step)
            else tuple(trips * lines for lines in body.fetched[level])
            for level, capacity in enumerate(self._capacities)
        )
        return _Reach(spans, body.manners, touched, fetched)

    def _tile_spans(self, schedule: Schedule) -> dict[str, int]:
        """How many values of each index one reduction step of a register tile covers."""
        lanes, spans = self.target.lanes, {}
        for index, extent in self.contraction.extents.items():
            if index in self.contraction.reduction:
                span = lanes if index == schedule.lane else 1
            else:
                span = schedule.step(index, lanes)
            spans[index] = min(span, extent)
        return spans

    def _inside_out(self, schedule: Schedule) -> Iterator[tuple[str, int]]:
        """Loops from the innermost outwards, each with how far its index is covered once it is done."""
        extents, order = self.contraction.extents, schedule.order
        for index in reversed(schedule.reduce):
            yield index, min([extents[index], *(loop.step for loop in order if loop.index == index)])
        for position in range(len(order) - 1, -1, -1):
            index = order[position].index
            outer = [loop.step for loop in order[:position] if loop.index == index]
            yield index, min([extents[index], *outer])

    def _footprint(self, operand: int, spans: Mapping[str, int], manner: float | None) -> _Footprint:
        access = self._accesses[operand]
        key = (operand, manner, *map(spans.__getitem__, access.strides))
        found = self._footprints.get(key)
        if found is None:
            found = self._footprints[key] = _footprint(access, spans, manner)
        return found


def _distinct(dimensions: Iterable[tuple[int, int]]) -> int:
    """How many different elements a box of index values touches (equal strides overlap, as in a window)."""
    return prod(_by_stride(dimensions).values())


def _by_stride(dimensions: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Sizes by absolute stride; indices that move along the same axis reach a little further together."""
    sizes: dict[int, int] = {}
    for stride, size in dimensions:
        if stride:
            sizes[abs(stride)] = sizes.get(abs(stride), 1) + size - 1
    return sizes


def _footprint(access: Access, spans: Mapping[str, int], manner: float | None) -> _Footprint:
    sizes = _by_stride((stride, spans[index]) for index, stride in access.strides.items())
    run, count, common = 1, 1, 0
    for stride, size in sorted(sizes.items()):
        if size == 1:
            continue
        if stride <= max(run, FLOATS_PER_LINE):
            run += (size - 1) * stride
        else:
            count *= size
            common = gcd(common, stride)
    # A run that does not fill its lines touches one more now and then.
    each = run / FLOATS_PER_LINE + (0.75 if run % FLOATS_PER_LINE else 0)
    lines = count * each
    if manner is None:
        manner = SCATTERED if count > 1 and run <= 4 * FLOATS_PER_LINE else 1
    return _Footprint(lines, each, 0 if common % FLOATS_PER_LINE else common // FLOATS_PER_LINE, lines * manner)


def _lines(touched: Iterable[_Footprint], level: int) -> tuple[float, ...]:
    """Each tensor's lines, once; those that are hard to prefetch count more beyond the first cache."""
    return tuple(f.scattered if level else f.lines for f in touched)


def _fit(footprints: Sequence[_Footprint], capacity: float, each_step: bool = False) -> bool:
    return sum(f.lines for f in footprints) <= capacity and all(f.fits(capacity, each_step) for f in footprints)
