"""Code for every kernel: from the cache where it is there, otherwise written, compiled and kept.

A kernel's key is a description of all that its code follows from (equations, extents, memory, CPU, caches, versions,
and the generators' own source), so that a known kernel costs neither the search for a schedule nor the writing of IR.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from llvmlite import ir

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.cache import ObjectCache, object_key
from pellucid.engines.native.contraction import complete, tasks
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.nest import Plan
from pellucid.engines.native.product import Product, emit_product, schedule_of
from pellucid.engines.native.scatter import Scatter, emit_scatter
from pellucid.engines.native.transposition import emit_turn, turning
from pellucid.engines.native.walk import emit_nest

TASK_BYTES = 8


@dataclass(frozen=True)
class Code:
    """A kernel's function name, the number of its tasks, and its object code."""

    name: str
    tasks: int
    data: bytes


Frame: TypeAlias = Callable[[Sequence[tuple[str, int]]], Sequence[str]]
"""Writes the modules around some kernels, given their functions' names and the numbers of their tasks."""


@cache
def sources() -> str:
    """A fingerprint of all that programs and code are made by: what others made is not reused."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[2]
    for path in sorted([*(package / "notation").glob("*.py"), *Path(__file__).parent.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(kernel: Kernel, target: cpu.Target) -> str:
    """The name of a kernel's code in the cache."""
    parts = (type(kernel).__name__, kernel.describe(), str(target), str(cpu.caches()), sources())
    return object_key("\n".join(parts), target)


def write(kernel: Kernel, name: str, target: cpu.Target) -> tuple[str, int, str]:
    """A kernel's IR, the number of its tasks, and its schedule in words."""
    module = ir.Module(name)
    if isinstance(kernel, Product):
        contraction, extra, schedule = schedule_of(kernel, target)
        emit_product(module, name, kernel, target, contraction, extra, schedule)
        return str(module), tasks(contraction, complete(contraction, schedule, target)), str(schedule)
    if isinstance(kernel, Scatter):
        count = emit_scatter(module, name, kernel, target)
        return str(module), count, str(kernel)
    turn = turning(kernel, target.lanes)
    if turn is not None:
        count = emit_turn(module, name, kernel, turn, target)
        return str(module), count, str(turn)
    shape = Plan(kernel, target).shape()
    emit_nest(module, name, kernel, shape, target)
    return str(module), shape.tasks, str(shape)


def generate(
    kernels: Sequence[Kernel], target: cpu.Target, store: ObjectCache, frame: Frame = lambda _: ()
) -> tuple[list[Code], list[bytes]]:
    """The code of each kernel, equal ones sharing theirs, and the object code of the modules that `frame` writes.

    `frame` is given each kernel's function name and number of tasks, which are known before the last kernels are
    compiled: its modules, which call the kernels, are compiled beside those.
    """
    keys = [key_of(kernel, target) for kernel in kernels]
    counts: dict[str, int] = {}
    objects: dict[str, bytes] = {}
    missing: dict[str, Kernel] = {}
    for key, kernel in zip(keys, kernels, strict=True):
        if key in objects or key in missing:
            continue
        entry = store.get(key)
        if entry is None:
            missing[key] = kernel
        else:
            counts[key], objects[key] = int.from_bytes(entry[:TASK_BYTES], "little"), entry[TASK_BYTES:]
    around: dict[str, str] = {}
    fresh: list[str] = []

    def texts() -> Iterator[str]:
        for key, kernel in missing.items():
            text, counts[key], _ = write(kernel, _name(key), target)
            fresh.append(key)
            yield text
        around.update((object_key(text, target), text) for text in frame([(_name(key), counts[key]) for key in keys]))
        for key, text in around.items():
            entry = store.get(key)
            if entry is None:
                fresh.append(key)
                yield text
            else:
                objects[key] = entry

    for key, data in zip(fresh, codegen.compile_objects(texts(), target, os.cpu_count() or 1), strict=True):
        store.put(key, (counts[key].to_bytes(TASK_BYTES, "little") if key in counts else b"") + data)
        objects[key] = data
    return [Code(_name(key), counts[key], objects[key]) for key in keys], [objects[key] for key in around]


def _name(key: str) -> str:
    return f"k{key[:24]}"
