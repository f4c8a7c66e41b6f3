"""The register tile at the heart of a contraction's loops.

A register tile of accumulators (tile points x vectors) stays in registers while the reduction loops run; each loaded
operand is shared by every tile point that needs it. Where a factor is known to be zero (a window), these loops run
only over what some point of the tile needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from llvmlite import ir

from pellucid.engines.native.contraction import Access, Schedule
from pellucid.engines.native.cpu import FLOATS_PER_LINE
from pellucid.engines.native.cursor import Cursor, State
from pellucid.engines.native.emit import FLOAT, Emitter, Number, integer
from pellucid.engines.native.epilogue import Epilogue, Place, load_vector, store_vector
from pellucid.engines.native.prefetch import Ahead, ahead, claims
from pellucid.engines.native.transposition import transposed


@dataclass(frozen=True)
class Frame:
    """What all register tiles of a kernel share."""

    cursor: Cursor
    schedule: Schedule
    epilogue: Epilogue | None
    arguments: Mapping[str, ir.Value]

    @cached_property
    def blocked(self) -> tuple[str, ...]:
        """The indices whose sums rest in `out` between cache blocks."""
        summed = self.cursor.contraction.reduction
        return tuple(dict.fromkeys(loop.index for loop in self.schedule.order if loop.index in summed))

    @cached_property
    def ahead(self) -> dict[str, Ahead]:
        """What to ask for while a factor is read, by the factor's name."""
        lanes = self.cursor.emitter.target.lanes
        wanted = {name: ahead(self.cursor.contraction, self.schedule, name, lanes) for name in ("a", "b")}
        return {name: each for name, each in wanted.items() if each is not None}

    @cached_property
    def claims(self) -> bool:
        """Whether tiles ask for the lines they will write."""
        return claims(self.cursor.contraction, self.schedule)


class Tile:
    """Emits one register tile: start values, reduction loops, epilogue, stores."""

    def __init__(self, frame: Frame, state: State) -> None:
        self.frame, self.cursor, self.state, self.emitter = frame, frame.cursor, state, frame.cursor.emitter
        self.contraction, self.schedule = frame.cursor.contraction, frame.schedule
        self.lanes = self.emitter.target.lanes
        self.summed_lane = self.schedule.lane in self.contraction.reduction
        tiled = list(self.schedule.tiles)
        ranges = (range(state.sizes[index]) for index in tiled)
        self.points = [dict(zip(tiled, point, strict=True)) for point in itertools.product(*ranges)]
        width = 1 if self.summed_lane else state.sizes[self.schedule.lane]
        self.vectors = -(-width // self.lanes)
        self.tail = width - (self.vectors - 1) * self.lanes
        row = self.contraction.row(self.schedule.lane)
        self.row = row if row in self.schedule.tiles else None
        vector = ir.VectorType(FLOAT, self.lanes)
        self.sums = {
            (part, point, v): self.emitter.slot(vector)
            for part in range(self.schedule.partial)
            for point in range(len(self.points))
            for v in range(self.vectors)
        }

    def active(self, v: int) -> int:
        return self.tail if v == self.vectors - 1 else self.lanes

    def emit(self) -> None:
        e, state = self.emitter, self.state
        first: bool | ir.Value = True
        last: bool | ir.Value = True
        for index in self.frame.blocked:
            begin, end = state.ranges[index]
            first = e.both(first, e.equal(begin, 0))
            last = e.both(last, e.equal(end, self.contraction.extents[index]))
        self.start(first)
        if self.frame.claims:
            self.claim()
        self.reduce(0, self.windowed(state))
        self.close(first, last)

    def windowed(self, state: State) -> State:
        """Narrow reduction loops to what lies inside the windows for any point of this tile."""
        e = self.emitter
        for window in (each.rising for each in self.contraction.windows):
            if window.inner == self.schedule.lane:
                continue  # whole vectors are read anyway
            step, reach = window.inner_stride, window.outer_stride * (state.sizes[window.outer] - 1)
            place = e.add(e.multiply(state.values[window.outer], window.outer_stride), window.offset)
            low, high = e.add(place, min(reach, 0)), e.add(place, max(reach, 0))
            # Clamped to zero first: only numbers that are not negative can be divided.
            least = e.divide(_maximum(e, e.add(e.multiply(high, -1), step - 1), 0), step)[0]
            most = e.divide(_maximum(e, e.add(e.multiply(low, -1), window.extent - 1 + step), 0), step)[0]
            begin, end = state.ranges[window.inner]
            begin = _maximum(e, begin, least)
            state = self.cursor.narrow(state, window.inner, begin, _maximum(e, begin, e.minimum(end, most)))
        return state

    def address(self, name: str, point: int, v: int) -> ir.Value:
        distance = self.distance(name, self.points[point], v)
        return self.emitter.advance(self.state.pointers[name], distance)

    def read(self, name: str, point: int, v: int) -> ir.Value:
        lane = None if self.summed_lane else self.schedule.lane
        access = self.contraction.operands[name]
        return load_vector(self.emitter, self.address(name, point, v), access, lane, self.active(v))

    def start(self, first: bool | ir.Value) -> None:
        """Accumulators start from zero, from `out` or from the bias (summed lanes meet those in the end)."""
        e, zero = self.emitter, self.emitter.zero(self.lanes)
        for slot in self.sums.values():
            e.builder.store(zero, slot)
        if self.summed_lane:
            return
        source = self.first_source()
        for name, condition in ((source, first), ("out", _negate(e, first))):
            if name is None or condition is False:
                continue
            with e.when(condition):
                for (part, point, v), slot in self.sums.items():
                    if part == 0:
                        e.builder.store(self.read(name, point, v), slot)

    def claim(self) -> None:
        """Ask for the lines that this tile will write."""
        if self.row is not None:
            for places, here, v in self.squares():
                for lane in range(self.active(v)):
                    first = self.emitter.advance(here, lane * self.contraction.out.stride(self.schedule.lane))
                    for place in (first, self.emitter.advance(first, len(places) - 1)):
                        self.emitter.prefetch(place, write=True)
            return
        for point in range(len(self.points)):
            for v in range(self.vectors):
                self.emitter.prefetch(self.address("out", point, v), write=True)
            last = self.address("out", point, self.vectors - 1)
            self.emitter.prefetch(self.emitter.advance(last, self.tail - 1), write=True)

    def first_source(self) -> str | None:
        if self.contraction.initial == "zero":
            return None
        return "out" if self.contraction.initial == "out" else "initial"

    def reduce(self, level: int, state: State) -> None:
        """Emit the reduction loops from `level` on, then the multiply-adds."""
        e, reduce = self.emitter, self.schedule.reduce
        if level == len(reduce):
            self.body(state, self.lanes)
            return
        index = reduce[level]
        innermost = level == len(reduce) - 1
        if index == self.schedule.lane:
            for value, size in self.cursor.register_loop(state, index, self.lanes):
                fixed = self.cursor.fix(state, index, value, size)
                if innermost:
                    self.body(fixed, size)
                else:
                    self.reduce(level + 1, fixed)
            return
        begin, end = state.ranges[index]
        if innermost and self.schedule.unroll > 1:
            begin = self.unrolled(index, begin, end, state)
        if isinstance(begin, int) and isinstance(end, int) and begin == end:
            return
        with e.loop(begin, end) as value:
            fixed = self.cursor.fix(state, index, value, 1)
            if innermost:
                self.body(fixed, state.sizes.get(self.schedule.lane, self.lanes))
            else:
                self.reduce(level + 1, fixed)

    def unrolled(self, index: str, begin: Number, end: Number, state: State) -> Number:
        """The part of the innermost loop whose copies run together; returns where the rest begins."""
        e, copies = self.emitter, self.schedule.unroll
        if isinstance(begin, int) and isinstance(end, int):
            whole: Number = begin + (end - begin) // copies * copies
        else:
            length = e.builder.sub(integer(end), integer(begin))
            whole = e.add(begin, e.multiply(e.divide(length, copies)[0], copies))
        if begin == whole:
            return whole
        with e.loop(begin, whole, copies) as value:
            self.body(
                self.cursor.fix(state, index, value, 1),
                state.sizes.get(self.schedule.lane, self.lanes),
                [{index: copy} for copy in range(copies)],
            )
        return whole

    def body(self, state: State, width: int, copies: Sequence[Mapping[str, int]] = ({},)) -> None:
        """The multiply-adds of one reduction point, or of several neighbouring ones (copies)."""
        e = self.emitter
        loaded: dict[tuple[str, int, int], ir.Value] = {}
        for copy, shift in enumerate(copies):
            for k, v in self.streamed():
                point = {**self.points[k], **shift}
                left, right = (self.operand(name, point, v, width, state, loaded) for name in ("a", "b"))
                slot = self.sums[copy % self.schedule.partial, k, v]
                e.builder.store(e.multiply_add(left, right, e.builder.load(slot, typ=left.type)), slot)
            for name, each in self.frame.ahead.items():
                self.ask(each, state.pointers[name], e.add(state.values[each.row], shift.get(each.row, 0)))

    def ask(self, ahead: Ahead, place: ir.Value, row: Number) -> None:
        """Ask for a line of the next block: this tile's share of them, in the rows of its turn."""
        e = self.emitter
        number = e.divide(self.state.values[ahead.by], ahead.step)[0]
        turn, line = e.divide(number, ahead.lines)
        turn = e.divide(turn, ahead.group)[1]
        rows = e.add(turn, e.multiply(e.divide(row, ahead.group)[1], -1))
        away = e.add(e.multiply(rows, ahead.jump), e.add(e.multiply(line, FLOATS_PER_LINE), ahead.distance))
        e.prefetch(e.advance(place, away))

    def streamed(self) -> list[tuple[int, int]]:
        """Accumulators in the order of use: the operand with more values streams, the other is held.

        In any other order all values of both would be alive at once, and accumulators would spill.
        """
        pairs = list(itertools.product(range(len(self.points)), range(self.vectors)))
        ranks: dict[str, list[int]] = {}
        for name in ("a", "b"):
            distances = [self.distance(name, self.points[k], v) for k, v in pairs]
            first = {distance: rank for rank, distance in enumerate(dict.fromkeys(distances))}
            ranks[name] = [first[distance] for distance in distances]
        stream = max(("a", "b"), key=lambda name: max(ranks[name]))
        return [pair for _, pair in sorted(zip(ranks[stream], pairs, strict=True))]

    def distance(self, name: str, point: Mapping[str, int], v: int) -> int:
        """Elements from the start of the tile to an operand's value for a tile point and vector."""
        access = self.contraction.operands[name]
        return access.at(point) + (0 if self.summed_lane else v * self.lanes * access.stride(self.schedule.lane))

    def operand(
        self,
        name: str,
        point: Mapping[str, int],
        v: int,
        width: int,
        state: State,
        loaded: dict[tuple[str, int, int], ir.Value],
    ) -> ir.Value:
        """The value of an operand, loaded once for all accumulators that use it."""
        e, access = self.emitter, self.contraction.operands[name]
        stride = access.stride(self.schedule.lane)
        active = width if self.summed_lane else self.active(v)
        key = (name, self.distance(name, point, v), active if stride else 0)
        if key not in loaded:
            value = load_vector(e, e.advance(state.pointers[name], key[1]), access, self.schedule.lane, active)
            # Lanes that do not exist must add nothing to the sum over lanes, not even 0 * infinity.
            loaded[key] = e.keep(value, active) if self.summed_lane and stride == 0 else value
        return loaded[key]

    def close(self, first: bool | ir.Value, last: bool | ir.Value) -> None:
        """Join partial sums and lanes, apply the epilogue where the sum is complete, store."""
        e = self.emitter
        totals = {}
        for point, v in itertools.product(range(len(self.points)), range(self.vectors)):
            kind = ir.VectorType(FLOAT, self.lanes)
            parts = [e.builder.load(self.sums[p, point, v], typ=kind) for p in range(self.schedule.partial)]
            total = _tree_sum(e, parts)
            totals[point, v] = e.sum_lanes(total) if self.summed_lane else total
        if self.summed_lane:
            totals = self.join_scalars(totals, first)
        if self.epilogue_runs(last):
            with e.when(last):
                self.write(totals, self.frame.epilogue)
            if last is True:
                return
            with e.when(_negate(e, last)):
                self.write(totals, None)
        else:
            self.write(totals, None)

    def epilogue_runs(self, last: bool | ir.Value) -> bool:
        return self.frame.epilogue is not None and last is not False

    def join_scalars(
        self, totals: dict[tuple[int, int], ir.Value], first: bool | ir.Value
    ) -> dict[tuple[int, int], ir.Value]:
        """Add what the sum started from to sums whose lanes were joined."""
        e, source = self.emitter, self.first_source()
        slots = {key: e.slot(FLOAT) for key in totals}
        for key, total in totals.items():
            e.builder.store(total, slots[key])
        for name, condition in ((source, first), ("out", _negate(e, first))):
            if name is None or condition is False:
                continue
            with e.when(condition):
                for (point, v), total in totals.items():
                    e.builder.store(e.builder.fadd(self.read(name, point, v), total), slots[point, v])
        return {key: e.builder.load(slot, typ=FLOAT) for key, slot in slots.items()}

    def write(self, totals: Mapping[tuple[int, int], ir.Value], epilogue: Epilogue | None) -> None:
        e, lane = self.emitter, None if self.summed_lane else self.schedule.lane
        values = {i: self.state.values[i] for i in self.state.values if i not in self.contraction.reduction}
        bases: dict[tuple[str, Access], ir.Value] = {}
        finished: dict[tuple[int, int], ir.Value] = {}
        for (point, v), total in totals.items():
            value = total
            if epilogue is not None:
                where = dict(self.points[point])
                if lane is not None:
                    where[lane] = v * self.lanes
                place = Place(e, self.frame.arguments, values, where, lane, self.active(v), bases)
                value = epilogue(place, total)
            if self.row is None:
                store_vector(e, value, self.address("out", point, v), self.contraction.out, lane, self.active(v))
            finished[point, v] = value
        if self.row is not None:
            self.store_turned(finished)

    def squares(self) -> Iterator[tuple[list[int], ir.Value, int]]:
        """The tile in squares that can be turned: points along a row, the address of the first, the vector's number."""
        rows: dict[tuple[tuple[str, int], ...], list[int]] = {}
        for number, point in enumerate(self.points):
            rows.setdefault(tuple((i, k) for i, k in point.items() if i != self.row), []).append(number)
        for along, v in itertools.product(rows.values(), range(self.vectors)):
            for begin in range(0, len(along), self.lanes):
                places = along[begin : begin + self.lanes]
                yield places, self.address("out", places[0], v), v

    def store_turned(self, values: Mapping[tuple[int, int], ir.Value]) -> None:
        """Store a tile whose lanes lie apart: turned in registers, each vector is a part of a row."""
        e, beside = self.emitter, self.contraction.out.stride(self.schedule.lane)
        for places, here, v in self.squares():
            square = [values[place, v] for place in places] + [e.zero(self.lanes)] * (self.lanes - len(places))
            for lane, vector in enumerate(transposed(e, square)[: self.active(v)]):
                e.store(vector, e.advance(here, lane * beside), len(places))


def _maximum(emitter: Emitter, left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int):
        return max(left, right)
    first, second = integer(left), integer(right)
    return emitter.builder.select(emitter.builder.icmp_signed(">", first, second), first, second)


def _negate(emitter: Emitter, condition: bool | ir.Value) -> bool | ir.Value:
    return not condition if isinstance(condition, bool) else emitter.builder.not_(condition)


def _tree_sum(emitter: Emitter, parts: list[ir.Value]) -> ir.Value:
    while len(parts) > 1:
        pairs = [emitter.builder.fadd(left, right) for left, right in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]
