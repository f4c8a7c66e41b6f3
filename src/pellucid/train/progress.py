"""What a person sees while training: a live bar on a terminal, a plain line every ten seconds elsewhere.

Everything goes to standard error; standard output is for data. NO_COLOR is honoured.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from pellucid.train.state import Row

if TYPE_CHECKING:
    from tqdm import tqdm

PLAIN_INTERVAL = 10.0  # seconds
LIVE_INTERVAL = 0.1  # seconds; more often is work that nobody sees
_SMALLEST_BAR = 8  # columns
_ROWS = 20  # of the terminal, as far as tqdm needs to know: it draws nothing on one that claims to have none


@dataclass(frozen=True)
class Now:
    """Figures of the epoch under way: batches done, means so far, and the time left for all epochs."""

    batch: int
    batches: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float | None


class Progress(Protocol):
    """Shows how training goes."""

    def message(self, text: str) -> None:
        """Show a line that stays."""

    def start_epoch(self, epoch: int, epochs: int, batches: int, done: int) -> None:
        """Begin epoch number `epoch` (from 1) of `epochs`, `done` of whose `batches` were trained earlier."""

    def update(self, now: Now) -> None:
        """Show the figures after a batch."""

    def end_epoch(self, row: Row, epochs: int, is_best: bool) -> None:
        """Replace the bar by one line of the epoch's results."""

    def close(self) -> None:
        """Give the terminal back."""


class Silent:
    """Shows nothing."""

    def message(self, text: str) -> None:
        """Do nothing."""

    def start_epoch(self, epoch: int, epochs: int, batches: int, done: int) -> None:
        """Do nothing."""

    def update(self, now: Now) -> None:
        """Do nothing."""

    def end_epoch(self, row: Row, epochs: int, is_best: bool) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Plain:
    """Lines of text for files, pipes and terminals that cannot move the cursor."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._epoch, self._epochs = 0, 0
        self._shown = time.monotonic()

    def message(self, text: str) -> None:
        """Print a line."""
        _say(text, self._stream)

    def start_epoch(self, epoch: int, epochs: int, batches: int, done: int) -> None:
        """Remember the epoch."""
        self._epoch, self._epochs = epoch, epochs

    def update(self, now: Now) -> None:
        """Print the figures, at most every ten seconds."""
        if time.monotonic() - self._shown < PLAIN_INTERVAL:
            return
        self._shown = time.monotonic()
        self.message(f"epoch {self._epoch}/{self._epochs}  batch {now.batch}/{now.batches}  {figures(now)}")

    def end_epoch(self, row: Row, epochs: int, is_best: bool) -> None:
        """Print the epoch's results."""
        self.message(summary_line(row, epochs, is_best))

    def close(self) -> None:
        """Do nothing."""


class Live:
    """A bar that is redrawn in place, with tqdm."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[Any] | None = None
        self._epoch = ""
        self._drawn = 0.0

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is None:
            _say(text, self._stream)
        else:
            self._bar.write(text, file=self._stream)

    def start_epoch(self, epoch: int, epochs: int, batches: int, done: int) -> None:
        """Show an empty bar."""
        self.close()
        self._epoch = f"epoch {epoch}/{epochs}"
        layout = bar_layout(self._epoch, done, batches, None, columns(self._stream))
        self._bar = _make_bar(self._stream, batches, done, layout)
        self._drawn = time.monotonic()

    def update(self, now: Now) -> None:
        """Move the bar, at most ten times a second."""
        if self._bar is None or time.monotonic() - self._drawn < LIVE_INTERVAL:
            return
        self._drawn = time.monotonic()
        width = columns(self._stream)
        self._bar.n, self._bar.ncols = now.batch, width
        self._bar.bar_format = bar_layout(self._epoch, now.batch, now.batches, now, width)
        self._bar.refresh()

    def end_epoch(self, row: Row, epochs: int, is_best: bool) -> None:
        """Remove the bar and print the epoch's results."""
        self.close()
        self.message(summary_line(row, epochs, is_best))

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _make_bar(stream: TextIO, batches: int, done: int, layout: str) -> "tqdm[Any]":
    """Draw an empty bar that nothing but its own `refresh` redraws."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]  # a generic class to mypy only
        monitor_interval = 0  # no thread that watches over the bar: the loop redraws it

    # The lock tqdm would make by itself reaches over processes, which on some systems starts one more.
    Bar.set_lock(threading.RLock())
    return Bar(
        total=batches,
        initial=done,
        file=stream,
        leave=False,
        disable=False,
        ncols=columns(stream),
        nrows=_ROWS,
        bar_format=layout,
        colour=None if os.environ.get("NO_COLOR") else "cyan",
    )


def bar_layout(epoch: str, batch: int, batches: int, now: Now | None, width: int) -> str:
    """Return tqdm's format of the line: as many figures as leave room for a bar; on tiny terminals no bar."""
    count = f"{batch}/{batches}"
    tails = [count]
    if now is not None:
        everything, without_speed = figures(now), figures(now, speed=False)
        tails = [f"{count}  {everything}", everything, f"{count}  {without_speed}", f"{count}  {short_figures(now)}"]
    for tail in tails:
        if len(epoch) + len(tail) + 2 + _SMALLEST_BAR <= width:
            return f"{epoch} {{bar}} {tail}"
    return f"{epoch}  {count}"


def columns(stream: TextIO) -> int:
    """Return how many columns to use: COLUMNS where it is set, otherwise the terminal's own, or 80.

    The last column stays free: some terminals go to the next line when it is filled.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 1:
        return int(asked) - 1
    try:
        return (os.get_terminal_size(stream.fileno()).columns or 80) - 1
    except (OSError, ValueError):
        return 79


def make_progress(shown: bool, stream: TextIO | None = None) -> Progress:
    """Choose how to show progress on `stream` (standard error by default)."""
    stream = sys.stderr if stream is None else stream
    if not shown or stream is None:  # None: the process was started with standard error closed
        return Silent()
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return Live(stream)
    return Plain(stream)


def _say(text: str, stream: TextIO) -> None:
    """Print a line; a terminal or pipe that is gone must not end a training that nobody watches."""
    with suppress(OSError, ValueError):
        print(text, file=stream, flush=True)


def figures(now: Now, speed: bool = True) -> str:
    """Return the means so far, the speed and the time left."""
    images = f"  {now.images_per_second:,.0f} images/s" if speed else ""
    return f"loss {now.loss:.4f}  accuracy {now.accuracy:.1%}{images}{_left(now)}"


def short_figures(now: Now) -> str:
    """Return what a narrow terminal has room for."""
    return f"loss {now.loss:.3f}{_left(now)}"


def _left(now: Now) -> str:
    return "" if now.seconds_left is None else f"  {duration(now.seconds_left)} left"


def summary_line(row: Row, epochs: int, is_best: bool) -> str:
    """Return an epoch's results in one line."""
    parts = [f"epoch {row['epoch']}/{epochs}"]
    for split in ("train", "validation"):
        if row[f"{split}_loss"] is not None:
            parts.append(f"{split} loss {row[f'{split}_loss']:.4f} accuracy {row[f'{split}_accuracy']:.2%}")
    parts.append(f"{row['images_per_second']:,.0f} images/s")
    parts.append(duration(row["seconds"]))
    if is_best:
        parts.append("best so far")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as people read it: 8 s, 2:05, 1:02:05."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
