"""Measuring times: taking turns, medians and quartiles, and the machine's peak in the same run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.engines.native.cpu import Peak, target

Run = Callable[[], object]

TURN = 0.2
"""Seconds that one side runs before it is the other's turn."""

GAP = 0.05
"""Seconds of rest between turns: waiting threads of one side that still spin then do not disturb the other."""

FEWEST, MOST = 3, 20_000


@dataclass(frozen=True)
class Spread:
    """The median of some values, and the quartiles on both sides of it."""

    median: float
    lower: float
    upper: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """ValueError without values."""
        lower, median, upper = np.percentile(np.asarray(values, np.float64), [25, 50, 75])
        return Spread(float(median), float(lower), float(upper))


def turn(run: Run, seconds: float = TURN) -> float:
    """Call again and again for about this long; the median seconds of a call."""
    clock = time.perf_counter
    times: list[float] = []
    end = clock() + seconds
    while len(times) < FEWEST or (clock() < end and len(times) < MOST):
        start = clock()
        run()
        times.append(clock() - start)
    return float(np.median(times))


def interleave(
    runs: Sequence[Run], rounds: int, *, seconds: float = TURN, gap: float = GAP, between: Run | None = None
) -> list[list[float]]:
    """Seconds per call for every side and round: A B C, B C A, C A B, ... with a rest before each turn.

    `between` is called once in every round (to measure the peak). Every side is warmed up by a turn of its own.
    """
    for run in runs:
        turn(run, seconds)
    found: list[list[float]] = [[] for _ in runs]
    for number in range(rounds):
        if between is not None:
            time.sleep(gap)
            between()
        for place in range(len(runs)):
            side = (number + place) % len(runs)
            time.sleep(gap)
            found[side].append(turn(runs[side], seconds))
    return found


class MachinePeak:
    """The fastest multiply-add rate of several cores at the same time, as it is when it is asked for."""

    def __init__(self, threads: int) -> None:
        self._peaks = [Peak(target()) for _ in range(threads)]
        self.rates: list[float] = []

    def measure(self) -> float:
        """Floating-point operations per second of all threads together."""
        barrier, rates = threading.Barrier(len(self._peaks)), [0.0] * len(self._peaks)

        def work(number: int) -> None:
            barrier.wait()
            rates[number] = self._peaks[number].measure(5)

        workers = [threading.Thread(target=work, args=(k,)) for k in range(1, len(self._peaks))]
        for worker in workers:
            worker.start()
        work(0)
        for worker in workers:
            worker.join()
        self.rates.append(sum(rates))
        return self.rates[-1]
