"""One workload measured: Pellucid against PyTorch's modes in turns, results compared, peak and memory beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pellucid.bench import compare, memory, opponent, ours, timing
from pellucid.bench.ours import Side
from pellucid.bench.timing import Spread
from pellucid.bench.workloads import Network, Workload


@dataclass(frozen=True)
class Settings:
    """How to measure: threads of both sides, rounds, seconds of a turn, PyTorch's modes (none: alone), memory."""

    threads: int
    rounds: int = 7
    seconds: float = timing.TURN
    gap: float = timing.GAP
    modes: tuple[str, ...] = ()
    memory: bool = False


@dataclass(frozen=True)
class Result:
    """What came out for one workload.

    `times` are seconds per call of every side that ran, "native" first; `failed` says why a mode did not run;
    `ratio` is best mode's time by ours, from the rounds in pairs. `distance` is the largest relative distance between
    our results and those compared with, `where` its place; where it is too large, there is no ratio. `peak` is in
    floating-point operations per second, of all threads, measured in every round.
    """

    name: str
    what: str
    batch: int
    threads: int
    flops: int
    times: dict[str, Spread]
    failed: dict[str, str]
    best: str | None
    ratio: Spread | None
    peak: float
    compared_with: str
    distance: float
    where: str
    memory: dict[str, int | None] = field(default_factory=dict)

    @property
    def correct(self) -> bool:
        """Whether both sides computed the same."""
        return self.distance <= compare.TOLERANCE

    @property
    def ours(self) -> Spread:
        return self.times["native"]

    @property
    def share(self) -> float:
        """The share of the peak that our floating-point operations reach."""
        return self.flops / self.ours.median / self.peak

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self) | {"correct": self.correct, "share_of_peak": self.share}


def measure(workload: Workload, settings: Settings) -> Result:
    """Run a workload on all sides in turns."""
    mine = ours.prepare(workload, settings.threads)
    others, failed = _others(workload, settings)
    reference = others[0] if others else ours.prepare(workload, settings.threads, "numpy")
    distance, where = compare.largest(mine.first, reference.first)
    for side in others[1:]:
        apart, place = compare.largest(side.first, reference.first)
        if apart > compare.TOLERANCE:
            failed[side.name] = f"its {place} differs by {apart:.1e} from that of {reference.name}"
    others = [side for side in others if side.name not in failed]
    peak = timing.MachinePeak(settings.threads)
    sides = [mine, *others]
    rounds = timing.interleave(
        [side.run for side in sides],
        settings.rounds, seconds=settings.seconds, gap=settings.gap, between=peak.measure,
    )  # fmt: skip
    for side in (*sides, reference):
        side.close()
    return _result(workload, settings, sides, rounds, failed, peak, (reference.name, distance, where))


def _others(workload: Workload, settings: Settings) -> tuple[list[Side], dict[str, str]]:
    """PyTorch's sides that run here, and why the others do not."""
    found: list[Side] = []
    failed: dict[str, str] = {}
    for mode in settings.modes:
        try:
            found.append(opponent.prepare(workload, mode))
        except Exception as error:  # whatever a mode raises (no C++ compiler, say), the others can be measured
            failed[mode] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return found, failed


def _result(
    workload: Workload,
    settings: Settings,
    sides: Sequence[Side],
    rounds: Sequence[Sequence[float]],
    failed: dict[str, str],
    peak: timing.MachinePeak,
    checked: tuple[str, float, str],
) -> Result:
    times = {side.name: Spread.of(seconds) for side, seconds in zip(sides, rounds, strict=True)}
    others = [name for name in times if name != "native"]
    best = min(others, key=lambda name: times[name].median) if others else None
    compared_with, distance, where = checked
    ratio = None
    if best is not None and distance <= compare.TOLERANCE:
        theirs = rounds[[side.name for side in sides].index(best)]
        ratio = Spread.of([b / a for a, b in zip(rounds[0], theirs, strict=True)])
    used: dict[str, int | None] = {}
    if settings.memory and isinstance(workload, Network):
        used = {name: memory.peak(workload, settings.threads, name) for name in ("native", *([best] if best else []))}
    return Result(
        workload.name, workload.what, workload.batch, settings.threads, workload.flops, times, failed, best, ratio,
        Spread.of(peak.rates).median, compared_with, distance, where, used,
    )  # fmt: skip
