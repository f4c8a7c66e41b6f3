"""A kernel's schedule as the loops that it stands for, outermost first, in words that need no compiler."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from pellucid.engines.native.contraction import Access, Contraction, Schedule, complete, tasks
from pellucid.engines.native.cpu import Target
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.nest import Nest, Plan
from pellucid.engines.native.product import Product, schedule_of
from pellucid.engines.native.scatter import Scatter
from pellucid.engines.native.transposition import Turn, turning

STEP = "  "


def loops_of(kernel: Kernel, target: Target, heading: str) -> str:
    """The heading, the kernel's equations, and its loops."""
    lines = [heading, *(f"  {_stored(kernel, k)}" for k in range(len(kernel.equations)))]
    body = _product(kernel, target) if isinstance(kernel, Product) else _nest_or_turn(kernel, target)
    return "\n".join([*lines, *(f"    {line}" for line in body)])


def _stored(kernel: Kernel, number: int) -> str:
    equation = kernel.equations[number]
    return f"{equation}{'' if equation.tensor in kernel.stored else '   (kept in registers)'}"


def schedule_text(kernel: Kernel, target: Target) -> str:
    """A kernel's schedule in one line: which index runs over lanes, the register tile, the order of loops."""
    if isinstance(kernel, Product):
        contraction, _, schedule = schedule_of(kernel, target)
        return str(complete(contraction, schedule, target))
    turn = turning(kernel, target.lanes)
    if turn is not None:
        return f"blocks of {target.lanes}x{target.lanes} turned, read along {turn.along_source.name}"
    shape = Plan(kernel, target).shape()
    loops = " ".join(f"{'|' if k == shape.parallel else ''}{i.name}" for k, i in enumerate(shape.loops))
    return f"lane {shape.lane.name if shape.lane else 'none'}, outer [{loops}]"


# ---- sums of products


def _product(product: Product, target: Target) -> Iterator[str]:
    contraction, _, chosen = schedule_of(product, target)
    schedule = complete(contraction, chosen, target)
    yield from _joined(product, contraction)
    yield f"{_count(tasks(contraction, schedule), 'task')} for the threads to share"
    depth, begun = 0, set[str]()
    for position, loop in enumerate(schedule.order):
        extent = contraction.extents[loop.index]
        span = f"the block of {loop.index}" if loop.index in begun else f"{extent}"
        begun.add(loop.index)
        notes = [] if position >= schedule.parallel else ["tasks"]
        if loop.index in contraction.reduction:
            notes.append("a cache block: partial sums rest in memory")
        yield STEP * depth + f"for {loop.index} < {span}{_stride(loop.step)}{_note(notes)}"
        depth += 1
    for line in _tile(product, contraction, schedule, target, begun):
        yield STEP * depth + line


def _tile(
    product: Product, contraction: Contraction, schedule: Schedule, target: Target, blocked: set[str]
) -> Iterator[str]:
    tile = " x ".join(f"{i}:{n}" for i, n in schedule.tiles.items())
    lane = schedule.lane
    summed = lane in contraction.reduction
    width = f"{lane}:{target.lanes}" if summed else f"{lane}:{schedule.vectors * target.lanes}"
    sums = schedule.vectors * _points(schedule) * schedule.partial
    registers = _count(sums, f"register of {target.lanes} sums", f"registers of {target.lanes} sums each")
    yield f"{registers} ({' x '.join(filter(None, [tile, width]))}) = 0"
    depth = 0
    for index in schedule.reduce:
        extent = contraction.extents[index]
        span = f"the block of {index}" if index in blocked else f"{extent}"
        step = target.lanes if index == lane else schedule.unroll if index == schedule.reduce[-1] else 1
        notes = ["lanes are added up in the end"] if index == lane else []
        notes += [f"less where {w.outer} is at the edge" for w in contraction.windows if index == w.inner != lane]
        yield STEP * depth + f"for {index} < {span}{_stride(step)}{_note(notes)}"
        depth += 1
    left, right = product.factors
    loads = [
        f"{_loads(access, schedule)} of {factor.tensor.symbol}"
        for access, factor in ((contraction.a, left), (contraction.b, right))
    ]
    yield STEP * depth + f"{_count(sums, 'multiply-add')}: {', '.join(loads)}"
    row = contraction.row(lane)
    turned = f" in rows along {row}, turned in registers" if row in schedule.tiles else ""
    yield f"store {', '.join(t.symbol for t in product.stored)}{turned}"


def _points(schedule: Schedule) -> int:
    total = 1
    for size in schedule.tiles.values():
        total *= size
    return total


def _loads(access: Access, schedule: Schedule) -> str:
    """How many different vectors or numbers of an operand a step of the register tile needs."""
    sizes = [[access.stride(index) * k for k in range(size)] for index, size in schedule.tiles.items()]
    places = {sum(point) for point in itertools.product(*sizes)}
    stride = access.stride(schedule.lane)
    if stride == 0:
        return f"{_count(len(places), 'number')} (in all lanes)"
    if stride == 1:
        return _count(len(places) * schedule.vectors, "vector")
    return f"{_count(len(places) * schedule.vectors, 'vector')} gathered number by number"


def _joined(product: Product, contraction: Contraction) -> Iterator[str]:
    """Which indices run as one, because one continues in memory where the other ends."""
    names = dict.fromkeys((*product.equations[0].indices, *product.sum.indices))
    before: Mapping[str, int] = {i.name: i.size for i in names}
    grown = {i: e for i, e in contraction.extents.items() if before.get(i, e) != e}
    gone = [f"{i}:{e}" for i, e in before.items() if i not in contraction.extents]
    if grown:
        joined = ", ".join(f"{i} < {e}" for i, e in grown.items())
        yield f"{joined} also runs over {', '.join(gone)}: one loop in memory"


# ---- loop nests


def _nest_or_turn(nest: Nest, target: Target) -> Iterator[str]:
    if isinstance(nest, Scatter):
        return _scatter(nest, target)
    turn = turning(nest, target.lanes)
    return _nest(nest, target) if turn is None else _turn(turn, target)


def _turn(turn: Turn, target: Target) -> Iterator[str]:
    """A copy whose two sides lie along different indices."""
    lanes, outer, inner = target.lanes, turn.along_target, turn.along_source
    yield f"{_count(turn.tasks(lanes), 'task')} for the threads to share"
    depth = 0
    for index in turn.others:
        yield STEP * depth + f"for {index.name} < {index.size}   (tasks)"
        depth += 1
    yield STEP * depth + f"for {outer.name} < {outer.size}{_stride(lanes)}   (tasks)"
    yield STEP * (depth + 1) + f"for {inner.name} < {inner.size}{_stride(lanes)}"
    yield STEP * (depth + 2) + f"load {lanes} vectors along {inner.name}"
    yield STEP * (depth + 2) + f"turn the {lanes}x{lanes} block in registers"
    yield STEP * (depth + 2) + f"store {lanes} vectors along {outer.name}"


def _scatter(scatter: Scatter, target: Target) -> Iterator[str]:
    """A sum whose terms each belong to one row of the result."""
    key = scatter.key.name
    yield f"{_count(scatter.tasks, 'task')} for the threads to share, {scatter.chunk} values of {key} each"
    yield f"set the task's rows to 0: {key}, {', '.join(i.name for i in scatter.inner)}"
    depth = 0
    for index in scatter.outer:
        yield STEP * depth + f"for {index.name} < {index.size}"
        depth += 1
    yield STEP * depth + f"{key} = {scatter.selection[0].number}, if the task owns that row"
    for index in scatter.inner:
        yield STEP * depth + f"for {index.name} < {index.size}"
        depth += 1
    yield STEP * depth + f"add to {scatter.equations[0].left}: {scatter.selection[1]}"


def _nest(nest: Nest, target: Target) -> Iterator[str]:
    shape = Plan(nest, target).shape()
    yield f"{_count(shape.tasks, 'task')} for the threads to share"
    depth = 0
    for position, index in enumerate(shape.loops):
        notes = ["tasks"] if position < shape.parallel else []
        lanes = index == shape.lane
        notes += [f"{target.lanes} lanes at a time"] if lanes else []
        yield STEP * depth + f"for {index.name} < {index.size}{_stride(target.lanes if lanes else 1)}{_note(notes)}"
        depth += 1
    if shape.lane is not None and shape.lane not in shape.loops:
        yield STEP * depth + f"sum over {shape.lane.name} < {shape.lane.size}, {target.lanes} lanes at a time"
    for number, equation in enumerate(nest.equations):
        verb = "store" if equation.tensor in nest.stored else "keep"
        yield STEP * depth + f"{verb} {equation.tensor.symbol}: equation {number + 1}"


def _stride(step: int) -> str:
    return f" by {step}" if step > 1 else ""


def _note(notes: list[str]) -> str:
    return f"   ({', '.join(notes)})" if notes else ""


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
