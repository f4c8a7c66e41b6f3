"""Loop nests: everything that is not a contraction.

A nest computes one equation, or a chain of equations over the same indices, each reading at the same place what the
one before it wrote. One index runs over vector lanes: one in which as many tensors as possible have neighbouring
elements. Neighbouring loops that walk through memory in one stride are joined first.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.memory import Buffer
from pellucid.notation import Affine, Equation, Index, Tensor
from pellucid.notation.expression import (
    Position,
    Reduce,
    accesses,
)
from pellucid.notation.fingerprint import structure
from pellucid.notation.index import box
from pellucid.notation.selection import gathered

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
    def offsets(self) -> tuple[int, ...]:
        """Every pointer points to its tensor's beginning."""
        return (0,) * len(self.operands)

    @property
    def indices(self) -> tuple[Index, ...]:
        return self.equations[0].indices

    def describe(self) -> str:
        """The nest's content as text: equations, extents and memory, from which its code follows."""

        def memory(tensor: Tensor) -> object:
            buffer = self.buffers[tensor] if tensor in self.operands else None
            return tensor.kind, tensor.extents, buffer and (buffer.extents, buffer.margins), tensor in self.stored

        return f"{self.block!r}\n{structure(self.equations, self.operands, memory)}"


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
        sums = [n for e in self.nest.equations for n in e.value.walk() if isinstance(n, Reduce)]
        keys = {found[0].key for found in map(gathered, sums) if found is not None}
        bound = [i for n in sums if n.kind != "argmax" for i in n.indices if i not in keys]
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
