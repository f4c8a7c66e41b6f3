"""Copies that turn a tensor: reading runs along one index, writing along another.

One index has neighbouring elements in the source, another in the target. Element by element, each would touch a line
of its own; so square blocks as wide as a vector go through registers: load rows, swap blocks of 1, 2, 4, ... elements
across the diagonal, store rows. Blocks at the edges are cut short.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import I32, I64, POINTER, Emitter, Number
from pellucid.engines.native.nest import Nest
from pellucid.notation import Affine, Index
from pellucid.notation.expression import Access
from pellucid.notation.index import box


@dataclass(frozen=True)
class Turn:
    """A copy nest's two places, the index along which it reads, the one along which it writes, and the others."""

    source: Affine
    target: Affine
    along_source: Index
    along_target: Index
    others: tuple[Index, ...]

    def tasks(self, lanes: int) -> int:
        """Rows of blocks that can be copied in any order."""
        return box(self.others) * -(-self.along_target.size // lanes)


def turning(nest: Nest, lanes: int) -> Turn | None:
    """The nest as a turning copy, if it is one and both its indices fill at least half a vector."""
    equation = nest.equations[0]
    access = equation.value
    if len(nest.equations) > 1 or not isinstance(access, Access) or access.outside != 0:
        return None
    if not nest.buffers[access.tensor].covers(access):
        return None
    source = nest.buffers[access.tensor].place(access.at)
    target = nest.buffers[equation.tensor].place(equation.at)
    reading = [i for i in equation.indices if source.coefficient(i) == 1 and target.coefficient(i) != 1]
    writing = [i for i in equation.indices if target.coefficient(i) == 1 and source.coefficient(i) != 1]
    if len(reading) != 1 or len(writing) != 1 or min(reading[0].size, writing[0].size) < lanes // 2:
        return None
    others = [i for i in equation.indices if i not in (reading[0], writing[0])]
    # The block of images comes first: it is what tasks are counted in.
    others.sort(key=lambda i: (i != nest.block, -abs(target.coefficient(i))))
    return Turn(source, target, reading[0], writing[0], tuple(others))


def emit_turn(module: ir.Module, name: str, nest: Nest, turn: Turn, target: Target) -> int:
    """Add `void name(target*, source*, i64 begin, i64 end)`; begin..end selects tasks. Returns their number."""
    emitter = Emitter(module, name, [POINTER] * len(nest.operands) + [I64, I64], target)
    out, source = emitter.arguments[0], emitter.arguments[1]
    lanes = target.lanes
    with emitter.loop(*emitter.arguments[-2:]) as task:
        values: dict[Index, Number] = {}
        if nest.block is not None:
            values[nest.block] = task
            _inner(emitter, turn, [i for i in turn.others if i != nest.block], values, out, source)
        else:
            task, row = emitter.divide(task, -(-turn.along_target.size // lanes))
            for index in reversed(turn.others):
                task, values[index] = emitter.divide(task, index.size)
            _row_of_blocks(emitter, turn, values, row, out, source)
    emitter.finish()
    return nest.block.size if nest.block is not None else turn.tasks(lanes)


def _inner(
    emitter: Emitter, turn: Turn, loops: list[Index], values: dict[Index, Number], out: ir.Value, source: ir.Value
) -> None:
    if loops:
        with emitter.loop(0, loops[0].size) as value:
            _inner(emitter, turn, loops[1:], {**values, loops[0]: value}, out, source)
        return
    with emitter.loop(0, -(-turn.along_target.size // emitter.target.lanes)) as row:
        _row_of_blocks(emitter, turn, values, row, out, source)


def _row_of_blocks(
    emitter: Emitter, turn: Turn, values: dict[Index, Number], row: Number, out: ir.Value, source: ir.Value
) -> None:
    """All blocks of one row; the last row, and the last block of each row, may be cut short."""
    lanes = emitter.target.lanes
    full, rest = divmod(turn.along_target.size, lanes)
    start = emitter.multiply(row, lanes)
    here = {**values, turn.along_target: start}
    if not rest or not full:
        _blocks(emitter, turn, here, lanes if full else rest, out, source)
        return
    last = emitter.equal(row, full)
    assert isinstance(last, ir.Value)
    with emitter.when(emitter.builder.not_(last)):
        _blocks(emitter, turn, here, lanes, out, source)
    with emitter.when(last):
        _blocks(emitter, turn, here, rest, out, source)


def _blocks(
    emitter: Emitter, turn: Turn, values: dict[Index, Number], rows: int, out: ir.Value, source: ir.Value
) -> None:
    lanes = emitter.target.lanes
    whole, rest = divmod(turn.along_source.size, lanes)
    if whole:
        with emitter.loop(0, whole * lanes, lanes) as start:
            _block(emitter, turn, {**values, turn.along_source: start}, rows, lanes, out, source)
    if rest:
        _block(emitter, turn, {**values, turn.along_source: whole * lanes}, rows, rest, out, source)


def _block(
    emitter: Emitter, turn: Turn, values: dict[Index, Number], rows: int, columns: int, out: ir.Value, source: ir.Value
) -> None:
    """Read `rows` vectors of `columns` neighbours, write `columns` vectors of `rows` neighbours."""
    lanes = emitter.target.lanes
    read = emitter.advance(source, _number(emitter, turn.source, values))
    write = emitter.advance(out, _number(emitter, turn.target, values))
    between = turn.source.coefficient(turn.along_target)
    beside = turn.target.coefficient(turn.along_source)
    block = [emitter.load(emitter.advance(read, k * between), lanes, columns) for k in range(rows)]
    block += [emitter.zero(lanes)] * (lanes - rows)
    for k, vector in enumerate(transposed(emitter, block)[:columns]):
        emitter.store(vector, emitter.advance(write, k * beside), rows)


def _number(emitter: Emitter, affine: Affine, values: dict[Index, Number]) -> Number:
    total: Number = affine.constant
    for index, coefficient in affine.terms:
        total = emitter.add(total, emitter.multiply(values[index], coefficient))
    return total


def transposed(emitter: Emitter, rows: list[ir.Value]) -> list[ir.Value]:
    """As many vectors as they have lanes, transposed: blocks of 1, 2, 4, ... swap places across the diagonal."""
    lanes, rows = len(rows), list(rows)
    size = 1
    while size < lanes:
        keep = [j if not j & size else lanes + (j ^ size) for j in range(lanes)]
        take = [j ^ size if not j & size else lanes + j for j in range(lanes)]
        for k in range(lanes):
            if not k & size:
                upper, lower = rows[k], rows[k | size]
                rows[k] = _shuffle(emitter, upper, lower, keep)
                rows[k | size] = _shuffle(emitter, upper, lower, take)
        size *= 2
    return rows


def _shuffle(emitter: Emitter, left: ir.Value, right: ir.Value, places: list[int]) -> ir.Value:
    return emitter.builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(I32, len(places)), places))
