"""The image: all that running a program needs, as plain data, so that it can be kept on disk as a whole.

It holds the object code and the table of pointers that the code expects: which array of the caller's stands where.
A program that was compiled before is neither planned nor, if it came as a recipe, written again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from pellucid.engines.base import Array
from pellucid.engines.native import cpu
from pellucid.engines.native.cache import ObjectCache
from pellucid.engines.native.driver import JOB_NAME, Call, emit_driver
from pellucid.engines.native.emit import POINTER, Emitter
from pellucid.engines.native.generate import generate
from pellucid.engines.native.plan import Compiled, covered, external, slots_of
from pellucid.engines.native.threads import flush_denormals, restore_denormals, team_code
from pellucid.notation import Tensor


@dataclass(frozen=True)
class Slot:
    """A tensor of the caller's: where its address stands in the table, and what the array must be.

    `whole` tells of an output whether the code writes all of it; `updated` of a state that it is overwritten.
    """

    name: str
    entry: int
    shape: tuple[int, ...]
    kind: str
    whole: bool = True
    updated: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32 if self.kind == "float" else np.int32)


@dataclass(frozen=True)
class Image:
    """`passed` are outputs that no equation computes; `constants` the values of constants, by name."""

    given: tuple[Slot, ...]
    returned: tuple[Slot, ...]
    passed: tuple[Slot, ...]
    constants: dict[str, Array]
    arena: int
    threads: int
    objects: tuple[bytes, ...]

    def pack(self) -> bytes:
        """As bytes: a line of JSON, then the constants and the object code one after another."""
        constants = {name: np.ascontiguousarray(value) for name, value in self.constants.items()}
        header = {
            "given": [asdict(slot) for slot in self.given],
            "returned": [asdict(slot) for slot in self.returned],
            "passed": [asdict(slot) for slot in self.passed],
            "constants": [[name, value.dtype.str, value.shape] for name, value in constants.items()],
            "arena": self.arena,
            "threads": self.threads,
            "objects": [len(data) for data in self.objects],
        }
        blobs = [value.tobytes() for value in constants.values()]
        return b"".join([json.dumps(header).encode(), b"\n", *blobs, *self.objects])

    @staticmethod
    def unpack(data: bytes) -> Image:
        """What `pack` made; the cache has checked that it is whole."""
        line, _, rest = data.partition(b"\n")
        header = json.loads(line)
        at = 0
        constants: dict[str, Array] = {}
        for name, dtype, shape in header["constants"]:
            kind = np.dtype(dtype)
            count = int(np.prod(shape, dtype=np.int64))
            constants[name] = np.frombuffer(rest, kind, count, at).reshape(shape)
            at += count * kind.itemsize
        objects = []
        for length in header["objects"]:
            objects.append(rest[at : at + length])
            at += length
        given, returned, passed = (
            tuple(Slot(**(slot | {"shape": tuple(slot["shape"])})) for slot in header[part])
            for part in ("given", "returned", "passed")
        )
        return Image(given, returned, passed, constants, header["arena"], header["threads"], tuple(objects))


def build(compiled: Compiled, store: ObjectCache) -> Image:
    """Generate the code of a plan, kernels from the cache where they are there."""

    def around(named: Sequence[tuple[str, int]]) -> list[str]:
        calls = [Call(k, name, tasks) for k, (name, tasks) in zip(compiled.kernels, named, strict=True)]
        return frame(compiled, calls, compiled.groups)

    codes, objects = generate(compiled.kernels, compiled.target, store, around)
    outside = external(compiled)
    updated = {old for old, _ in compiled.program.updates}
    slots = {t: _slot(t, k, compiled, t in updated) for k, t in enumerate(outside, 1)}
    passed = [t for t in compiled.program.outputs if t.role != "defined"]
    constants = {t.name: t.value for t in (*outside, *passed) if t.role == "constant" and t.value is not None}
    return Image(
        tuple(slot for t, slot in slots.items() if t.role != "defined"),
        tuple(slot for t, slot in slots.items() if t.role == "defined"),
        tuple(_slot(t, 0, compiled, False) for t in passed),
        constants,
        compiled.arena.size,
        compiled.threads,
        (*objects, *{c.name: c.data for c in codes}.values()),
    )


def frame(compiled: Compiled, calls: Sequence[Call], groups: Sequence[int]) -> list[str]:
    """The IR around the kernels: what calls them in their order, on the team's threads or on the caller's alone."""
    together = compiled.threads > 1
    slots = slots_of(compiled, external(compiled))
    driver = emit_driver(calls, groups, slots, compiled.target, together=together)
    return [driver, team_code(compiled.target) if together else alone(compiled.target)]


def _slot(tensor: Tensor, entry: int, compiled: Compiled, updated: bool) -> Slot:
    whole = tensor.role != "defined" or covered(compiled.program, tensor)
    return Slot(tensor.name, entry, tensor.extents, tensor.kind, whole, updated)


def alone(target: cpu.Target) -> str:
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
