"""One generator turns every sum of products into machine code.

Outer loops (cache blocks, then register tiles) walk over the output; at their heart stands a register tile (`tile.py`).
Extents need not divide by anything: what is left over runs through a second, smaller copy of the tile, and the last
lanes of a vector are masked. Loops over kernel positions and channels stay loops: unrolling them multiplies the compile
time and gains nothing.
"""

from __future__ import annotations

from llvmlite import ir

from pellucid.engines.native.contraction import Contraction, Schedule, complete
from pellucid.engines.native.cpu import Target
from pellucid.engines.native.cursor import Cursor, State
from pellucid.engines.native.emit import I64, POINTER, Emitter, Number
from pellucid.engines.native.epilogue import Epilogue
from pellucid.engines.native.tile import Frame, Tile


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

    begin..end selects tasks, 0 <= begin <= end <= tasks(contraction, schedule). All tensors are float32; no
    alignment is required. `out` must not overlap `a` or `b`. Raises ValueError for a schedule that cannot be.
    """
    full = complete(contraction, schedule, target)
    pointers = (*contraction.operands, *extras)
    emitter = Emitter(module, name, [POINTER] * len(pointers) + [I64, I64], target)
    for argument in emitter.arguments[:3]:
        argument.add_attribute("noalias")
    arguments = dict(zip(pointers, emitter.arguments, strict=False))
    _Loops(Frame(Cursor(contraction, emitter), full, epilogue, arguments)).emit()
    return emitter.finish()


class _Loops:
    """Emits the loops of one contraction, outermost first."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.cursor, self.schedule = frame, frame.cursor, frame.schedule
        self.contraction, self.emitter = frame.cursor.contraction, frame.cursor.emitter

    def emit(self) -> None:
        state = self.cursor.start(self.frame.arguments)
        with self.emitter.loop(*self.emitter.arguments[-2:]) as task:
            self.walk(0, self.decode(task, state))

    def decode(self, task: Number, state: State) -> State:
        """Narrow the parallel indices to the blocks that task number `task` stands for."""
        e = self.emitter
        for loop in reversed(self.schedule.order[: self.schedule.parallel]):
            extent = self.contraction.extents[loop.index]
            task, position = e.divide(task, -(-extent // loop.step))
            begin = e.multiply(position, loop.step)
            end = e.add(begin, loop.step)
            state = self.cursor.narrow(
                state, loop.index, begin, end if extent % loop.step == 0 else e.minimum(end, extent)
            )
        return state

    def walk(self, level: int, state: State) -> None:
        """Emit the outer loops from `level` on, then the register tile."""
        if level == len(self.schedule.order):
            Tile(self.frame, state).emit()
            return
        loop = self.schedule.order[level]
        last = all(later.index != loop.index for later in self.schedule.order[level + 1 :])
        if loop.index not in self.contraction.reduction and last:
            if level < self.schedule.parallel and loop.step == 1:
                self.walk(level + 1, self.cursor.fix(state, loop.index, state.ranges[loop.index][0], 1))
                return
            for value, size in self.cursor.register_loop(state, loop.index, loop.step):
                self.walk(level + 1, self.cursor.fix(state, loop.index, value, size))
        elif level < self.schedule.parallel:
            self.walk(level + 1, state)
        else:
            begin, end = state.ranges[loop.index]
            with self.emitter.loop(begin, end, loop.step) as value:
                stop = self.emitter.minimum(self.emitter.add(value, loop.step), end)
                self.walk(level + 1, self.cursor.narrow(state, loop.index, value, stop))
