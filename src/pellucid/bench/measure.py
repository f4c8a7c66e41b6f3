"""One workload measured: Pellucid against PyTorch's modes in turns, results compared, peak and memory beside them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pellucid.bench import compare, memory, opponent, ours, quiet, timing
from pellucid.bench.ours import Side
from pellucid.bench.timing import Spread
from pellucid.bench.workloads import Network, Workload

PRODUCT = "product"
OURS = ("native", PRODUCT)


@dataclass(frozen=True)
class Settings:
    """How to measure: threads of both sides, rounds, seconds of a turn, PyTorch's modes (none: alone), memory.

    A workload that other programs disturb is measured again for as many seconds as `patience` says, and the calmest of
    the attempts counts.
    """

    threads: int
    rounds: int = 7
    seconds: float = timing.TURN
    gap: float = timing.GAP
    modes: tuple[str, ...] = ()
    memory: bool = False
    patience: float = 0.0


@dataclass(frozen=True)
class Result:
    """What came out for one workload.

    `times` are seconds per call of every side that ran, "native" first; for a single layer there is "product", too: its
    sum of products alone, without the copies to and from the engine's order. `failed` says why a mode did not run;
    `ratio` is best mode's time by ours, from the rounds in pairs. `distance` is the largest relative distance between
    our results and those compared with, `where` its place; where it is too large, there is no ratio. `peak` is in
    floating-point operations per second, of all threads, measured in every round. `others` is the share of the
    processors' time that other programs took meanwhile; None where the system does not tell.
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
    others: float | None
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

    @property
    def product_share(self) -> float | None:
        """The share of the peak that a single layer's sum of products reaches by itself."""
        return self.flops / self.times[PRODUCT].median / self.peak if PRODUCT in self.times else None

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        shares = {"share_of_peak": self.share, "product_share_of_peak": self.product_share}
        return asdict(self) | {"correct": self.correct} | shares


def measure(workload: Workload, settings: Settings) -> Result:
    """Run a workload on all sides in turns."""
    mine = ours.prepare(workload, settings.threads)
    others, failed = _others(workload, settings)
    reference = others[0] if others else ours.prepare(workload, settings.threads, "numpy")
    distance, where = compare.disagreement(mine.first, reference.first)
    for side in others[1:]:
        apart, place = compare.disagreement(side.first, reference.first)
        if apart > compare.TOLERANCE:
            failed[side.name] = f"its {place} differs by {apart:.1e} from that of {reference.name}"
    others = [side for side in others if side.name not in failed]
    if mine.product is not None:
        others.append(Side(PRODUCT, mine.product, {}, lambda: None))
    sides = [mine, *others]
    timed = _timed([side.run for side in sides], settings)
    for side in (*sides, reference):
        side.close()
    return _result(workload, settings, sides, timed, failed, (reference.name, distance, where))


@dataclass(frozen=True)
class _Timed:
    """Seconds by side and round, the peak, and how much others disturbed."""

    rounds: list[list[float]]
    peak: float
    others: float | None


def _timed(runs: list[timing.Run], settings: Settings) -> _Timed:
    """Measure in turns; again, while there is patience, where others disturbed it."""
    end = time.monotonic() + settings.patience
    attempts: list[_Timed] = []
    while True:
        left = end - time.monotonic()
        if settings.patience:
            quiet.wait(left)
        peak = timing.MachinePeak(settings.threads)
        before = quiet.Clock.read()
        rounds = timing.interleave(
            runs, settings.rounds, seconds=settings.seconds, gap=settings.gap, between=peak.measure
        )
        share = quiet.others(before, quiet.Clock.read())
        attempts.append(_Timed(rounds, Spread.of(peak.rates).median, share))
        if share is None or share <= quiet.CALM or time.monotonic() >= end:
            return min(attempts, key=lambda attempt: attempt.others or 0.0)


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
    timed: _Timed,
    failed: dict[str, str],
    checked: tuple[str, float, str],
) -> Result:
    times = {side.name: Spread.of(seconds) for side, seconds in zip(sides, timed.rounds, strict=True)}
    others = [name for name in times if name not in OURS]
    best = min(others, key=lambda name: times[name].median) if others else None
    compared_with, distance, where = checked
    ratio = None
    if best is not None and distance <= compare.TOLERANCE:
        theirs = timed.rounds[[side.name for side in sides].index(best)]
        ratio = Spread.of([b / a for a, b in zip(timed.rounds[0], theirs, strict=True)])
    used: dict[str, int | None] = {}
    if settings.memory and isinstance(workload, Network):
        used = {name: memory.peak(workload, settings.threads, name) for name in ("native", *([best] if best else []))}
    return Result(
        workload.name, workload.what, workload.batch, settings.threads, workload.flops, times, failed, best, ratio,
        timed.peak, compared_with, distance, where, timed.others, used,
    )  # fmt: skip
