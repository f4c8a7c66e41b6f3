"""Writing a loop nest: its loops as they were planned, and at every place the values of the chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from llvmlite import ir

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import FLOAT, I32, I64, POINTER, Emitter, Number, integer
from pellucid.engines.native.expression import Writer
from pellucid.engines.native.folds import FOLDS, Fold
from pellucid.engines.native.nest import Nest, Shape
from pellucid.notation import Affine, Equation, Index, Tensor
from pellucid.notation.expression import Access, Expression, Reduce
from pellucid.notation.index import box
from pellucid.notation.selection import Selection, gathered

UNROLL = 16
"""A reduction of at most this many points, such as a pooling window, is written without a loop."""


def emit_nest(module: ir.Module, name: str, nest: Nest, shape: Shape, target: Target) -> ir.Function:
    """Add `void name(operands*..., i64 begin, i64 end)`; begin..end selects tasks."""
    emitter = Emitter(module, name, [POINTER] * len(nest.operands) + [I64, I64], target)
    pointers = dict(zip(nest.operands, emitter.arguments, strict=False))
    Emission(nest, shape, emitter, pointers).emit()
    return emitter.finish()


@dataclass
class Spot:
    """A place in the iteration: what each index is, and which runs over lanes."""

    values: dict[Index, Number]
    lane: Index | None = None
    active: int = 0


@dataclass
class Emission:
    """A nest being written."""

    nest: Nest
    shape: Shape
    emitter: Emitter
    pointers: Mapping[Tensor, ir.Value]
    known: dict[Access, ir.Value] = field(default_factory=dict)

    def emit(self) -> None:
        e, outer = self.emitter, self.shape.loops[: self.shape.parallel]
        with e.loop(*e.arguments[-2:]) as task:
            spot = Spot({})
            for index in reversed(outer):
                task, spot.values[index] = e.divide(task, index.size)
            self.walk(list(self.shape.loops[len(outer) :]), spot)

    def walk(self, loops: list[Index], spot: Spot) -> None:
        if not loops:
            self.point(spot)
            return
        index, *inner = loops
        for value, active in steps(self.emitter, index, self.shape.lane):
            here = Spot({**spot.values, index: value}, spot.lane, spot.active)
            if index == self.shape.lane:
                here.lane, here.active = index, active
            self.walk(inner, here)

    def point(self, spot: Spot) -> None:
        """All equations of the chain at one place; what one wrote the next has in a register."""
        self.known = {}
        for equation in self.nest.equations:
            writer = Writer(self.emitter, Reader(self, spot))
            value = writer.value(equation.value)
            value = writer.as_float(value) if equation.tensor.kind == "float" else writer.as_word(value)
            if spot.lane is not None:
                value = writer.spread(value, self.emitter.target.lanes)
            self.known[equation.left] = value
            if equation.tensor in self.nest.stored:
                self.store(equation, value, spot)

    def store(self, equation: Equation, value: ir.Value, spot: Spot) -> None:
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

    def number(self, affine: Affine, spot: Spot) -> Number:
        """An affine expression's value at the first lane."""
        total: Number = affine.constant
        for index, coefficient in affine.terms:
            total = self.emitter.add(total, self.emitter.multiply(spot.values[index], coefficient))
        return total

    def address(self, pointer: ir.Value, place: Affine, spot: Spot) -> tuple[ir.Value, int]:
        stride = place.coefficient(spot.lane) if spot.lane is not None else 0
        return self.emitter.advance(pointer, self.number(place, spot)), stride


class Reader:
    """Reads elements at a spot of a nest."""

    def __init__(self, emission: Emission, spot: Spot) -> None:
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
            value = self.load(address, stride)
        else:
            value = self._guarded(node, pointer, place)
        if node.tensor.kind == "int":
            kind = ir.VectorType(I32, value.type.count) if isinstance(value.type, ir.VectorType) else I32
            value = e.builder.bitcast(value, kind)
        return value

    def load(self, address: ir.Value, stride: int) -> ir.Value:
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
                return self.load(address, stride)
            # The load itself is skipped: a vector beside the tensor may reach beyond the buffer.
            lanes = e.target.lanes
            stride = place.coefficient(spot.lane) if spot.lane is not None else 0
            kind = ir.VectorType(FLOAT, lanes) if stride else FLOAT
            slot = e.slot(kind)
            e.builder.store(ir.Constant(kind, [outside] * lanes if stride else outside), slot)
            with e.when(holds):
                address, _ = emission.address(pointer, place, spot)
                e.builder.store(self.load(address, stride), slot)
            return e.builder.load(slot, typ=kind)
        return self._lane_by_lane(checks, pointer, place, outside)

    def _inside(self, checks: list[tuple[Affine, int]], spot: Spot) -> ir.Value | None:
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
            here = Spot({**spot.values, spot.lane: e.add(spot.values[spot.lane], lane)})
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
        fold = FOLDS[node.kind](e, width)
        found = gathered(node)
        over = [i for i in node.indices if found is None or i != found[0].key]
        if not over and found is not None:
            return self.selected(*found)
        loops = [i for i in over if i != lane] + ([lane] if lane is not None else [])
        unrolled = box(loops) <= UNROLL and lane is None
        self._loop(loops, self.spot, node, fold, unrolled, 0)
        return fold.result(lane is not None)

    def selected(self, selection: Selection, others: Expression) -> ir.Value:
        """The one term of a sum that a whole number selects, lane by lane where the lanes select different ones."""
        e, spot = self.emitter, self.spot
        number = self.access(selection.number)
        if not isinstance(number.type, ir.VectorType):
            return self._term(selection.key, others, number, spot)
        assert spot.lane is not None
        total: ir.Value = ir.Constant(ir.VectorType(FLOAT, e.target.lanes), [0.0] * e.target.lanes)
        for lane in range(spot.active):
            values = {**spot.values, spot.lane: e.add(spot.values[spot.lane], lane)}
            own = e.builder.extract_element(number, ir.Constant(I32, lane))
            term = self._term(selection.key, others, own, Spot(values))
            total = e.builder.insert_element(total, term, ir.Constant(I32, lane))
        return total

    def _term(self, key: Index, others: Expression, number: ir.Value, spot: Spot) -> ir.Value:
        """The term where `key` is this number; 0 if it is none of the key's values."""
        build = self.emitter.builder
        place = build.sext(number, I64)
        inside = build.icmp_unsigned("<", place, ir.Constant(I64, key.size))
        somewhere = build.select(inside, place, ir.Constant(I64, 0))
        reader = Reader(self.emission, Spot({**spot.values, key: somewhere}, spot.lane, spot.active))
        writer = Writer(self.emitter, reader)
        inside, value = writer.together([inside, writer.float(others)])
        return build.select(inside, value, writer.mathematics.like(value, 0.0))

    def _loop(self, loops: list[Index], spot: Spot, node: Reduce, fold: Fold, unrolled: bool, place: Number) -> None:
        """The loops of a reduction; `place` counts its points in the order of its indices."""
        e = self.emitter
        if not loops:
            inner = Reader(self.emission, spot)
            writer = Writer(e, inner)
            found = gathered(node)
            value = writer.float(node.body) if found is None else inner.selected(*found)
            if fold.width is not None:
                value = writer.spread(value, fold.width)
            fold.add(value, place, spot.active if spot.lane in node.indices else None)
            return
        index, *inner_loops = loops
        if unrolled:
            walked: Iterable[tuple[Number, int]] = ((k, 0) for k in range(index.size))
        else:
            walked = steps(e, index, self.emission.shape.lane)
        for value, active in walked:
            here = Spot({**spot.values, index: value}, spot.lane, spot.active)
            if index == self.emission.shape.lane:
                here.lane, here.active = index, active
            following = e.add(e.multiply(place, index.size), value)
            self._loop(inner_loops, here, node, fold, unrolled, following)


def steps(emitter: Emitter, index: Index, lane: Index | None) -> Iterable[tuple[Number, int]]:
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
