"""The plan: what the stages before code generation decided about a program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial

from pellucid.engines.native import choice, cpu, layout
from pellucid.engines.native.driver import arrange, groups
from pellucid.engines.native.folding import folded
from pellucid.engines.native.lower import Kernel, buffers_of, lower
from pellucid.engines.native.memory import Arena, Buffer, plan
from pellucid.engines.native.product import Product
from pellucid.engines.native.rewrite import rewritten, successors
from pellucid.errors import NotationError, UsageError
from pellucid.notation import Program, Tensor
from pellucid.notation.expression import accesses
from pellucid.notation.index import box

THREADS_VARIABLE = "PELLUCID_THREADS"
ALONE = 3_000_000
"""Below this many multiply-adds and elements a step is over before a second thread has woken up."""


@dataclass(frozen=True)
class Compiled:
    """All that the stages decided, before code was generated; `report` and `--show` print it."""

    program: Program
    layout: str
    why: str
    kernels: tuple[Kernel, ...]
    buffers: Mapping[Tensor, Buffer]
    alias: Mapping[Tensor, Tensor]
    groups: tuple[int, ...]
    arena: Arena
    threads: int
    target: cpu.Target


def number_of_threads(threads: int | None) -> int:
    """The argument, else PELLUCID_THREADS, else the processors this process may use; UsageError if not positive."""
    if threads is None:
        text = os.environ.get(THREADS_VARIABLE, "")
        if text:
            if not text.isdigit() or int(text) < 1:
                raise UsageError(f"{THREADS_VARIABLE} must be a positive whole number; it is {text!r}")
            return int(text)
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise UsageError(f"threads must be at least 1; got {threads}")
    return threads


def prepare(program: Program, target: cpu.Target, threads: int | None = None, chosen: str | None = None) -> Compiled:
    """Layout, lowering and memory: everything up to the generation of code."""
    program = folded(program)
    lowered = cache(partial(_lowered, program, target))
    name, why = choice.choose(program, target, lambda each: lowered(each)[2])
    if chosen is not None and chosen != name:
        name, why = chosen, f"{chosen}: asked for ({why})"
    arranged, buffers, kernels = lowered(name)
    outside = {*arranged.given, *arranged.outputs}
    alias = {new: old for old, new in arranged.updates}
    _check_updates(kernels, alias)
    numbers = groups(kernels, alias)
    # In the order of the kernels, not a set: the same program must have the same plan, and so the same code, again.
    inner = dict.fromkeys(t for k in kernels for t in k.operands if t not in outside and t not in alias)
    lives: dict[Tensor, tuple[int, int]] = {}
    for kernel, number in zip(kernels, numbers, strict=True):
        for tensor in kernel.operands:
            lives[tensor] = (lives.get(tensor, (number, number))[0], number)
    arena = plan([buffers[t] for t in inner], lives, {t for t in inner if not covered(arranged, t)})
    many = number_of_threads(threads)
    work = sum(_work(k) for k in kernels)
    return Compiled(
        arranged, name, why, tuple(kernels), buffers, alias, tuple(numbers), arena, 1 if work < ALONE else many, target
    )


def _lowered(program: Program, target: cpu.Target, name: str) -> tuple[Program, Mapping[Tensor, Buffer], list[Kernel]]:
    """The program in a layout, where its tensors lie, and its kernels in order."""
    arranged = rewritten(layout.with_room(successors(layout.apply(program, target.lanes, name))))
    alias = {new: old for old, new in arranged.updates}
    buffers = buffers_of(arranged, {*arranged.given, *arranged.outputs, *alias})
    try:
        kernels = arrange(lower(arranged, buffers), alias)
    except NotationError:
        # Two parameters whose gradients read each other: all gradients first, then the updates.
        kernels = arrange(lower(arranged, buffers, apart=set(alias)), alias)
    return arranged, buffers, kernels


def _work(kernel: Kernel) -> int:
    if isinstance(kernel, Product):
        return box((*kernel.equations[0].indices, *kernel.sum.indices))
    return box(kernel.indices) * 4


def _check_updates(kernels: list[Kernel], alias: Mapping[Tensor, Tensor]) -> None:
    """An update happens in place: nothing may read the old value elsewhere, or after it."""
    overwritten: set[Tensor] = set()
    for kernel in kernels:
        targets = {alias[t]: e for e in kernel.equations for t in (e.tensor,) if t in alias}
        for equation in kernel.equations:
            for access in accesses(equation.value):
                late = access.tensor in overwritten
                aside = access.tensor in targets and access.at != targets[access.tensor].at
                if late or aside:
                    raise NotationError(f"{access.tensor.name} is still read where its update already stands")
        overwritten.update(targets)


def covered(program: Program, tensor: Tensor) -> bool:
    """Whether its parts, which share no element, write the whole tensor."""
    return sum(box(e.indices) for e in program.definition(tensor)) == tensor.size


def external(compiled: Compiled) -> list[Tensor]:
    """The tensors that lie in arrays of the caller, in the order of the table of pointers."""
    used = {t for k in compiled.kernels for t in k.operands} | {*compiled.alias.values()}
    program = compiled.program
    return [t for t in dict.fromkeys((*program.given, *program.outputs)) if t in used or t in program.outputs]


def slots_of(compiled: Compiled, outside: list[Tensor]) -> dict[Tensor, tuple[int, int]]:
    """Where each tensor's address comes from: an entry of the table of pointers, and bytes from there."""
    entries = {t: (k, 0) for k, t in enumerate(outside, 1)}
    slots = {t: (0, offset) for t, offset in compiled.arena.offsets.items()} | entries
    return slots | {new: slots[old] for new, old in compiled.alias.items()}
