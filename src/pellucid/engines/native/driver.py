"""The step function: all kernels in order, as every thread runs them.

Kernels between two barriers form a group. Within a group every thread works through its own blocks of images, kernel
after kernel, while they are in its cache; a kernel that is not divided into blocks is shared by tasks. A barrier
stands only where a thread may need, or overwrite, what another one computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from llvmlite import ir

from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import I64, POINTER, Emitter, integer
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.memory import ELEMENT
from pellucid.engines.native.threads import JOB, emit_barrier, share
from pellucid.errors import NotationError
from pellucid.notation import Tensor

JOB_NAME = "step"
POINTER_BYTES = 8


@dataclass(frozen=True)
class Call:
    """A kernel with its code's name and the number of its tasks."""

    kernel: Kernel
    name: str
    tasks: int

    @property
    def blocks(self) -> bool:
        """Whether its tasks are the blocks of the batch."""
        return self.kernel.block is not None


def writes(kernel: Kernel, alias: Mapping[Tensor, Tensor]) -> set[Tensor]:
    """The tensors a kernel stores; an updated state is the state itself."""
    return {alias.get(t, t) for t in kernel.stored}


def reads(kernel: Kernel, alias: Mapping[Tensor, Tensor]) -> set[Tensor]:
    """The tensors a kernel loads."""
    return {alias.get(t, t) for t in kernel.operands if t not in kernel.stored}


def arrange(kernels: Sequence[Kernel], alias: Mapping[Tensor, Tensor]) -> list[Kernel]:
    """An order in which kernels that go block by block stand together, so that few barriers are needed.

    A kernel comes after those that store what it loads. One that overwrites a state comes after all that still load
    the old value.
    """
    storing: dict[Tensor, set[int]] = {}
    using: dict[Tensor, set[int]] = {}
    for k, kernel in enumerate(kernels):
        for tensor in kernel.operands:
            (storing if tensor in kernel.stored else using).setdefault(tensor, set()).add(k)
    before = [
        {j for t in k.operands if t not in k.stored for j in storing.get(t, ())}
        | {j for t in k.stored if t in alias for j in using.get(alias[t], ())} - {number}
        for number, k in enumerate(kernels)
    ]
    order: list[int] = []
    done: set[int] = set()
    waiting = list(range(len(kernels)))
    while waiting:
        ready = [k for k in waiting if before[k] <= done]
        if not ready:
            raise NotationError("updates of states read each other's new values; no order satisfies all")
        blocks = [k for k in ready if kernels[k].block is not None]
        chosen = blocks[:1] or ready
        order += chosen
        done.update(chosen)
        waiting = [k for k in waiting if k not in chosen]
    return [kernels[k] for k in order]


def groups(kernels: Sequence[Kernel], alias: Mapping[Tensor, Tensor]) -> list[int]:
    """The number of each kernel's group; a new one begins where a barrier is needed."""
    numbers: list[int] = []
    group = 0
    written: dict[Tensor, bool] = {}  # since the last barrier; whether block by block
    loaded: dict[Tensor, bool] = {}
    for kernel in kernels:
        blocks = kernel.block is not None
        here, there = reads(kernel, alias), writes(kernel, alias)

        def clash(tensors: set[Tensor], earlier: Mapping[Tensor, bool], blocks: bool = blocks) -> bool:
            return any(t in earlier and not (blocks and earlier[t]) for t in tensors)

        if clash(here, written) or clash(there, written) or clash(there, loaded):
            group += 1
            written, loaded = {}, {}
        for tensor in there:
            written[tensor] = blocks and written.get(tensor, True)
        for tensor in here:
            loaded[tensor] = blocks and loaded.get(tensor, True)
        numbers.append(group)
    return numbers


def emit_driver(
    calls: Sequence[Call],
    numbers: Sequence[int],
    slots: Mapping[Tensor, tuple[int, int]],
    target: Target,
    *,
    together: bool,
) -> str:
    """The IR of `step(team*, table*, thread, threads)`.

    `slots` says for each tensor which entry of the table of pointers holds its base, and the byte offset from there.
    Without `together` one thread does everything, and no barrier is written.
    """
    module = ir.Module("driver")
    emitter = Emitter(module, JOB_NAME, [POINTER, POINTER, I64, I64], target)
    assert emitter.function.function_type == JOB
    team, *rest = emitter.arguments
    barrier = emit_barrier(module, target) if together else None
    series = [[call for _, call in group] for _, group in groupby(zip(numbers, calls, strict=True), itemgetter(0))]
    for number, group in enumerate(series):
        if number and barrier is not None:
            emitter.builder.call(barrier, [team])
        emitter.builder.call(_emit_group(module, f"group{number}", group, slots, target), rest)
    emitter.finish()
    return str(module)


def _emit_group(
    module: ir.Module, name: str, calls: Sequence[Call], slots: Mapping[Tensor, tuple[int, int]], target: Target
) -> ir.Function:
    """Runs of kernels divided into blocks go block by block; the others are shared by tasks.

    Each group is a function of its own: LLVM's time grows faster than the length of a function.
    """
    emitter = Emitter(module, name, [POINTER, I64, I64], target)
    emitter.function.linkage = "internal"
    table, thread, threads = emitter.arguments
    bases: dict[Tensor, ir.Value] = {}
    for tensor in (t for call in calls for t in call.kernel.operands):
        if tensor not in bases:
            bases[tensor] = emitter.builder.load(emitter.advance(table, slots[tensor][0], I64), typ=POINTER)

    def run(call: Call, begin: ir.Value, end: ir.Value) -> None:
        pointers = [
            emitter.advance(bases[tensor], slots[tensor][1] + offset * ELEMENT, ir.IntType(8))
            for tensor, offset in zip(call.kernel.operands, call.kernel.offsets, strict=True)
        ]
        kind = [POINTER] * len(pointers) + [I64, I64]
        emitter.builder.call(emitter.intrinsic(call.name, ir.VoidType(), kind), [*pointers, begin, end])

    position = 0
    while position < len(calls):
        call = calls[position]
        if not call.blocks:
            begin, end = share(emitter, call.tasks, thread, threads)
            run(call, integer(begin), integer(end))
            position += 1
            continue
        following = position
        while following < len(calls) and calls[following].blocks:
            following += 1
        series = calls[position:following]
        most = max(c.tasks for c in series)
        begin, end = share(emitter, most, thread, threads)
        with emitter.loop(begin, end) as block:
            number = integer(block)
            for each in series:
                last = ir.Constant(I64, each.tasks)
                with emitter.when(True if each.tasks == most else emitter.builder.icmp_signed("<", number, last)):
                    run(each, number, emitter.builder.add(number, ir.Constant(I64, 1)))
        position = following
    return emitter.finish()
