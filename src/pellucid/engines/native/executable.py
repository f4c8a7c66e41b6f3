"""The native engine: a program compiled to one function, and what runs it."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache, cached_property

import numpy as np

from pellucid.engines.base import Array, Recipe
from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.cache import ObjectCache, object_key
from pellucid.engines.native.collector import collector_paused
from pellucid.engines.native.driver import JOB_NAME, Call
from pellucid.engines.native.generate import generate, sources
from pellucid.engines.native.image import Image, Slot, build, frame
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.memory import ELEMENT
from pellucid.engines.native.plan import Compiled, external, number_of_threads, prepare, slots_of
from pellucid.engines.native.threads import Team
from pellucid.errors import ConfigError, NotationError, ShapeError, UsageError
from pellucid.notation import Program
from pellucid.notation.fingerprint import fingerprint

MINE = 2
"""References to an array that nobody else has: the one that is kept, and the one by which it is counted."""


class _Given:
    """A tensor of the caller: its entry in the table of pointers, and the array that stood there last."""

    def __init__(self, slot: Slot, constant: Array | None) -> None:
        self.name, self.entry, self.updated = slot.name, slot.entry, slot.updated
        self.constant = constant
        self.dtype, self.shape = slot.dtype, slot.shape
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
    """An output: its entry in the table of pointers, and the array that the code writes to."""

    def __init__(self, slot: Slot) -> None:
        self.name, self.kind, self.entry = slot.name, slot.kind, slot.entry
        self.shape, self.dtype = slot.shape, slot.dtype
        self.whole = slot.whole
        self.last: Array | None = None

    def make(self) -> Array:
        """A new array, or the last one, if the caller has dropped it: fresh memory costs a page fault every 4 kB."""
        if not self.whole:
            return np.zeros(self.shape, self.dtype)  # elements that no equation writes are 0
        if self.last is None or sys.getrefcount(self.last) > MINE:
            self.last = np.empty(self.shape, self.dtype)
        return self.last


class NativeExecutable:
    """A program as machine code; see `pellucid.engines.base.Executable`.

    `plan` makes the plan that the image was built from, for whoever wants to look at it.
    """

    def __init__(self, image: Image, target: cpu.Target, plan: Callable[[], Compiled]) -> None:
        self._image, self._plan = image, plan
        together = image.threads > 1
        self._code = codegen.Loaded(image.objects, target)
        self._job = self._code.address(JOB_NAME)
        self._team = Team(image.threads, target, self._code) if together else None
        if not together:
            self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._code.address("alone"))
        self._memory = np.zeros(image.arena // ELEMENT + 16, np.float32)
        base = self._memory.ctypes.data
        self._base = base + (-base % 64)
        self._table = (ctypes.c_uint64 * (1 + len(image.given) + len(image.returned)))()
        self._table[0] = self._base
        self._table_address = ctypes.addressof(self._table)
        self._given = [_Given(slot, image.constants.get(slot.name)) for slot in image.given]
        self._returned = [_Returned(slot) for slot in image.returned]
        self._turn = threading.Lock()
        self._closed = False

    @cached_property
    def compiled(self) -> Compiled:
        """What the stages before code generation decided."""
        return self._plan()

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
            array = returned.make()
            table[returned.entry] = array.ctypes.data
            fresh.append(array)
        passed = {p.name: self._passed(p, arrays) for p in self._image.passed}  # a state's: before its update
        if self._team is not None:
            self._team.run(self._job, self._table_address)
        else:
            self._call(self._table_address)
        results: dict[str, Array] = {
            r.name: array if r.kind == "float" else array.astype(np.int64)
            for r, array in zip(self._returned, fresh, strict=True)
        }
        return results | passed

    def _passed(self, slot: Slot, arrays: Mapping[str, Array]) -> Array:
        """A copy of a given tensor's value."""
        if slot.name in self._image.constants:
            return self._image.constants[slot.name].astype(np.float32 if slot.kind == "float" else np.int64)
        return np.array(arrays[slot.name])

    @cached_property
    def _calls(self) -> list[Call]:
        """The kernels with the names of their code."""
        codes, _ = generate(self.compiled.kernels, self.compiled.target, _store())
        return [Call(k, c.name, c.tasks) for k, c in zip(self.compiled.kernels, codes, strict=True)]

    def report(self, repeats: int = 20) -> list[tuple[Kernel, int, float]]:
        """Each kernel by itself on one thread: (kernel, tasks, seconds), the median of some runs on made-up data."""
        if self._closed:
            raise UsageError("this executable is closed")
        outside = external(self.compiled)
        arrays = {t: np.full(t.extents, 0.01, np.float32 if t.kind == "float" else np.int32) for t in outside}
        slots = slots_of(self.compiled, outside)
        rows = []
        for call in self._calls:
            bases = [
                self._base + slots[t][1] if slots[t][0] == 0 else arrays[outside[slots[t][0] - 1]].ctypes.data
                for t in call.kernel.operands
            ]
            pointers = [base + offset * ELEMENT for base, offset in zip(bases, call.kernel.offsets, strict=True)]
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
        """A function that runs one kernel by itself, on all threads, with the arrays of the last run.

        Raises UsageError before the first run.
        """
        if any(given.kept is None for given in self._given):
            raise UsageError("run the program before you ask for one of its kernels: they use its arrays")
        compiled, call = self.compiled, self._calls[number]
        codes, _ = generate([call.kernel], compiled.target, _store())
        # The team's own code is there already.
        texts = frame(compiled, [call], [0])[: None if self._team is None else 1]
        objects = [*codegen.compile_objects(texts, compiled.target), *(c.data for c in codes)]
        code = codegen.Loaded(objects, compiled.target)
        # Places of its own for what it returns: what the last run returned belongs to the caller.
        table, kept = type(self._table)(*self._table), [given.kept for given in self._given]
        for returned in self._returned:
            array = returned.make()
            table[returned.entry] = array.ctypes.data
            kept.append(array)
        job = code.address(JOB_NAME)
        alone = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("alone")) if self._team is None else None

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


def ready(compiled: Compiled, store: ObjectCache) -> NativeExecutable:
    """A plan made ready to run."""
    return NativeExecutable(build(compiled, store), compiled.target, lambda: compiled)


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

    def compile(
        self, program: Program | Recipe, *, dtype: str = "float32", threads: int | None = None
    ) -> NativeExecutable:
        """Compile a program; UsageError for another dtype than float32, ConfigError for another machine's target."""
        if dtype != "float32":
            raise UsageError(f'the native engine computes in float32, not in {dtype}; use engine="numpy" for float64')
        if not self.target.host:
            raise ConfigError(
                f"native engine: code for {self.target.name} cannot run on this machine ({cpu.machine()}); "
                "`pellucid compile --show asm` prints it"
            )
        recipe = Recipe(fingerprint(program), lambda: program) if isinstance(program, Program) else program
        return self._compile(recipe, number_of_threads(threads))

    def _compile(self, recipe: Recipe, threads: int) -> NativeExecutable:
        """From the cache, if a program of this key was compiled before for the same threads and layout."""

        def plan() -> Compiled:
            return prepare(recipe.write(), self.target, threads, self.layout)

        parts = ("image", recipe.key, str(self.target), str(cpu.caches()), str(threads), str(self.layout), sources())
        key = object_key("\n".join(parts), self.target)
        entry = self.store.get(key)
        if entry is not None:
            return NativeExecutable(Image.unpack(entry), self.target, plan)
        with collector_paused():
            compiled = plan()
            image = build(compiled, self.store)
        self.store.put(key, image.pack())
        return NativeExecutable(image, self.target, lambda: compiled)
