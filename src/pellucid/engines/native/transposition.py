"""Copies that turn a tensor: reading runs along one index, writing along another.

One index has neighbouring elements in the source, another in the target. Element by element, each would touch a line
of its own; so square blocks as wide as a vector go through registers: load rows, swap blocks of 1, 2, 4, ... elements
across the diagonal, store rows. Blocks at the edges are cut short.

Short indices that follow each other in the target count as one: for `W[o,c,u,v] = V[u,v,c,o]` a row of the target is
a run over c, u and v, of which each vector read along o is one element.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

from llvmlite import ir

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import I32, I64, POINTER, Emitter, Number
from pellucid.engines.native.nest import Nest
from pellucid.notation import Affine, Index
from pellucid.notation.expression import Access
from pellucid.notation.index import box


@dataclass(frozen=True)
class Turn:
    """A copy nest's two places, the index along which it reads, those along which it writes, and the others.

    The indices of `run`, outermost first, count the target's neighbouring elements together.
    """

    source: Affine
    target: Affine
    along_source: Index
    run: tuple[Index, ...]
    others: tuple[Index, ...]

    @cached_property
    def along_target(self) -> Index:
        """The indices of the run as one."""
        return Index(",".join(i.name for i in self.run), box(self.run))

    @cached_property
    def between(self) -> int | None:
        """How far apart in the source the elements of a run lie, if evenly."""
        step = self.source.coefficient(self.run[-1])
        even = all(
            self.source.coefficient(p) == self.source.coefficient(q) * q.size for p, q in itertools.pairwise(self.run)
        )
        return step if even else None

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
    still = {i: Affine() for i in equation.indices if i.size == 1 and i != nest.block}
    indices, source, target = _joined(
        [i for i in equation.indices if i not in still],
        nest.block,
        nest.buffers[access.tensor].place(access.at).substitute(still),
        nest.buffers[equation.tensor].place(equation.at).substitute(still),
    )
    reading = [i for i in indices if source.coefficient(i) == 1 and target.coefficient(i) != 1]
    writing = [i for i in indices if target.coefficient(i) == 1 and source.coefficient(i) != 1]
    if len(reading) != 1 or len(writing) != 1:
        return None
    run = _run(target, writing[0], [i for i in indices if i not in (reading[0], nest.block)])
    if min(reading[0].size, box(run)) < lanes // 2:
        return None
    others = [i for i in indices if i != reading[0] and i not in run]
    # The block of images comes first: it is what tasks are counted in.
    others.sort(key=lambda i: (i != nest.block, -abs(target.coefficient(i))))
    return Turn(source, target, reading[0], run, tuple(others))


def _joined(
    indices: list[Index], block: Index | None, source: Affine, target: Affine
) -> tuple[list[Index], Affine, Affine]:
    """The indices with those joined that move through both places as one, such as rows and columns without margins."""
    for p, q in itertools.permutations([i for i in indices if i != block], 2):
        if all(place.coefficient(p) == place.coefficient(q) * q.size for place in (source, target)):
            joined = Index(f"{p.name}{q.name}", p.size * q.size)
            step = {p: Affine(), q: Affine.of(joined)}
            rest = [joined if i == q else i for i in indices if i != p]
            return _joined(rest, block, source.substitute(step), target.substitute(step))
    return indices, source, target


def _run(target: Affine, last: Index, indices: list[Index]) -> tuple[Index, ...]:
    """The indices that continue in the target where the one after them ends, up to the last."""
    run = [last]
    while True:
        step = target.coefficient(run[0]) * run[0].size
        before = next((i for i in indices if i not in run and target.coefficient(i) == step), None)
        if before is None:
            return tuple(run)
        run.insert(0, before)


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
    if not rest or not full:
        _blocks(emitter, turn, values, start, lanes if full else rest, out, source)
        return
    last = emitter.equal(row, full)
    assert isinstance(last, ir.Value)
    with emitter.when(emitter.builder.not_(last)):
        _blocks(emitter, turn, values, start, lanes, out, source)
    with emitter.when(last):
        _blocks(emitter, turn, values, start, rest, out, source)


def _blocks(
    emitter: Emitter, turn: Turn, values: dict[Index, Number], start: Number, rows: int, out: ir.Value, source: ir.Value
) -> None:
    """The blocks whose rows are the elements `start` and following of the run."""
    lanes = emitter.target.lanes
    begin: dict[Index, Number] = {**values, turn.along_source: 0}
    write = emitter.advance(out, _number(emitter, turn.target, begin | _parted(emitter, turn.run, start)))
    # Where a run is uneven in the source, its places are found once and serve all blocks of the row.
    distinct = 1 if turn.between is not None else rows
    reads = [
        emitter.advance(
            source, _number(emitter, turn.source, begin | _parted(emitter, turn.run, emitter.add(start, k)))
        )
        for k in range(distinct)
    ]
    whole, rest = divmod(turn.along_source.size, lanes)
    if whole:
        with emitter.loop(0, whole * lanes, lanes) as column:
            _block(emitter, turn, reads, write, column, rows, lanes)
    if rest:
        _block(emitter, turn, reads, write, whole * lanes, rows, rest)


def _parted(emitter: Emitter, run: tuple[Index, ...], number: Number) -> dict[Index, Number]:
    """The indices of a run at its element of that number."""
    values: dict[Index, Number] = {}
    for index in reversed(run[1:]):
        number, values[index] = emitter.divide(number, index.size)
    return values | {run[0]: number}


def _block(
    emitter: Emitter, turn: Turn, reads: list[ir.Value], write: ir.Value, column: Number, rows: int, columns: int
) -> None:
    """Read `rows` vectors of `columns` neighbours, write `columns` vectors of `rows` neighbours."""
    lanes = emitter.target.lanes
    beside = turn.target.coefficient(turn.along_source)
    here = [emitter.advance(read, column) for read in reads]
    if turn.between is not None:
        here = [emitter.advance(here[0], k * turn.between) for k in range(rows)]
    block = [emitter.load(place, lanes, columns) for place in here] + [emitter.zero(lanes)] * (lanes - rows)
    write = emitter.advance(write, emitter.multiply(column, beside))
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
