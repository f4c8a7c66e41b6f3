"""The native engine: a program compiled to one function, and what runs it."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from pellucid.engines.base import Array
from pellucid.engines.native import codegen, cpu, layout
from pellucid.engines.native.driver import JOB_NAME, POINTER_BYTES, Call, emit_driver, groups, reads, writes
from pellucid.engines.native.emit import POINTER, Emitter
from pellucid.engines.native.lower import Kernel, buffers_of, lower, partial_sums
from pellucid.engines.native.memory import ELEMENT, Arena, Buffer, plan
from pellucid.engines.native.nest import Nest, Plan, emit_nest
from pellucid.engines.native.product import Product, emit_product, schedule_of
from pellucid.engines.native.threads import Team, flush_denormals, restore_denormals
from pellucid.errors import NotationError, UsageError
from pellucid.notation import Program, Tensor

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
    name, why = layout.choose(program, target.lanes)
    if chosen is not None and chosen != name:
        name, why = chosen, f"{chosen}: asked for ({why})"
    arranged = partial_sums(layout.apply(program, target.lanes, name))
    outside = {*arranged.given, *arranged.outputs}
    alias = {new: old for old, new in arranged.updates}
    buffers = buffers_of(arranged, {*outside, *alias})
    kernels = _updates_last(lower(arranged, buffers), alias)
    _check_updates(kernels, alias)
    numbers = groups(kernels, alias)
    inner = {t for k in kernels for t in k.operands if t not in outside and t not in alias}
    lives = {
        t: (min(n for k, n in zip(kernels, numbers, strict=True) if t in k.operands),
            max(n for k, n in zip(kernels, numbers, strict=True) if t in k.operands))
        for t in inner
    }  # fmt: skip
    exclusive = {t for t in inner if buffers[t].has_margin or not _covered(arranged, t)}
    arena = plan([buffers[t] for t in inner], lives, exclusive)
    many = number_of_threads(threads)
    work = sum(_work(k) for k in kernels)
    return Compiled(
        arranged, name, why, tuple(kernels), buffers, alias, tuple(numbers), arena, 1 if work < ALONE else many, target
    )


def _work(kernel: Kernel) -> int:
    from pellucid.notation.index import box

    if isinstance(kernel, Product):
        return box((*kernel.equations[0].indices, *kernel.sum.indices))
    return box(kernel.indices) * 4


def _updates_last(kernels: list[Kernel], alias: Mapping[Tensor, Tensor]) -> list[Kernel]:
    """Kernels that overwrite parameters and states go after all that may still read the old values."""
    updating = [k for k in kernels if any(t in alias for t in k.stored)]
    return [k for k in kernels if k not in updating] + updating


def _check_updates(kernels: list[Kernel], alias: Mapping[Tensor, Tensor]) -> None:
    """An update happens in place: nothing may read the old value elsewhere, or after it."""
    from pellucid.notation.expression import accesses

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


def _covered(program: Program, tensor: Tensor) -> bool:
    return any(e.covers for e in program.definition(tensor))


class NativeExecutable:
    """A program as machine code; see `pellucid.engines.base.Executable`."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        calls, texts = _generate(compiled)
        together = compiled.threads > 1
        self._external = _external(compiled)
        slots = _slots(compiled, self._external)
        driver = emit_driver(calls, compiled.groups, slots, compiled.target, together=together)
        texts[JOB_NAME] = driver
        if not together:
            texts["alone"] = _alone(compiled.target)
        self.texts = texts
        objects = codegen.compile_objects(list(texts.values()), compiled.target, os.cpu_count() or 1)
        self._code = codegen.Loaded(objects, compiled.target)
        self._job = self._code.address(JOB_NAME)
        self._team = Team(compiled.threads, compiled.target) if together else None
        if not together:
            self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._code.address("alone"))
        self._memory = np.zeros(compiled.arena.size // ELEMENT + 16, np.float32)
        base = self._memory.ctypes.data
        self._base = base + (-base % 64)
        self._table = (ctypes.c_uint64 * (1 + len(self._external)))()
        self._table[0] = self._base
        self._table_address = ctypes.addressof(self._table)
        self._updated = {old.name for old, _ in compiled.program.updates}

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        if self._code is None:
            raise UsageError("this executable is closed")
        hold: list[Any] = []
        outputs: dict[str, Array] = {}
        given = set(self.compiled.program.given)
        for entry, tensor in enumerate(self._external, 1):
            if tensor in given:
                array = self._given(tensor, arrays)
                if tensor in self.compiled.program.outputs:
                    outputs[tensor.name] = np.array(arrays[tensor.name])
            else:
                array = np.empty(tensor.extents, np.float32 if tensor.kind == "float" else np.int32)
                if not self._written_whole[tensor.name]:
                    array[...] = 0
                outputs[tensor.name] = array
            hold.append(array)
            self._table[entry] = array.ctypes.data
        if self._team is not None:
            self._team.run(self._job, self._table_address)
        else:
            self._call(self._table_address)
        return {
            t.name: outputs[t.name] if t.kind == "float" else outputs[t.name].astype(np.int64)
            for t in self.compiled.program.outputs
        }

    def _given(self, tensor: Tensor, arrays: Mapping[str, Array]) -> Array:
        value = tensor.value if tensor.role == "constant" else arrays.get(tensor.name)
        if value is None:
            raise NotationError(f"the program needs a value for {tensor.name}")
        if tensor.name in self._updated:
            if value.dtype != np.float32 or not value.flags.c_contiguous:
                raise UsageError(f"{tensor.name} is updated in place: it must be a C-ordered float32 array")
            return value
        return np.ascontiguousarray(value, np.float32 if tensor.kind == "float" else np.int32)

    @property
    def _written_whole(self) -> dict[str, bool]:
        return {t.name: _covered(self.compiled.program, t) for t in self.compiled.program.outputs}

    def close(self) -> None:
        """End the threads and free the code and the memory."""
        if self._team is not None:
            self._team.close()


def _external(compiled: Compiled) -> list[Tensor]:
    """The tensors that lie in arrays of the caller, in the order of the table of pointers."""
    used = {t for k in compiled.kernels for t in k.operands}
    program = compiled.program
    return [t for t in dict.fromkeys((*program.given, *program.outputs)) if t in used or t in program.outputs]


def _slots(compiled: Compiled, external: list[Tensor]) -> dict[Tensor, tuple[int, int]]:
    entries = {t: (k, 0) for k, t in enumerate(external, 1)}
    slots = {t: (0, offset) for t, offset in compiled.arena.offsets.items()} | entries
    return slots | {new: slots[old] for new, old in compiled.alias.items()}


def _generate(compiled: Compiled) -> tuple[list[Call], dict[str, str]]:
    """The IR of every kernel, under a name made from its content: equal kernels are compiled once."""
    calls, texts = [], {}
    for kernel in compiled.kernels:
        module = ir.Module("kernel")
        if isinstance(kernel, Product):
            from pellucid.engines.native.contraction import complete, tasks

            contraction, extra, schedule = schedule_of(kernel, compiled.target)
            emit_product(module, "kernel", kernel, compiled.target, contraction, extra, schedule)
            count = tasks(contraction, complete(contraction, schedule, compiled.target))
        else:
            shape = Plan(kernel, compiled.target).shape()
            emit_nest(module, "kernel", kernel, shape, compiled.target)
            count = shape.tasks
        text = str(module)
        name = "k" + hashlib.sha256(text.encode()).hexdigest()[:24]
        texts[name] = text.replace('@"kernel"', f'@"{name}"')
        calls.append(Call(kernel, name, count))
    return calls, texts


def _alone(target: cpu.Target) -> str:
    """The IR of `alone(table*)`: the step on the calling thread only, denormals flushed."""
    module = ir.Module("alone")
    emitter = Emitter(module, "alone", [POINTER], target)
    mode = flush_denormals(emitter)
    i64 = ir.IntType(64)
    step = emitter.intrinsic(JOB_NAME, ir.VoidType(), [POINTER, POINTER, i64, i64])
    null = ir.Constant(POINTER, None)
    emitter.builder.call(step, [null, emitter.arguments[0], ir.Constant(i64, 0), ir.Constant(i64, 1)])
    restore_denormals(emitter, mode)
    emitter.finish()
    return str(module)


class NativeEngine:
    """Programs compiled to machine code in float32."""

    name = "native"

    def __init__(self, target: str | None = None, layout: str | None = None) -> None:
        self.target = cpu.target(target)
        self.layout = layout

    def compile(self, program: Program, *, dtype: str = "float32", threads: int | None = None) -> NativeExecutable:
        """Compile a program; UsageError for another dtype than float32."""
        if dtype != "float32":
            raise UsageError(f'the native engine computes in float32, not in {dtype}; use engine="numpy" for float64')
        return NativeExecutable(prepare(program, self.target, threads, self.layout))


__all__ = ["Compiled", "Nest", "NativeEngine", "NativeExecutable", "POINTER_BYTES", "prepare", "reads", "writes"]
