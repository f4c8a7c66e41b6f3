"""Loop nests: everything that is not a contraction.

A nest computes one equation, or a chain of equations over the same indices, each reading at the same place what the
one before it wrote. One index runs over vector lanes: one in which as many tensors as possible have neighbouring
elements. Neighbouring loops that walk through memory in one stride are joined first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from llvmlite import ir

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import FLOAT, I32, I64, POINTER, Emitter, Number, integer, mask
from pellucid.engines.native.expression import Writer
from pellucid.engines.native.memory import Buffer
from pellucid.notation import Affine, Equation, Index, Tensor
from pellucid.notation.expression import (
    Access,
    Expression,
    Position,
    Reduce,
    accesses,
)
from pellucid.notation.index import box

UNROLL = 16
"""A reduction of at most this many points, such as a pooling window, is written without a loop."""

TASKS = 64
"""About as many tasks as a nest offers to be shared among threads."""


SHORTEST = 256
"""Elements below which a piece of a loop is not worth a task of its own."""


@dataclass(frozen=True)
class Nest:
    """A chain of equations over the same indices; `stored` are the tensors among them that others read."""

    equations: tuple[Equation, ...]
    stored: tuple[Tensor, ...]
    buffers: Mapping[Tensor, Buffer]
    block: Index | None = None

    @cached_property
    def operands(self) -> tuple[Tensor, ...]:
        """The tensors in the order of the kernel's pointer arguments."""
        chained = {e.tensor for e in self.equations}
        reads = [a.tensor for e in self.equations for a in accesses(e.value) if a.tensor not in chained]
        # A chained tensor read elsewhere than at its own place does not occur: fusion checks it.
        return tuple(dict.fromkeys((*self.stored, *reads)))

    @property
    def indices(self) -> tuple[Index, ...]:
        return self.equations[0].indices

    def describe(self) -> str:
        """The nest's content as text: equations, extents and memory, from which its code follows."""
        lines = [str(e) for e in self.equations]
        bound = [i for e in self.equations for n in e.value.walk() if isinstance(n, Reduce) for i in n.indices]
        lines.append(", ".join(f"{i.name}<{i.size}" for i in (*self.indices, *bound)))
        for tensor in self.operands:
            buffer = self.buffers[tensor]
            lines.append(f"{tensor.symbol} {tensor.kind} {buffer.extents} {buffer.margins}")
        order = {t: k for k, t in enumerate((*self.operands, *(e.tensor for e in self.equations)))}
        for equation in self.equations:
            lines.append(" ".join(str(order[a.tensor]) for a in (equation.left, *accesses(equation.value))))
            lines.append(" ".join(str(a.outside) for a in accesses(equation.value)))
            lines.append(repr([n for n in map(_number, equation.value.walk()) if n is not None]))
        lines.append(" ".join(str(e.tensor in self.stored) for e in self.equations))
        return "\n".join([repr(self.block), *lines])


def _number(node: Expression) -> object:
    from pellucid.notation.expression import Const

    return node.value if isinstance(node, Const) else None


@dataclass(frozen=True)
class Shape:
    """How a nest is walked: joined indices, their order from outside in, the lane, the tasks."""

    table: dict[Index, Affine]
    loops: tuple[Index, ...]
    lane: Index | None
    parallel: int

    @property
    def tasks(self) -> int:
        return box(self.loops[: self.parallel])


@dataclass
class _Read:
    """One access in terms of memory: its place, and the conditions under which it is inside."""

    place: Affine
    guards: tuple[tuple[Affine, int], ...]
    back: Affine


class Plan:
    """Decides how a nest is walked."""

    def __init__(self, nest: Nest, target: Target) -> None:
        self.nest, self.target = nest, target
        self.places = [nest.buffers[t].place(e.at) for e in nest.equations for t in (e.tensor,) if t in nest.stored]
        self.conditions: list[Affine] = []
        for equation in nest.equations:
            for access in accesses(equation.value):
                buffer = nest.buffers.get(access.tensor)
                if buffer is None or access.tensor not in nest.operands:
                    continue
                self.places.append(buffer.place(access.at))
                if access.outside != 0 or not buffer.covers(access):
                    self.conditions += access.at
            self.conditions += [n.affine for n in equation.value.walk() if isinstance(n, Position)]

    def shape(self) -> Shape:
        table: dict[Index, Affine] = {}
        free = [i for i in self.nest.indices if i != self.nest.block]
        free.sort(key=lambda i: -max((abs(p.coefficient(i)) for p in self.places[: len(self.nest.stored)]), default=0))
        loops = self._join(free, table)
        lane = self._lane(loops, table)
        if lane in loops:
            loops = [i for i in loops if i != lane] + [lane]
        if self.nest.block is not None:
            loops.insert(0, self.nest.block)
        elif lane in loops and box(loops[:-1]) < TASKS:
            loops, lane = self._shared(loops, table)
        return Shape(table, tuple(loops), lane, self._parallel(loops, lane))

    def _parallel(self, loops: Sequence[Index], lane: Index | None) -> int:
        if self.nest.block is not None:
            return 1
        outer = [i for i in loops if i != lane]
        count = 0
        while count < len(outer) and box(outer[:count]) < TASKS:
            count += 1
        return count

    def _shared(self, loops: list[Index], table: dict[Index, Affine]) -> tuple[list[Index], Index]:
        """Cut the lane's loop, the last, into equal pieces of whole vectors, so that there are tasks to share."""
        *outer, lane = loops
        wanted = -(-TASKS // box(outer))
        pieces = [p for p in range(2, 4 * wanted) if lane.size % (p * self.target.lanes) == 0]
        enough = [p for p in pieces if p >= wanted] or pieces[-1:]
        if not enough or lane.size // enough[0] < SHORTEST:
            return loops, lane
        piece = Index(f"{lane.name} piece", enough[0])
        inner = Index(lane.name, lane.size // enough[0])
        step = {lane: piece * inner.size + inner}
        for old, value in table.items():
            table[old] = value.substitute(step)
        table |= step
        return [*outer, piece, inner], inner

    def _join(self, loops: list[Index], table: dict[Index, Affine]) -> list[Index]:
        """Join (p, q) wherever p moves every access by q's full extent."""
        affines = [*self.places, *self.conditions]
        done = False
        while not done:
            done = True
            for p, q in itertools.pairwise(loops):
                if all(a.coefficient(p) == a.coefficient(q) * q.size for a in affines):
                    joined = Index(q.name, p.size * q.size)
                    step = {p: Affine(), q: Affine.of(joined)}
                    affines = [a.substitute(step) for a in affines]
                    for old, value in table.items():
                        table[old] = value.substitute(step)
                    table |= step
                    at = loops.index(p)
                    loops = [*loops[:at], joined, *loops[at + 2 :]]
                    done = False
                    break
        self.joined = affines
        return loops

    def _lane(self, loops: list[Index], table: Mapping[Index, Affine]) -> Index | None:
        """The index whose lanes read and write most neighbouring elements, if any is worth it."""
        lanes = self.target.lanes
        bound = [
            i for e in self.nest.equations for n in e.value.walk()
            if isinstance(n, Reduce) and n.kind != "argmax" for i in n.indices
        ]  # fmt: skip
        best: tuple[float, Index | None] = (0.75, None)
        for index in dict.fromkeys((*loops, *bound)):
            summed = index in bound
            if summed and (len(self.nest.equations) > 1 or box(loops) >= box(bound) or index.size < lanes // 2):
                continue
            steps = -(-index.size // lanes) / index.size
            cost = sum(1 if abs(p.coefficient(index)) < 2 else lanes for p in self.joined[: len(self.places)])
            if any(c.coefficient(index) for c in self.joined[len(self.places) :]):
                cost += 1
            score = steps * cost / len(self.places)
            if score < best[0]:
                best = (score, index)
        return best[1]


def emit_nest(module: ir.Module, name: str, nest: Nest, shape: Shape, target: Target) -> ir.Function:
    """Add `void name(operands*..., i64 begin, i64 end)`; begin..end selects tasks."""
    emitter = Emitter(module, name, [POINTER] * len(nest.operands) + [I64, I64], target)
    pointers = dict(zip(nest.operands, emitter.arguments, strict=False))
    _Emission(nest, shape, emitter, pointers).emit()
    return emitter.finish()


@dataclass
class _Spot:
    """A place in the iteration: what each index is, and which runs over lanes."""

    values: dict[Index, Number]
    lane: Index | None = None
    active: int = 0


@dataclass
class _Emission:
    nest: Nest
    shape: Shape
    emitter: Emitter
    pointers: Mapping[Tensor, ir.Value]
    known: dict[Access, ir.Value] = field(default_factory=dict)

    def emit(self) -> None:
        e, outer = self.emitter, self.shape.loops[: self.shape.parallel]
        with e.loop(*e.arguments[-2:]) as task:
            spot = _Spot({})
            for index in reversed(outer):
                task, spot.values[index] = e.divide(task, index.size)
            self.walk(list(self.shape.loops[len(outer) :]), spot)

    def walk(self, loops: list[Index], spot: _Spot) -> None:
        if not loops:
            self.point(spot)
            return
        index, *inner = loops
        for value, active in _steps(self.emitter, index, self.shape.lane):
            here = _Spot({**spot.values, index: value}, spot.lane, spot.active)
            if index == self.shape.lane:
                here.lane, here.active = index, active
            self.walk(inner, here)

    def point(self, spot: _Spot) -> None:
        """All equations of the chain at one place; what one wrote the next has in a register."""
        self.known = {}
        for equation in self.nest.equations:
            writer = Writer(self.emitter, _NestReader(self, spot))
            value = writer.value(equation.value)
            value = writer.as_float(value) if equation.tensor.kind == "float" else writer.as_word(value)
            if spot.lane is not None:
                value = writer.spread(value, self.emitter.target.lanes)
            self.known[equation.left] = value
            if equation.tensor in self.nest.stored:
                self.store(equation, value, spot)

    def store(self, equation: Equation, value: ir.Value, spot: _Spot) -> None:
        place = self.linear(self.nest.buffers[equation.tensor].place(equation.at))
        address, stride = self.address(self.pointers[equation.tensor], place, spot)
        if equation.tensor.kind == "int":
            value = _as_float_bits(self.emitter, value)
        if spot.lane is None:
            self.emitter.store_scalar(value, address)
        elif stride == 1:
            self.emitter.store(value, address, spot.active)
        else:
            self.emitter.store_strided(value, address, stride, spot.active)

    def linear(self, affine: Affine) -> Affine:
        return affine.substitute(self.shape.table)

    def number(self, affine: Affine, spot: _Spot) -> Number:
        """An affine expression's value at the first lane."""
        total: Number = affine.constant
        for index, coefficient in affine.terms:
            total = self.emitter.add(total, self.emitter.multiply(spot.values[index], coefficient))
        return total

    def address(self, pointer: ir.Value, place: Affine, spot: _Spot) -> tuple[ir.Value, int]:
        stride = place.coefficient(spot.lane) if spot.lane is not None else 0
        return self.emitter.advance(pointer, self.number(place, spot)), stride


class _NestReader:
    """Reads elements at a spot of a nest."""

    def __init__(self, emission: _Emission, spot: _Spot) -> None:
        self.emission, self.spot, self.emitter = emission, spot, emission.emitter

    def position(self, affine: Affine) -> ir.Value:
        affine = self.emission.linear(affine)
        build = self.emitter.builder
        base = build.trunc(integer(self.emission.number(affine, self.spot)), I32)
        stride = affine.coefficient(self.spot.lane) if self.spot.lane is not None else 0
        if not stride:
            return base
        lanes = self.emitter.target.lanes
        steps = ir.Constant(ir.VectorType(I32, lanes), [stride * k for k in range(lanes)])
        return build.add(self.emitter.splat(base, lanes), steps)

    def access(self, node: Access) -> ir.Value:
        emission, e = self.emission, self.emitter
        if node in emission.known:
            return emission.known[node]
        buffer = emission.nest.buffers[node.tensor]
        pointer = emission.pointers[node.tensor]
        place = emission.linear(buffer.place(node.at))
        if node.outside == 0 and buffer.covers(node):
            address, stride = emission.address(pointer, place, self.spot)
            value = self._load(address, stride)
        else:
            value = self._guarded(node, pointer, place)
        if node.tensor.kind == "int":
            kind = ir.VectorType(I32, value.type.count) if isinstance(value.type, ir.VectorType) else I32
            value = e.builder.bitcast(value, kind)
        return value

    def _load(self, address: ir.Value, stride: int) -> ir.Value:
        e = self.emitter
        if stride == 0:
            return e.load_scalar(address)
        if stride == 1:
            return e.load(address, e.target.lanes, self.spot.active)
        return e.load_strided(address, stride, e.target.lanes, self.spot.active)

    def _guarded(self, node: Access, pointer: ir.Value, place: Affine) -> ir.Value:
        """An element that may lie outside its tensor: the address is only used where it does not."""
        e, spot, emission = self.emitter, self.spot, self.emission
        checks = [
            (emission.linear(affine), extent)
            for affine, extent in zip(node.at, node.tensor.extents, strict=True)
            if affine.bounds[0] < 0 or affine.bounds[1] >= extent
        ]
        outside = node.outside if node.tensor.kind == "float" else 0.0
        by_lane = spot.lane is not None and any(a.coefficient(spot.lane) for a, _ in checks)
        if not by_lane:
            holds = self._inside(checks, spot)
            if holds is None:
                address, stride = emission.address(pointer, place, spot)
                return self._load(address, stride)
            # The load itself is skipped: a vector beside the tensor may reach beyond the buffer.
            lanes = e.target.lanes
            stride = place.coefficient(spot.lane) if spot.lane is not None else 0
            kind = ir.VectorType(FLOAT, lanes) if stride else FLOAT
            slot = e.slot(kind)
            e.builder.store(ir.Constant(kind, [outside] * lanes if stride else outside), slot)
            with e.when(holds):
                address, _ = emission.address(pointer, place, spot)
                e.builder.store(self._load(address, stride), slot)
            return e.builder.load(slot, typ=kind)
        return self._lane_by_lane(checks, pointer, place, outside)

    def _inside(self, checks: list[tuple[Affine, int]], spot: _Spot) -> ir.Value | None:
        build = self.emitter.builder
        holds: ir.Value | None = None
        for affine, extent in checks:
            number = integer(self.emission.number(affine, spot))
            # One unsigned comparison: a negative number is a very large one.
            here = build.icmp_unsigned("<", number, ir.Constant(I64, extent))
            holds = here if holds is None else build.and_(holds, here)
        return holds

    def _lane_by_lane(
        self, checks: list[tuple[Affine, int]], pointer: ir.Value, place: Affine, outside: float
    ) -> ir.Value:
        e, spot, lanes = self.emitter, self.spot, self.emitter.target.lanes
        assert spot.lane is not None
        value: ir.Value = ir.Constant(ir.VectorType(FLOAT, lanes), [outside] * lanes)
        slot = e.slot(ir.VectorType(FLOAT, lanes))
        e.builder.store(value, slot)
        for lane in range(spot.active):
            here = _Spot({**spot.values, spot.lane: e.add(spot.values[spot.lane], lane)})
            holds = self._inside(checks, here)
            assert holds is not None
            with e.when(holds):
                element = e.load_scalar(e.advance(pointer, self.emission.number(place, here)))
                vector = e.builder.load(slot, typ=ir.VectorType(FLOAT, lanes))
                e.builder.store(e.builder.insert_element(vector, element, ir.Constant(I32, lane)), slot)
        return e.builder.load(slot, typ=ir.VectorType(FLOAT, lanes))

    # ---- reductions

    def reduction(self, node: Reduce) -> ir.Value:
        emission, e = self.emission, self.emitter
        lane = emission.shape.lane if emission.shape.lane in node.indices else None
        width = e.target.lanes if lane is not None or self.spot.lane is not None else None
        fold = _FOLDS[node.kind](e, width)
        loops = [i for i in node.indices if i != lane] + ([lane] if lane is not None else [])
        unrolled = box(loops) <= UNROLL and lane is None
        self._loop(loops, self.spot, node, fold, unrolled, 0)
        return fold.result(lane is not None)

    def _loop(self, loops: list[Index], spot: _Spot, node: Reduce, fold: _Fold, unrolled: bool, place: Number) -> None:
        """The loops of a reduction; `place` counts its points in the order of its indices."""
        e = self.emitter
        if not loops:
            inner = _NestReader(self.emission, spot)
            writer = Writer(e, inner)
            value = writer.float(node.body)
            if fold.width is not None:
                value = writer.spread(value, fold.width)
            fold.add(value, place, spot.active if spot.lane in node.indices else None)
            return
        index, *inner_loops = loops
        if unrolled:
            steps: Iterable[tuple[Number, int]] = ((k, 0) for k in range(index.size))
        else:
            steps = _steps(e, index, self.emission.shape.lane)
        for value, active in steps:
            here = _Spot({**spot.values, index: value}, spot.lane, spot.active)
            if index == self.emission.shape.lane:
                here.lane, here.active = index, active
            following = e.add(e.multiply(place, index.size), value)
            self._loop(inner_loops, here, node, fold, unrolled, following)


class _Fold:
    """The running value of a reduction."""

    start = 0.0

    def __init__(self, emitter: Emitter, width: int | None) -> None:
        self.emitter, self.width = emitter, width
        self.kind = FLOAT if width is None else ir.VectorType(FLOAT, width)
        self.slot = emitter.slot(self.kind)
        self._set(self.slot, self.kind, self.start)

    def _set(self, slot: ir.Value, kind: ir.Type, value: float) -> None:
        number = ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)
        self.emitter.builder.store(number, slot)

    def add(self, value: ir.Value, place: Number, active: int | None) -> None:
        """Take in one value; of a vector of summed lanes only the first `active`."""
        e, build = self.emitter, self.emitter.builder
        if active is not None and self.width is not None and active < self.width:
            neutral = ir.Constant(self.kind, [self.start] * self.width)
            value = build.select(mask(self.width, active), value, neutral)
        have = build.load(self.slot, typ=self.kind)
        e.builder.store(self.join(have, value), self.slot)

    def join(self, have: ir.Value, value: ir.Value) -> ir.Value:
        return self.emitter.builder.fadd(have, value)

    def result(self, across: bool) -> ir.Value:
        total = self.emitter.builder.load(self.slot, typ=self.kind)
        return self.across(total) if across else total

    def across(self, vector: ir.Value) -> ir.Value:
        return self.emitter.sum_lanes(vector)


class _Maximum(_Fold):
    start = -math.inf

    def join(self, have: ir.Value, value: ir.Value) -> ir.Value:
        from pellucid.engines.native.mathematics import Mathematics

        return Mathematics(self.emitter).maximum(have, value)

    def across(self, vector: ir.Value) -> ir.Value:
        build = self.emitter.builder
        best = build.extract_element(vector, ir.Constant(I32, 0))
        for lane in range(1, vector.type.count):
            best = self.join(best, build.extract_element(vector, ir.Constant(I32, lane)))
        return best


class _Argument(_Fold):
    """The place of the first maximum; of the first not-a-number if there is one, as in the reference."""

    start = -math.inf

    def __init__(self, emitter: Emitter, width: int | None) -> None:
        super().__init__(emitter, width)
        self.where_kind = I32 if width is None else ir.VectorType(I32, width)
        self.where = emitter.slot(self.where_kind)
        zero = ir.Constant(self.where_kind, 0 if width is None else [0] * width)
        emitter.builder.store(zero, self.where)

    def add(self, value: ir.Value, place: Number, active: int | None) -> None:
        build = self.emitter.builder
        have = build.load(self.slot, typ=self.kind)
        first = build.and_(build.fcmp_unordered("uno", value, value), build.fcmp_ordered("ord", have, have))
        wins = build.or_(build.fcmp_ordered(">", value, have), first)
        number = build.trunc(integer(place), I32)
        if self.width is not None:
            number = self.emitter.splat(number, self.width)
        build.store(build.select(wins, value, have), self.slot)
        build.store(build.select(wins, number, build.load(self.where, typ=self.where_kind)), self.where)

    def result(self, across: bool) -> ir.Value:
        return self.emitter.builder.load(self.where, typ=self.where_kind)


_FOLDS: dict[str, Callable[[Emitter, int | None], _Fold]] = {
    "sum": _Fold,
    "max": _Maximum,
    "argmax": _Argument,
}


def _steps(emitter: Emitter, index: Index, lane: Index | None) -> Iterable[tuple[Number, int]]:
    """The loop over an index: single values, or vectors of lanes and then the rest of them."""
    if index != lane:
        with emitter.loop(0, index.size) as value:
            yield value, 0
        return
    lanes = emitter.target.lanes
    whole = index.size // lanes * lanes
    if whole:
        with emitter.loop(0, whole, lanes) as value:
            yield value, lanes
    if whole < index.size:
        yield whole, index.size - whole


def _as_float_bits(emitter: Emitter, value: ir.Value) -> ir.Value:
    if isinstance(value.type, ir.VectorType):
        return emitter.builder.bitcast(value, ir.VectorType(FLOAT, value.type.count))
    return emitter.builder.bitcast(value, FLOAT)
