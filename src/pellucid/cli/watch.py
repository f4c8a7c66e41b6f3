"""Watching the data come: one line that is redrawn on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pellucid.cli.output import message

if TYPE_CHECKING:
    from pellucid.data import Progress, ProgressCallback

PATIENCE = 2.0  # seconds before anything is shown
INTERVAL = 10.0  # seconds between two plain lines
MEGABYTE = 1_000_000


@contextmanager
def data_progress() -> Iterator["ProgressCallback"]:
    """A callback for loading data; what it shows goes to stderr and is tidied away at the end."""
    live = sys.stderr.isatty()
    began = shown = time.monotonic()
    drawn = False

    def show(progress: "Progress") -> None:
        nonlocal shown, drawn
        now = time.monotonic()
        if now - began < PATIENCE or now - shown < (0.2 if live else INTERVAL):
            return
        shown = now
        if live:
            sys.stderr.write(f"\r\x1b[2K{describe(progress)}")
            sys.stderr.flush()
            drawn = True
        else:
            message(describe(progress))

    try:
        yield show
    finally:
        if drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def describe(progress: "Progress") -> str:
    """How far it has come, in words."""
    if progress.unit == "bytes":
        done, total = (f"{n / MEGABYTE:.1f} MB" if n is not None else None for n in (progress.done, progress.total))
    else:
        done, total = (f"{n:,}" if n is not None else None for n in (progress.done, progress.total))
    share = f" ({progress.done / progress.total:.0%})" if progress.total else ""
    return f"{progress.task}: {done}{f' of {total}' if total else ''}{share}"
