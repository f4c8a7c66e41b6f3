"""Whether other programs disturb a measurement: how much of the processors' time they took, and waiting for calm."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

CALM = 0.03
"""The share of the processors' time that others may take without the result being called disturbed."""

STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Clock:
    """Seconds since some moment: by the wall, of all processors that were busy, and of those that worked for us."""

    wall: float
    busy: float
    own: float

    @staticmethod
    def read(stat: Path = STAT) -> Clock | None:
        """The present moment; None where the system does not tell."""
        try:
            fields = stat.read_text(encoding="ascii").splitlines()[0].split()[1:]
            user, nice, system, _, _, interrupts, soft, stolen = (int(field) for field in fields[:8])
        except (OSError, ValueError, IndexError):
            return None
        ours = os.times()
        ticks = user + nice + system + interrupts + soft + stolen
        own = ours.user + ours.system + ours.children_user + ours.children_system
        return Clock(time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK"), own)


def others(start: Clock | None, end: Clock | None) -> float | None:
    """The share of all processors' time between two moments that others took; None where it is not known."""
    if start is None or end is None or end.wall <= start.wall:
        return None
    taken = (end.busy - start.busy) - (end.own - start.own)
    return max(0.0, taken / ((end.wall - start.wall) * (os.cpu_count() or 1)))


def wait(seconds: float, look: float = 1.0) -> bool:
    """Wait until others have been calm while we slept for `look` seconds, at most so long; whether they are."""
    end = time.monotonic() + seconds
    while True:
        before = Clock.read()
        time.sleep(min(look, max(0.0, seconds)))
        share = others(before, Clock.read())
        if share is None or share <= CALM:
            return True
        if time.monotonic() >= end:
            return False
