"""The native engine: a program compiled to one function, and what runs it."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from llvmlite import ir

from pellucid.engines.base import Array
from pellucid.engines.native import codegen, cpu, layout
from pellucid.engines.native.cache import ObjectCache
from pellucid.engines.native.driver import JOB_NAME, Call, arrange, emit_driver, groups
from pellucid.engines.native.emit import POINTER, Emitter
from pellucid.engines.native.generate import generate
from pellucid.engines.native.lower import Kernel, buffers_of, lower
from pellucid.engines.native.memory import ELEMENT, Arena, Buffer, plan
from pellucid.engines.native.product import Product
from pellucid.engines.native.rewrite import rewritten, successors
from pellucid.engines.native.threads import Team, flush_denormals, restore_denormals, team_code
from pellucid.errors import ConfigError, NotationError, ShapeError, UsageError
from pellucid.notation import Program, Tensor
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
    name, why = layout.choose(program, target.lanes)
    if chosen is not None and chosen != name:
        name, why = chosen, f"{chosen}: asked for ({why})"
    arranged = rewritten(layout.with_room(successors(layout.apply(program, target.lanes, name))))
    outside = {*arranged.given, *arranged.outputs}
    alias = {new: old for old, new in arranged.updates}
    buffers = buffers_of(arranged, {*outside, *alias})
    try:
        kernels = arrange(lower(arranged, buffers), alias)
    except NotationError:
        # Two parameters whose gradients read each other: all gradients first, then the updates.
        kernels = arrange(lower(arranged, buffers, apart=set(alias)), alias)
    _check_updates(kernels, alias)
    numbers = groups(kernels, alias)
    # In the order of the kernels, not a set: the same program must have the same plan, and so the same code, again.
    inner = dict.fromkeys(t for k in kernels for t in k.operands if t not in outside and t not in alias)
    lives: dict[Tensor, tuple[int, int]] = {}
    for kernel, number in zip(kernels, numbers, strict=True):
        for tensor in kernel.operands:
            lives[tensor] = (lives.get(tensor, (number, number))[0], number)
    arena = plan([buffers[t] for t in inner], lives, {t for t in inner if not _covered(arranged, t)})
    many = number_of_threads(threads)
    work = sum(_work(k) for k in kernels)
    return Compiled(
        arranged, name, why, tuple(kernels), buffers, alias, tuple(numbers), arena, 1 if work < ALONE else many, target
    )


def _work(kernel: Kernel) -> int:
    if isinstance(kernel, Product):
        return box((*kernel.equations[0].indices, *kernel.sum.indices))
    return box(kernel.indices) * 4


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
    """Whether its parts, which share no element, write the whole tensor."""
    return sum(box(e.indices) for e in program.definition(tensor)) == tensor.size


class _Given:
    """A tensor of the caller: its entry in the table of pointers, and the array that stood there last."""

    def __init__(self, tensor: Tensor, entry: int, updated: bool) -> None:
        self.name, self.entry, self.updated = tensor.name, entry, updated
        self.constant = tensor.value if tensor.role == "constant" else None
        self.dtype = np.dtype(np.float32 if tensor.kind == "float" else np.int32)
        self.shape = tensor.extents
        self.last: Array | None = None
        self.kept: Array | None = None
        self.address = 0

    def take(self, array: Array | None) -> None:
        """Use this array from now on; NotationError if there is none, UsageError if it cannot be used in place."""
        if self.constant is not None:
            if self.kept is not None:
                return
            array = self.constant
        if array is None:
            raise NotationError(f"the program needs a value for {self.name}")
        if array.shape != self.shape:
            raise ShapeError(f"{self.name} must have the shape {self.shape}; got {array.shape}")
        usable = array.dtype == self.dtype and array.flags.c_contiguous
        if self.updated and not (usable and array.flags.writeable):
            raise UsageError(
                f"{self.name} is updated in place: it must be a writable, C-ordered {self.dtype} array; got "
                f"{array.dtype}{'' if array.flags.c_contiguous else ', not C-ordered'}"
                f"{'' if array.flags.writeable else ', read-only'}"
            )
        self.kept = array if usable else np.ascontiguousarray(array, self.dtype)
        # Only an array used in place may be recognised again: a copy would miss what is written to the original.
        self.last = array if usable else None
        self.address = self.kept.ctypes.data


class _Returned:
    """An output: its entry in the table of pointers, and how to make the array that the code writes to."""

    def __init__(self, tensor: Tensor, entry: int, program: Program) -> None:
        self.name, self.kind, self.entry = tensor.name, tensor.kind, entry
        self.shape = tensor.extents
        self.dtype = np.dtype(np.float32 if tensor.kind == "float" else np.int32)
        # Elements that no equation writes are 0.
        self.make = np.empty if _covered(program, tensor) else np.zeros


class NativeExecutable:
    """A program as machine code; see `pellucid.engines.base.Executable`."""

    def __init__(self, compiled: Compiled, store: ObjectCache) -> None:
        self.compiled = compiled
        codes = generate(compiled.kernels, compiled.target, store)
        calls = [Call(k, c.name, c.tasks) for k, c in zip(compiled.kernels, codes, strict=True)]
        self._calls = calls
        together = compiled.threads > 1
        self._external = _external(compiled)
        slots = _slots(compiled, self._external)
        driver = emit_driver(calls, compiled.groups, slots, compiled.target, together=together)
        texts = [driver, team_code(compiled.target) if together else _alone(compiled.target)]
        objects = store.compiled(texts, compiled.target)
        objects += {c.name: c.data for c in codes}.values()
        self._code = codegen.Loaded(objects, compiled.target)
        self._job = self._code.address(JOB_NAME)
        self._team = Team(compiled.threads, compiled.target, self._code) if together else None
        if not together:
            self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._code.address("alone"))
        self._memory = np.zeros(compiled.arena.size // ELEMENT + 16, np.float32)
        base = self._memory.ctypes.data
        self._base = base + (-base % 64)
        self._table = (ctypes.c_uint64 * (1 + len(self._external)))()
        self._table[0] = self._base
        self._table_address = ctypes.addressof(self._table)
        updated = {old.name for old, _ in compiled.program.updates}
        self._given = [
            _Given(t, entry, t.name in updated) for entry, t in enumerate(self._external, 1) if t.role != "defined"
        ]
        self._returned = [
            _Returned(t, entry, compiled.program) for entry, t in enumerate(self._external, 1) if t.role == "defined"
        ]
        self._passed = [t for t in compiled.program.outputs if t.role != "defined"]
        self._turn = threading.Lock()
        self._closed = False

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        # Arena and outputs are there once: calls from several Python threads take turns.
        with self._turn:
            return self._run(arrays)

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        if self._closed:
            raise UsageError("this executable is closed")
        table = self._table
        for given in self._given:
            array = arrays.get(given.name)
            # The same array as in the last run, as parameters are, needs no second look.
            if array is None or array is not given.last:
                given.take(array)
                table[given.entry] = given.address
        fresh: list[Array] = []
        for returned in self._returned:
            array = returned.make(returned.shape, returned.dtype)
            table[returned.entry] = array.ctypes.data
            fresh.append(array)
        passed = {t.name: _value(t, arrays) for t in self._passed}  # a state's value is the one before its update
        if self._team is not None:
            self._team.run(self._job, self._table_address)
        else:
            self._call(self._table_address)
        results: dict[str, Array] = {
            r.name: array if r.kind == "float" else array.astype(np.int64)
            for r, array in zip(self._returned, fresh, strict=True)
        }
        return results | passed

    def report(self, repeats: int = 20) -> list[tuple[Kernel, int, float]]:
        """Each kernel by itself on one thread: (kernel, tasks, seconds), the median of some runs on made-up data."""
        if self._closed:
            raise UsageError("this executable is closed")
        arrays = {t: np.full(t.extents, 0.01, np.float32 if t.kind == "float" else np.int32) for t in self._external}
        slots = _slots(self.compiled, self._external)
        rows = []
        for call in self._calls:
            pointers = [
                self._base + slots[t][1] if slots[t][0] == 0 else arrays[self._external[slots[t][0] - 1]].ctypes.data
                for t in call.kernel.operands
            ]
            kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers), ctypes.c_int64, ctypes.c_int64)
            function = kind(self._code.address(call.name))
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                function(*pointers, 0, call.tasks)
                times.append(time.perf_counter() - start)
            rows.append((call.kernel, call.tasks, float(np.median(times))))
        return rows

    def kernel(self, number: int) -> Callable[[], None]:
        """A function that runs one kernel by itself, on all threads, with the arrays of the last run."""
        compiled, together = self.compiled, self._team is not None
        call = self._calls[number]
        codes = generate([call.kernel], compiled.target, _store())
        slots = _slots(compiled, self._external)
        texts = [emit_driver([call], [0], slots, compiled.target, together=together)]
        texts += [] if together else [_alone(compiled.target)]
        objects = [*codegen.compile_objects(texts, compiled.target), *(c.data for c in codes)]
        code = codegen.Loaded(objects, compiled.target)
        # Places of its own for what it returns: what the last run returned belongs to the caller.
        table, kept = type(self._table)(*self._table), [given.kept for given in self._given]
        for returned in self._returned:
            array = returned.make(returned.shape, returned.dtype)
            table[returned.entry] = array.ctypes.data
            kept.append(array)
        job = code.address(JOB_NAME)
        alone = None if together else ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("alone"))

        def run(arrays: list[Array | None] = kept, code: codegen.Loaded = code) -> None:
            # The defaults keep alive what the table and the addresses point to.
            with self._turn:
                if self._closed:
                    raise UsageError("this executable is closed")
                if self._team is not None:
                    self._team.run(job, ctypes.addressof(table))
                elif alone is not None:
                    alone(ctypes.addressof(table))

        return run

    def close(self) -> None:
        """End the threads and free the code and the memory; closing twice is harmless."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            if self._team is not None:
                self._team.close()
            self._code.close()
            self._memory = np.zeros(0, np.float32)
            self._given, self._returned = [], []


def _value(tensor: Tensor, arrays: Mapping[str, Array]) -> Array:
    """A copy of a given tensor's value."""
    if tensor.role == "constant" and tensor.value is not None:
        return tensor.value.astype(np.float32 if tensor.kind == "float" else np.int64)
    return np.array(arrays[tensor.name])


def _external(compiled: Compiled) -> list[Tensor]:
    """The tensors that lie in arrays of the caller, in the order of the table of pointers."""
    used = {t for k in compiled.kernels for t in k.operands} | {*compiled.alias.values()}
    program = compiled.program
    return [t for t in dict.fromkeys((*program.given, *program.outputs)) if t in used or t in program.outputs]


def _slots(compiled: Compiled, external: list[Tensor]) -> dict[Tensor, tuple[int, int]]:
    entries = {t: (k, 0) for k, t in enumerate(external, 1)}
    slots = {t: (0, offset) for t, offset in compiled.arena.offsets.items()} | entries
    return slots | {new: slots[old] for new, old in compiled.alias.items()}


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


@cache
def _store() -> ObjectCache:
    """One view of the cache folder for the whole process: it keeps count of the room left there."""
    return ObjectCache()


class NativeEngine:
    """Programs compiled to machine code in float32."""

    name = "native"

    def __init__(self, target: str | None = None, layout: str | None = None) -> None:
        self.target = cpu.target(target)
        self.layout = layout
        self.store = _store()

    def compile(self, program: Program, *, dtype: str = "float32", threads: int | None = None) -> NativeExecutable:
        """Compile a program; UsageError for another dtype than float32, ConfigError for another machine's target."""
        if dtype != "float32":
            raise UsageError(f'the native engine computes in float32, not in {dtype}; use engine="numpy" for float64')
        if not self.target.host:
            raise ConfigError(
                f"native engine: code for {self.target.name} cannot run on this machine ({cpu.machine()}); "
                "`pellucid compile --show asm` prints it"
            )
        return NativeExecutable(prepare(program, self.target, threads, self.layout), self.store)
