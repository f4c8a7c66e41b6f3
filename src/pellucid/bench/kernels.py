"""Every kernel of a compiled program by itself: its schedule, its time, and how near it comes to the machine's peak."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pellucid.bench.loops import schedule_text
from pellucid.bench.stages import name_of
from pellucid.engines.native.cache import ObjectCache
from pellucid.engines.native.cpu import Peak, Target
from pellucid.engines.native.executable import ready
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.memory import ELEMENT
from pellucid.engines.native.plan import Compiled
from pellucid.engines.native.product import Product, schedule_of
from pellucid.errors import UsageError


@dataclass(frozen=True)
class Row:
    """One kernel on one thread; `flops` counts multiply-adds of sums of products as two, everything else not at all.

    `bytes` are those of all its tensors once; a kernel that reads some of them again moves more.
    """

    number: int
    name: str
    equations: tuple[str, ...]
    kind: str
    schedule: str
    group: int
    tasks: int
    seconds: float
    flops: int
    bytes: int

    @property
    def rate(self) -> float:
        """Floating-point operations per second."""
        return self.flops / self.seconds


@dataclass(frozen=True)
class Report:
    """All kernels of a program, and the peak of one core measured before and after them."""

    layout: str
    target: str
    threads: int
    peak: float
    arena: int
    rows: tuple[Row, ...]

    @property
    def seconds(self) -> float:
        """The kernels' times added up."""
        return sum(row.seconds for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The same as plain data, with shares of the peak."""
        rows = [asdict(r) | {"flops_per_second": r.rate, "share_of_peak": r.rate / self.peak} for r in self.rows]
        return asdict(self) | {"seconds": self.seconds, "rows": rows}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows for people; the kernel's time, what it computes and how."""
        head = ["kernel", "computes", "tasks", "us", "time", "GFLOP/s", "peak", "MB", "GB/s", "schedule", "equation"]
        rows = []
        for r in sorted(self.rows, key=lambda row: -row.seconds):
            sums = [f"{r.rate / 1e9:.1f}", f"{100 * r.rate / self.peak:.0f}%"] if r.flops else ["", ""]
            memory = [f"{r.bytes / 1e6:.2f}", f"{r.bytes / r.seconds / 1e9:.1f}"]
            share = f"{100 * r.seconds / self.seconds:.1f}%"
            start = [str(r.number), r.name, str(r.tasks), f"{1e6 * r.seconds:.1f}", share]
            rows.append([*start, *sums, *memory, r.schedule, "; ".join(r.equations)])
        return head, rows

    def heading(self) -> str:
        """What the numbers stand for."""
        return (
            f"layout {self.layout}\ntarget {self.target}\n"
            f"one core: peak {self.peak / 1e9:.0f} GFLOP/s, measured in this run; a step uses {self.threads} "
            f"thread{'s' if self.threads > 1 else ''} and {self.arena / 1e6:.2f} MB of its own\n"
            f"each kernel by itself on one core, the slowest first; together {1e6 * self.seconds:.1f} us"
        )


def report(compiled: Compiled, repeats: int = 20) -> Report:
    """Time every kernel on this machine; UsageError for a target that it cannot run."""
    target = compiled.target
    if not target.host:
        raise UsageError(f"this machine cannot run code for {target.name}; its loops, LLVM and assembly can be shown")
    executable = ready(compiled, ObjectCache())
    peak = Peak(target)
    try:
        before = peak.measure(7)
        timed = executable.report(repeats)
        after = peak.measure(7)
    finally:
        executable.close()
    rows = [_row(number, kernel, compiled, tasks, seconds) for number, (kernel, tasks, seconds) in enumerate(timed)]
    best = max(before, after)
    return Report(compiled.why, str(target), compiled.threads, best, compiled.arena.size, tuple(rows))


def _row(number: int, kernel: Kernel, compiled: Compiled, tasks: int, seconds: float) -> Row:
    moved = sum(compiled.buffers[t].elements for t in dict.fromkeys(kernel.operands)) * ELEMENT
    return Row(
        number,
        name_of(kernel),
        tuple(map(str, kernel.equations)),
        "product" if isinstance(kernel, Product) else "nest",
        schedule_text(kernel, compiled.target),
        compiled.groups[number],
        tasks,
        seconds,
        flops(kernel, compiled.target),
        moved,
    )


def flops(kernel: Kernel, target: Target) -> int:
    """Two operations for each product that the kernel computes (none with a margin of zeros); 0 for a loop nest."""
    return 2 * schedule_of(kernel, target)[0].multiply_adds if isinstance(kernel, Product) else 0
