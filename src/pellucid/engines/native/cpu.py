"""What the machine can do: vector extensions, caches, and (measured on request) its peak speed.

A `Target` describes the code to generate. It is detected from the CPU this process runs on, or forced by
name, so that every instruction set can be tested on one machine and foreign assembly can be printed.
"""

from __future__ import annotations

import ctypes
import platform
import statistics
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm

from pellucid.errors import ConfigError

FLOATS_PER_LINE = 16
"""Elements in a cache line."""


@dataclass(frozen=True)
class Target:
    """The CPU that code is generated for.

    lanes      float32 values in a vector register
    registers  number of vector registers
    fused      whether multiply-add rounds once (FMA)
    host       whether this process can run the code
    """

    name: str
    triple: str
    cpu: str
    features: str
    lanes: int
    registers: int
    fused: bool
    host: bool

    def __str__(self) -> str:
        fused = "fused multiply-add" if self.fused else "separate multiply and add"
        return f"{self.name}: {self.lanes} lanes, {self.registers} vector registers, {fused} ({self.cpu})"


# name -> (lanes, registers, fused, generic CPU name, features the host needs)
_X86 = {
    "avx512": (16, 32, True, "x86-64-v4", ("avx512f", "avx512vl", "avx512dq", "avx512bw", "fma")),
    "avx2": (8, 16, True, "x86-64-v3", ("avx2", "fma")),
    "sse": (4, 16, False, "x86-64-v2", ("sse4.2",)),
}


@cache
def host_features() -> dict[str, bool]:
    """The vector extensions and other features the operating system and CPU offer, as LLVM names them."""
    return dict(llvm.get_host_cpu_features())


def machine() -> str:
    """The instruction set architecture: "x86_64", "aarch64" or what else the platform calls itself."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def names() -> tuple[str, ...]:
    """Targets that can be asked for by name."""
    return (*_X86, "aarch64")


@cache
def target(name: str | None = None) -> Target:
    """The target to generate code for: the best one of this machine, or the one named.

    Raises ConfigError for an unknown name and for a machine the compiler has no target for. A target this
    machine cannot run is described all the same (`host` is False): its assembly can be printed, not executed.
    """
    if name is None:
        usable = [candidate for candidate in names() if target(candidate).host]
        if not usable:
            raise ConfigError(
                f"native engine: no code generator for this CPU ({machine()}, {llvm.get_host_cpu_name()}); "
                'it needs x86-64 with SSE4.2 or AArch64. Use engine="numpy"'
            )
        name = usable[0]
        return _best(target(name))
    if name == "aarch64":
        return _aarch64()
    if name not in _X86:
        raise ConfigError(f"native engine: unknown target '{name}'; choose one of {', '.join(names())}")
    lanes, registers, fused, cpu, needed = _X86[name]
    host = machine() == "x86_64" and all(host_features().get(feature, False) for feature in needed)
    triple = llvm.get_process_triple() if machine() == "x86_64" else "x86_64-unknown-linux-gnu"
    return Target(name, triple, cpu, "", lanes, registers, fused, host)


def _best(found: Target) -> Target:
    """The same lanes and registers, with all features and the instruction costs of this very CPU."""
    features = llvm.get_host_cpu_features().flatten()
    return Target(
        found.name,
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        features,
        found.lanes,
        found.registers,
        found.fused or host_features().get("fma", False),
        host=True,
    )


def _aarch64() -> Target:
    host = machine() == "aarch64"
    triple = llvm.get_process_triple() if host else "aarch64-unknown-linux-gnu"
    return Target("aarch64", triple, "generic", "+neon", 4, 32, fused=True, host=host)


# ---- what is measured

_PEAK_STEPS = 1 << 18


class Peak:
    """The fastest multiply-add rate of one core, as a generated loop reaches it.

    `measure()` takes about a millisecond, so that it can run next to whatever it is compared with.
    """

    def __init__(self, chosen: Target) -> None:
        # Imported here: describing a machine needs no compiler, measuring it does.
        from pellucid.engines.native import codegen

        self._sums = min(chosen.registers - 4, 24)
        self._operations = 2 * chosen.lanes * self._sums * _PEAK_STEPS
        self._values = (ctypes.c_float * (chosen.lanes * (self._sums + 2)))()
        self._code = codegen.Loaded([codegen.compile_object(_peak_loop(chosen, self._sums), chosen)], chosen)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
        self._run = kind(self._code.address("peak"))

    def measure(self, repeats: int = 3) -> float:
        """Floating-point operations per second: the median of a few runs of the loop."""
        address, rates = ctypes.addressof(self._values), []
        for _ in range(repeats):
            start = time.perf_counter()
            self._run(address, _PEAK_STEPS)
            rates.append(self._operations / (time.perf_counter() - start))
        return statistics.median(rates)


def _peak_loop(chosen: Target, count: int) -> str:
    """IR of `void peak(float* values, i64 steps)`: independent multiply-adds on registers only."""
    from llvmlite import ir

    from pellucid.engines.native.emit import FLOAT, I64, POINTER, Emitter

    module, lanes = ir.Module(), chosen.lanes
    emitter = Emitter(module, "peak", [POINTER, I64], chosen)
    values, steps = emitter.arguments
    vector = ir.VectorType(FLOAT, lanes)
    factors = [emitter.load(emitter.advance(values, k * lanes), lanes) for k in range(2)]
    places = [emitter.advance(values, (2 + k) * lanes) for k in range(count)]
    sums = [emitter.slot(vector) for _ in places]
    for place, total in zip(places, sums, strict=True):
        emitter.builder.store(emitter.load(place, lanes), total)
    with emitter.loop(0, steps):
        for total in sums:
            present = emitter.builder.load(total, typ=vector)
            emitter.builder.store(emitter.multiply_add(factors[0], factors[1], present), total)
    for place, total in zip(places, sums, strict=True):
        emitter.store(emitter.builder.load(total, typ=vector), place)
    emitter.finish()
    return str(module)


def peak_flops(chosen: Target | None = None) -> float:
    """Measured multiply-add peak of one core in floating-point operations per second."""
    return Peak(chosen or target()).measure(repeats=7)


def memory_bandwidth(size: int = 256 << 20) -> float:
    """Bytes per second that one thread reads from memory (a sum over an array larger than the caches)."""
    import numpy as np

    array = np.ones(size // 8)
    array.sum()
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        array.sum()
        rates.append(size / (time.perf_counter() - start))
    return statistics.median(rates)


# ---- caches


@dataclass(frozen=True)
class Caches:
    """Data cache sizes of one core in bytes (the last level is shared), and where the numbers come from."""

    first: int
    second: int
    last: int
    source: str


_COMMON = Caches(32 << 10, 512 << 10, 8 << 20, "common sizes; the system names none")


@cache
def caches(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> Caches:
    """Cache sizes as the Linux kernel reports them; common sizes where it does not."""
    sizes: dict[int, int] = {}
    for entry in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((entry / item).read_text().strip() for item in ("level", "type", "size"))
            if kind != "Instruction":
                sizes[int(level)] = int(size.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(size[-1], 0)
        except (OSError, ValueError):
            continue
    if not {1, 2} <= sizes.keys():
        return _COMMON
    return Caches(sizes[1], sizes[2], max(sizes.values()), str(folder))
