"""Scatters: sums in which every term belongs to one place of the result, which a whole number selects.

    dW[v,k] = sum(n) [v == T[n]] * G[n,k]

The terms are walked through once, and each is added where it belongs. A task owns a range of v: it sets its rows to 0,
looks at all numbers, and adds the terms that are its own, in their order, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from llvmlite import ir

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import FLOAT, I64, POINTER, Emitter, Number, integer
from pellucid.engines.native.expression import Writer
from pellucid.engines.native.nest import Nest, Shape
from pellucid.engines.native.walk import Emission, Reader, Spot, steps
from pellucid.notation import Expression, Index, Tensor
from pellucid.notation.expression import Reduce, free_indices
from pellucid.notation.selection import Selection, scattered

TASKS = 16
"""Every task looks at all numbers: few enough that this costs little."""


@dataclass(frozen=True)
class Scatter(Nest):
    """The kernel of one such equation."""

    @cached_property
    def sum(self) -> Reduce:
        value = self.equations[0].value
        assert isinstance(value, Reduce)
        return value

    @cached_property
    def selection(self) -> tuple[Selection, Expression]:
        found = scattered(self.sum)
        assert found is not None
        return found

    @property
    def key(self) -> Index:
        return self.selection[0].key

    @cached_property
    def outer(self) -> tuple[Index, ...]:
        """What is walked through to see every number once, or every row of numbers."""
        needed = free_indices(self.selection[0].number)
        return (*(i for i in self.indices if i != self.key and i in needed), *self.sum.indices)

    @cached_property
    def inner(self) -> tuple[Index, ...]:
        """What a number's row runs over."""
        return tuple(i for i in self.indices if i != self.key and i not in self.outer)

    @property
    def chunk(self) -> int:
        """How many values of the key a task owns."""
        return -(-self.key.size // TASKS)

    @property
    def tasks(self) -> int:
        return -(-self.key.size // self.chunk)

    def __str__(self) -> str:
        names = [", ".join(i.name for i in part) or "nothing" for part in (self.outer, self.inner)]
        return f"scatter by {self.key.name}: loops over {names[0]}, rows over {names[1]}; {self.tasks} tasks"


def emit_scatter(module: ir.Module, name: str, scatter: Scatter, target: Target) -> int:
    """Add `void name(operands*..., i64 begin, i64 end)`; begin..end selects tasks, whose number is returned."""
    emitter = Emitter(module, name, [POINTER] * len(scatter.operands) + [I64, I64], target)
    _Rows(scatter, emitter, dict(zip(scatter.operands, emitter.arguments, strict=False))).emit()
    emitter.finish()
    return scatter.tasks


class _Rows:
    """Writes the loops: a task's rows, all numbers, and the row that a number selects."""

    def __init__(self, scatter: Scatter, emitter: Emitter, pointers: Mapping[Tensor, ir.Value]) -> None:
        self.scatter, self.emitter = scatter, emitter
        equation = scatter.equations[0]
        self.place = scatter.buffers[equation.tensor].place(equation.at)
        self.lane = next((i for i in reversed(scatter.inner) if self.place.coefficient(i) == 1), None)
        inner = tuple(i for i in scatter.inner if i != self.lane) + (() if self.lane is None else (self.lane,))
        self.inner = inner
        self.emission = Emission(scatter, Shape({}, inner, self.lane, 0), emitter, pointers)
        self.target = pointers[equation.tensor]

    def emit(self) -> None:
        e, key = self.emitter, self.scatter.key
        shared = tuple(i for i in self.scatter.indices if i in self.scatter.outer)
        with e.loop(*e.arguments[-2:]) as task:
            low = e.multiply(task, self.scatter.chunk)
            high = e.minimum(e.add(low, self.scatter.chunk), key.size)
            with e.loop(low, high) as row:
                self.around((*shared, *self.inner), Spot({key: row}), self.clear)
            self.around(self.scatter.outer, Spot({}), lambda spot: self.select(spot, low, high))

    def around(self, loops: Sequence[Index], spot: Spot, body: Callable[[Spot], None]) -> None:
        """Loops, the lane's in whole vectors, with the body inside."""
        if not loops:
            body(spot)
            return
        index, *inner = loops
        for value, active in steps(self.emitter, index, self.lane):
            here = Spot({**spot.values, index: value}, spot.lane, spot.active)
            if index == self.lane:
                here.lane, here.active = index, active
            self.around(inner, here, body)

    def clear(self, spot: Spot) -> None:
        zero = self.emitter.zero(self.emitter.target.lanes) if spot.lane is not None else ir.Constant(FLOAT, 0.0)
        self._store(zero, spot)

    def select(self, spot: Spot, low: Number, high: Number) -> None:
        """Where the number is one of the task's own, add the row that belongs to it."""
        e, (selection, others) = self.emitter, self.scatter.selection
        number = e.builder.sext(Reader(self.emission, spot).access(selection.number), I64)
        mine = e.both(e.at_most(low, number), e.builder.icmp_signed("<", number, integer(high)))
        with e.when(mine):
            row = Spot({**spot.values, selection.key: number})
            self.around(self.inner, row, lambda here: self.add(others, here))

    def add(self, others: Expression, spot: Spot) -> None:
        reader = Reader(self.emission, spot)
        writer = Writer(self.emitter, reader)
        value = writer.float(others)
        have = reader.load(self._address(spot), 1 if spot.lane is not None else 0)
        have, value = writer.together([have, value])
        self._store(self.emitter.builder.fadd(have, value), spot)

    def _address(self, spot: Spot) -> ir.Value:
        return self.emitter.advance(self.target, self.emission.number(self.place, spot))

    def _store(self, value: ir.Value, spot: Spot) -> None:
        if spot.lane is not None:
            self.emitter.store(value, self._address(spot), spot.active)
        else:
            self.emitter.store_scalar(value, self._address(spot))
