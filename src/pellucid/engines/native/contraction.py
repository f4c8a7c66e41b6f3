"""One generator turns every affine sum-of-products equation into machine code.

    out[f(i)] (+)= sum over reduction indices of  a[g(i)] * b[h(i)]        f, g, h affine in the indices

Convolutions, their two gradients, dense layers and theirs are all of this form and differ in strides only. The module
keeps two things apart: a `Contraction` says what is computed, a `Schedule` says how. No schedule changes which elements
are read or written; only the order in which the products of one output element are added depends on it.

How the code runs: outer loops (cache blocks, then register tiles) walk over the output. At their heart a register tile
of accumulators (tile points x vectors) stays in registers while the reduction loops run; each loaded operand is
shared by every tile point that needs it. Extents need not divide by anything: what is left over runs through a second,
smaller copy of the tile, and the last lanes of a vector are masked.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Literal

from llvmlite import ir

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import I64, POINTER, Emitter, Number, integer


@dataclass(frozen=True)
class Access:
    """Where an element lies: `offset` + the sum of index * stride, in elements from the tensor's base pointer."""

    strides: Mapping[str, int]
    offset: int = 0

    def stride(self, index: str) -> int:
        return self.strides.get(index, 0)

    def at(self, point: Mapping[str, int]) -> int:
        """The distance (elements) that the static index values of `point` add."""
        return sum(self.stride(index) * value for index, value in point.items())

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.strides.items())), self.offset))


@dataclass(frozen=True)
class Ragged:
    """An index stored as (block, inner): only block * size(inner) + inner < extent exists; the rest is never touched."""

    block: str
    inner: str
    extent: int


@dataclass(frozen=True)
class Contraction:
    """What is computed. Indices without a stride in `out` are summed over.

    `initial` is the value a sum starts from: zero, the present content of `out`, or an element of a further tensor
    (a bias, given by its access). Distinct index values must lead to distinct elements of `out`.
    """

    extents: Mapping[str, int]
    out: Access
    a: Access
    b: Access
    initial: Literal["zero", "out"] | Access = "zero"
    ragged: tuple[Ragged, ...] = ()

    def __post_init__(self) -> None:
        for name, access in self.operands.items():
            for index in access.strides:
                if index not in self.extents:
                    raise ValueError(
                        f"contraction: {name} uses index '{index}', but the indices are {list(self.extents)}"
                    )
        for index, extent in self.extents.items():
            if extent < 1:
                raise ValueError(f"contraction: index '{index}' must have extent >= 1, got {extent}")
        for pair in self.ragged:
            blocks = -(-pair.extent // self.extents[pair.inner])
            if self.extents[pair.block] != blocks:
                raise ValueError(
                    f"contraction: {pair.extent} elements in blocks of {self.extents[pair.inner]} are {blocks} blocks, "
                    f"but index '{pair.block}' has extent {self.extents[pair.block]}"
                )

    @cached_property
    def operands(self) -> dict[str, Access]:
        """The tensors in the order of the kernel's pointer arguments."""
        operands = {"out": self.out, "a": self.a, "b": self.b}
        return operands if isinstance(self.initial, str) else operands | {"initial": self.initial}

    @cached_property
    def reduction(self) -> tuple[str, ...]:
        return tuple(index for index in self.extents if self.out.stride(index) == 0)

    @cached_property
    def multiply_adds(self) -> int:
        """Exact number of products."""
        total = prod(self.extents.values())
        for pair in self.ragged:
            total = total // (self.extents[pair.block] * self.extents[pair.inner]) * pair.extent
        return total

    def stops(self, index: str) -> tuple[int, ...]:
        """The possible ends of an index: its extent and, for the inner part of a ragged pair, the last block's."""
        ends = {self.extents[index]}
        for pair in self.ragged:
            if pair.inner == index and pair.extent % self.extents[index]:
                ends.add(pair.extent % self.extents[index])
        return tuple(sorted(ends))


def merge(contraction: Contraction, others: Sequence[Access] = ()) -> tuple[Contraction, tuple[Access, ...]]:
    """The same sum with neighbouring indices joined: (p, q) becomes one index wherever p moves by q's full extent.

    A 1x1 convolution becomes a matrix product this way, and a kernel row with its channels one long loop. `others`
    are accesses an epilogue uses; an index is joined only where they allow it, and they are returned rewritten.
    """
    extents = dict(contraction.extents)
    strides = [dict(access.strides) for access in (*contraction.operands.values(), *others)]
    fixed = {index for pair in contraction.ragged for index in (pair.block, pair.inner)}
    summed = set(contraction.reduction)
    joined = True
    while joined:
        joined = False
        for p, q in itertools.permutations([index for index in extents if index not in fixed], 2):
            if (p in summed) == (q in summed) and all(
                each.get(p, 0) == each.get(q, 0) * extents[q] for each in strides
            ):
                extents[q] *= extents.pop(p)
                strides = [{index: stride for index, stride in each.items() if index != p} for each in strides]
                joined = True
                break
    accesses = [
        Access(each, access.offset)
        for each, access in zip(strides, (*contraction.operands.values(), *others), strict=True)
    ]
    initial = contraction.initial if isinstance(contraction.initial, str) else accesses[3]
    count = len(contraction.operands)
    result = Contraction(extents, *accesses[:3], initial, contraction.ragged)
    return result, tuple(accesses[count:])


@dataclass(frozen=True)
class Loop:
    """An outer loop over `index` in steps of `step`; several loops over one index nest (cache blocks)."""

    index: str
    step: int = 1

    def __str__(self) -> str:
        return self.index if self.step == 1 else f"{self.index}:{self.step}"


@dataclass(frozen=True)
class Schedule:
    """How it is computed.

    lane       the index whose neighbours share a vector; if it is summed over, lanes are added at the end
    vectors    vectors of the lane index in the register tile
    tiles      register tile of further indices: accumulators = vectors * product of tiles
    order      outer loops, outermost first; the first `parallel` of them are flattened into tasks that can be
               computed by anyone in any order. A loop over a reduction index is a cache block: partial sums rest in `out`
    reduce     reduction loops inside the register tile, outermost first
    unroll     copies of the innermost reduction body; loads are shared between the copies
    partial    independent partial sums the copies are dealt to (hides the latency of few accumulators)
    """

    lane: str
    vectors: int = 1
    tiles: Mapping[str, int] = field(default_factory=dict)
    order: tuple[Loop, ...] = ()
    reduce: tuple[str, ...] = ()
    parallel: int = 1
    unroll: int = 1
    partial: int = 1

    def __str__(self) -> str:
        tiles = " ".join(f"{index}:{size}" for index, size in self.tiles.items())
        outer = " ".join(f"{'|' if k == self.parallel else ''}{loop}" for k, loop in enumerate(self.order))
        text = f"lane {self.lane} x {self.vectors}, tile [{tiles}], outer [{outer}], reduce [{' '.join(self.reduce)}]"
        text += f", unroll {self.unroll}" if self.unroll > 1 else ""
        return text + (f", partial sums {self.partial}" if self.partial > 1 else "")

    def __hash__(self) -> int:
        return hash(str(self))

    def step(self, index: str, lanes: int) -> int:
        """How many values of an index one register tile covers."""
        return self.vectors * lanes if index == self.lane else self.tiles.get(index, 1)


def tasks(contraction: Contraction, schedule: Schedule) -> int:
    """Number of independent tasks; the kernel's (begin, end) arguments select a range of them."""
    return prod(
        -(-contraction.extents[loop.index] // loop.step) for loop in schedule.order[: schedule.parallel]
    )


def complete(contraction: Contraction, schedule: Schedule, target: Target) -> Schedule:
    """The schedule with every loop spelled out; raises ValueError where it does not fit the contraction."""
    lanes, out = target.lanes, [i for i in contraction.extents if i not in contraction.reduction]
    order = list(schedule.order)
    reduce = schedule.reduce + tuple(i for i in contraction.reduction if i not in schedule.reduce)
    for index in out:
        step = schedule.step(index, lanes)
        steps = [loop.step for loop in order if loop.index == index]
        if not steps or steps[-1] != step:
            order.append(Loop(index, step))
            steps.append(step)
        for coarse, fine in itertools.pairwise(steps):
            if coarse % fine:
                raise ValueError(f"schedule: blocks of {coarse} over '{index}' must be a multiple of {fine}")
    done = replace(schedule, order=tuple(order), reduce=reduce)
    _check(contraction, done, lanes)
    return done


def _check(contraction: Contraction, schedule: Schedule, lanes: int) -> None:
    known = contraction.extents
    named = [schedule.lane, *schedule.tiles, *schedule.reduce, *(loop.index for loop in schedule.order)]
    for index in named:
        if index not in known:
            raise ValueError(f"schedule: no index '{index}' in this contraction; there are {list(known)}")
    for index in schedule.tiles:
        if index in contraction.reduction or index == schedule.lane:
            raise ValueError(
                f"schedule: '{index}' cannot be tiled: tile indices of the output that are not the lane"
            )
    for loop in schedule.order[: schedule.parallel]:
        if loop.index in contraction.reduction:
            raise ValueError(
                f"schedule: parallel loop over '{loop.index}', which is summed over; make it a later loop"
            )
    if schedule.lane in contraction.reduction and schedule.vectors != 1:
        raise ValueError("schedule: a lane that is summed over takes one vector")
    if schedule.unroll % schedule.partial:
        raise ValueError(
            f"schedule: unroll {schedule.unroll} must be a multiple of partial {schedule.partial}"
        )
    for pair in contraction.ragged:
        if schedule.step(pair.block, lanes) != 1:
            raise ValueError(f"schedule: '{pair.block}' numbers ragged blocks and cannot be tiled")
        places = [loop.index for loop in schedule.order] + list(schedule.reduce)
        if places.index(pair.inner) < len(places) - 1 - places[::-1].index(pair.block):
            raise ValueError(f"schedule: loop over '{pair.block}' before '{pair.inner}', its inner part")


@dataclass(frozen=True)
class Place:
    """Where an epilogue stands: one vector of one output tile, with the operands it may read or write there.

    `load` and `store` take the name of an extra pointer and an access over the output indices.
    """

    emitter: Emitter
    pointers: Mapping[str, ir.Value]
    values: Mapping[str, Number]
    point: Mapping[str, int]
    lane: str | None
    active: int

    @property
    def lanes(self) -> int:
        return self.emitter.target.lanes

    def _address(self, name: str, access: Access) -> ir.Value:
        total: Number = access.offset + access.at(self.point)
        for index, value in self.values.items():
            total = self.emitter.add(total, self.emitter.multiply(value, access.stride(index)))
        return self.emitter.advance(self.pointers[name], total)

    def load(self, name: str, access: Access) -> ir.Value:
        """The elements of an extra tensor that belong to this vector (a scalar where lanes are summed)."""
        return _load(self.emitter, self._address(name, access), access, self.lane, self.active)

    def store(self, name: str, access: Access, value: ir.Value) -> None:
        _store(self.emitter, value, self._address(name, access), access, self.lane, self.active)


Epilogue = Callable[[Place, ir.Value], ir.Value]
"""Turns finished sums into what is stored: (place, value) -> value. A vector, or a scalar where lanes are summed."""


def _load(emitter: Emitter, address: ir.Value, access: Access, lane: str | None, active: int) -> ir.Value:
    if lane is None:
        return emitter.load_scalar(address)
    lanes, stride = emitter.target.lanes, access.stride(lane)
    if stride == 0:
        return emitter.splat(emitter.load_scalar(address), lanes)
    if stride == 1:
        return emitter.load(address, lanes, active)
    return emitter.load_strided(address, stride, lanes, active)


def _store(
    emitter: Emitter, value: ir.Value, address: ir.Value, access: Access, lane: str | None, active: int
) -> None:
    if lane is None:
        emitter.store_scalar(value, address)
    elif access.stride(lane) == 1:
        emitter.store(value, address, active)
    else:
        emitter.store_strided(value, address, access.stride(lane), active)


def emit_contraction(
    module: ir.Module,
    name: str,
    contraction: Contraction,
    schedule: Schedule,
    target: Target,
    *,
    epilogue: Epilogue | None = None,
    extras: tuple[str, ...] = (),
) -> ir.Function:
    """Add `void name(out*, a*, b*, [initial*,] extras*..., i64 begin, i64 end)` to the module.

    begin..end selects tasks, 0 <= begin <= end <= tasks(contraction, schedule). All tensors are float32; no alignment
    is required. `out` must not overlap `a` or `b`. Raises ValueError where the schedule does not fit.
    """
    full = complete(contraction, schedule, target)
    pointers = (*contraction.operands, *extras)
    emitter = Emitter(module, name, [POINTER] * len(pointers) + [I64, I64], target)
    for argument in emitter.arguments[:3]:
        argument.add_attribute("noalias")
    _Nest(contraction, full, emitter, epilogue, dict(zip(pointers, emitter.arguments, strict=False))).emit()
    return emitter.finish()


@dataclass(frozen=True)
class _State:
    """What is known at one point of the loop nest.

    ranges     index -> [begin, end) still to be covered by inner loops
    values     index -> where the register tile starts
    sizes      index -> how many values the register tile covers (static)
    pointers   tensor -> address with all indices in `values` applied
    """

    ranges: Mapping[str, tuple[Number, Number]]
    values: Mapping[str, Number]
    sizes: Mapping[str, int]
    pointers: Mapping[str, ir.Value]


class _Nest:
    """Emits the loops of one contraction, outermost first."""

    def __init__(
        self,
        contraction: Contraction,
        schedule: Schedule,
        emitter: Emitter,
        epilogue: Epilogue | None,
        pointers: Mapping[str, ir.Value],
    ) -> None:
        self.contraction, self.schedule, self.emitter = contraction, schedule, emitter
        self.epilogue = epilogue
        self.lanes = emitter.target.lanes
        self.arguments = pointers
        self.blocked = [loop.index for loop in schedule.order if loop.index in contraction.reduction]

    def emit(self) -> None:
        e, operands = self.emitter, self.contraction.operands
        state = _State(
            ranges={index: (0, extent) for index, extent in self.contraction.extents.items()},
            values={},
            sizes={},
            pointers={
                name: e.advance(self.arguments[name], access.offset) for name, access in operands.items()
            },
        )
        with e.loop(*e.arguments[-2:]) as task:
            self.walk(0, self.decode(task, state))

    def decode(self, task: Number, state: _State) -> _State:
        """Narrow the parallel indices to the blocks that task number `task` stands for."""
        e = self.emitter
        for loop in reversed(self.schedule.order[: self.schedule.parallel]):
            extent = self.contraction.extents[loop.index]
            task, position = e.divide(task, -(-extent // loop.step))
            begin = e.multiply(position, loop.step)
            end = e.add(begin, loop.step)
            state = self.narrow(
                state, loop.index, begin, end if extent % loop.step == 0 else e.minimum(end, extent)
            )
        return state

    def narrow(self, state: _State, index: str, begin: Number, end: Number) -> _State:
        """Inner loops over `index` cover begin..end only; a block number also decides where its inner part ends."""
        ranges = {**state.ranges, index: (begin, end)}
        return replace(state, ranges=ranges)

    def fix(self, state: _State, index: str, value: Number, size: int) -> _State:
        """The register tile starts at `value` of `index` and covers `size` of its values."""
        e, pointers, ranges = self.emitter, dict(state.pointers), dict(state.ranges)
        for name, access in self.contraction.operands.items():
            pointers[name] = e.advance(pointers[name], e.multiply(value, access.stride(index)))
        for pair in self.contraction.ragged:
            if pair.block == index:
                inner = self.contraction.extents[pair.inner]
                left = e.add(e.multiply(value, -inner), pair.extent)
                ranges[pair.inner] = (0, e.minimum(left, inner) if pair.extent % inner else inner)
        return _State(ranges, {**state.values, index: value}, {**state.sizes, index: size}, pointers)

    def walk(self, level: int, state: _State) -> None:
        """Emit the outer loops from `level` on, then the register tile."""
        if level == len(self.schedule.order):
            _Tile(self, state).emit()
            return
        loop = self.schedule.order[level]
        last = all(later.index != loop.index for later in self.schedule.order[level + 1 :])
        if loop.index not in self.contraction.reduction and last:
            if level < self.schedule.parallel and loop.step == 1:
                self.walk(level + 1, self.fix(state, loop.index, state.ranges[loop.index][0], 1))
                return
            for value, size in self.register_loop(state, loop.index, loop.step):
                self.walk(level + 1, self.fix(state, loop.index, value, size))
        elif level < self.schedule.parallel:
            self.walk(level + 1, state)
        else:
            begin, end = state.ranges[loop.index]
            with self.emitter.loop(begin, end, loop.step) as value:
                stop = self.emitter.minimum(self.emitter.add(value, loop.step), end)
                self.walk(level + 1, self.narrow(state, loop.index, value, stop))

    def register_loop(self, state: _State, index: str, step: int) -> Iterator[tuple[Number, int]]:
        """Full tiles of an index, then what is left over: yields (start, size) while the loop is open.

        What is left depends only on where the index ends, because blocks are multiples of the tile.
        """
        e, (begin, end) = self.emitter, state.ranges[index]
        if isinstance(begin, int) and isinstance(end, int):
            whole: Number = begin + (end - begin) // step * step
        else:
            whole = e.add(end, 1 - step)
        if not isinstance(whole, int) or whole > 0:
            with e.loop(begin, whole, step) as value:
                yield value, step
        for stop in self.contraction.stops(index):
            here = e.equal(end, stop)
            if stop % step and here is not False:
                with e.when(here):
                    yield stop - stop % step, stop % step


class _Tile:
    """Emits one register tile: start values, reduction loops, epilogue, stores."""

    def __init__(self, nest: _Nest, state: _State) -> None:
        self.nest, self.state, self.emitter = nest, state, nest.emitter
        self.contraction, self.schedule, self.lanes = nest.contraction, nest.schedule, nest.lanes
        self.summed_lane = self.schedule.lane in self.contraction.reduction
        tiled = list(self.schedule.tiles)
        ranges = (range(state.sizes[index]) for index in tiled)
        self.points = [dict(zip(tiled, point, strict=True)) for point in itertools.product(*ranges)]
        width = 1 if self.summed_lane else state.sizes[self.schedule.lane]
        self.vectors = -(-width // self.lanes)
        self.tail = width - (self.vectors - 1) * self.lanes
        vector = ir.VectorType(ir.FloatType(), self.lanes)
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
        for index in dict.fromkeys(self.nest.blocked):
            begin, end = state.ranges[index]
            first = e.both(first, e.equal(begin, 0))
            last = e.both(last, e.equal(end, self.contraction.extents[index]))
        self.start(first)
        self.reduce(0, state)
        self.close(first, last)

    def address(self, name: str, point: int, v: int) -> ir.Value:
        access = self.contraction.operands[name]
        distance = access.at(self.points[point])
        if not self.summed_lane:
            distance += v * self.lanes * access.stride(self.schedule.lane)
        return self.emitter.advance(self.state.pointers[name], distance)

    def read(self, name: str, point: int, v: int) -> ir.Value:
        lane = None if self.summed_lane else self.schedule.lane
        access = self.contraction.operands[name]
        return _load(self.emitter, self.address(name, point, v), access, lane, self.active(v))

    def start(self, first: bool | ir.Value) -> None:
        """Accumulators start from zero, or from `out` or the bias unless lanes are summed (they join at the end)."""
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

    def first_source(self) -> str | None:
        if self.contraction.initial == "zero":
            return None
        return "out" if self.contraction.initial == "out" else "initial"

    def reduce(self, level: int, state: _State) -> None:
        """Emit the reduction loops from `level` on, then the multiply-adds."""
        e, reduce = self.emitter, self.schedule.reduce
        if level == len(reduce):
            self.body([state], self.lanes)
            return
        index = reduce[level]
        innermost = level == len(reduce) - 1
        if index == self.schedule.lane:
            for value, size in self.nest.register_loop(state, index, self.lanes):
                fixed = self.nest.fix(state, index, value, size)
                if innermost:
                    self.body([fixed], size)
                else:
                    self.reduce(level + 1, fixed)
            return
        begin, end = state.ranges[index]
        if innermost and self.schedule.unroll > 1:
            begin = self.unrolled(index, begin, end, state)
        if isinstance(begin, int) and isinstance(end, int) and begin == end:
            return
        with e.loop(begin, end) as value:
            fixed = self.nest.fix(state, index, value, 1)
            if innermost:
                self.body([fixed], state.sizes.get(self.schedule.lane, self.lanes))
            else:
                self.reduce(level + 1, fixed)

    def unrolled(self, index: str, begin: Number, end: Number, state: _State) -> Number:
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
                [self.nest.fix(state, index, value, 1)],
                state.sizes.get(self.schedule.lane, self.lanes),
                [{index: copy} for copy in range(copies)],
            )
        return whole

    def body(self, states: list[_State], width: int, copies: list[dict[str, int]] | None = None) -> None:
        """The multiply-adds of one reduction point (or several neighbouring ones)."""
        e, pointers = self.emitter, states[0].pointers
        loaded: dict[tuple[str, int, int], ir.Value] = {}

        def operand(name: str, point: Mapping[str, int], v: int) -> ir.Value:
            access = self.contraction.operands[name]
            stride = access.stride(self.schedule.lane)
            distance = access.at(point) + (0 if self.summed_lane else v * self.lanes * stride)
            active = width if self.summed_lane else self.active(v)
            key = (name, distance, active if stride else 0)
            if key not in loaded:
                address = e.advance(pointers[name], distance)
                value = _load(e, address, access, self.schedule.lane, active)
                # Lanes that do not exist must add nothing to the sum over lanes, not even 0 * infinity.
                loaded[key] = e.keep(value, active) if self.summed_lane and stride == 0 else value
            return loaded[key]

        for copy, extra in enumerate(copies or [{}]):
            for k, point in enumerate(self.points):
                for v in range(self.vectors):
                    slot = self.sums[copy % self.schedule.partial, k, v]
                    where = {**point, **extra}
                    product = operand("a", where, v), operand("b", where, v)
                    e.builder.store(e.multiply_add(*product, e.builder.load(slot, typ=product[0].type)), slot)

    def close(self, first: bool | ir.Value, last: bool | ir.Value) -> None:
        """Join partial sums and lanes, apply the epilogue where the sum is complete, store."""
        e = self.emitter
        totals = {}
        for point, v in itertools.product(range(len(self.points)), range(self.vectors)):
            kind = ir.VectorType(ir.FloatType(), self.lanes)
            parts = [e.builder.load(self.sums[p, point, v], typ=kind) for p in range(self.schedule.partial)]
            total = _tree_sum(e, parts)
            totals[point, v] = e.sum_lanes(total) if self.summed_lane else total
        if self.summed_lane:
            totals = self.join_scalars(totals, first)
        if self.epilogue_runs(last):
            with e.when(last):
                self.write(totals, self.nest.epilogue)
            if last is True:
                return
            with e.when(_negate(e, last)):
                self.write(totals, None)
        else:
            self.write(totals, None)

    def epilogue_runs(self, last: bool | ir.Value) -> bool:
        return self.nest.epilogue is not None and last is not False

    def join_scalars(
        self, totals: dict[tuple[int, int], ir.Value], first: bool | ir.Value
    ) -> dict[tuple[int, int], ir.Value]:
        """Add what the sum started from to sums whose lanes were joined."""
        e, source = self.emitter, self.first_source()
        slots = {key: e.slot(ir.FloatType()) for key in totals}
        for key, total in totals.items():
            e.builder.store(total, slots[key])
        for name, condition in ((source, first), ("out", _negate(e, first))):
            if name is None or condition is False:
                continue
            with e.when(condition):
                for (point, v), total in totals.items():
                    e.builder.store(e.builder.fadd(self.read(name, point, v), total), slots[point, v])
        return {key: e.builder.load(slot, typ=ir.FloatType()) for key, slot in slots.items()}

    def write(self, totals: Mapping[tuple[int, int], ir.Value], epilogue: Epilogue | None) -> None:
        e, lane = self.emitter, None if self.summed_lane else self.schedule.lane
        for (point, v), total in totals.items():
            value = total
            if epilogue is not None:
                where = dict(self.points[point])
                if lane is not None:
                    where[lane] = v * self.lanes
                values = {
                    i: self.state.values[i] for i in self.state.values if i not in self.contraction.reduction
                }
                value = epilogue(Place(e, self.nest.arguments, values, where, lane, self.active(v)), total)
            _store(e, value, self.address("out", point, v), self.contraction.out, lane, self.active(v))


def _negate(emitter: Emitter, condition: bool | ir.Value) -> bool | ir.Value:
    return not condition if isinstance(condition, bool) else emitter.builder.not_(condition)


def _tree_sum(emitter: Emitter, parts: list[ir.Value]) -> ir.Value:
    while len(parts) > 1:
        pairs = [
            emitter.builder.fadd(left, right) for left, right in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]
