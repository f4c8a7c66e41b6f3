"""What a person sees while training: a live bar on a terminal, a plain line every ten seconds elsewhere.

Everything goes to standard error; standard output is for data. NO_COLOR is honoured.
"""

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from pellucid.train.state import Row

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PLAIN_INTERVAL = 10.0  # seconds
_WIDE = 80  # columns, from which on all figures fit beside the bar


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
        print(text, file=self._stream, flush=True)

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
    """A bar that is redrawn in place, with rich."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(file=stream, highlight=False)
        self._bar: RichProgress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("", total=1, figures="", visible=False)

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False)

    def start_epoch(self, epoch: int, epochs: int, batches: int, done: int) -> None:
        """Show an empty bar."""
        self._bar.update(
            self._task,
            description=f"epoch {epoch}/{epochs}",
            total=batches,
            completed=done,
            figures="",
            visible=True,
        )
        self._bar.start()

    def update(self, now: Now) -> None:
        """Move the bar."""
        narrow = self._console.width < _WIDE
        self._bar.update(self._task, completed=now.batch, figures=short_figures(now) if narrow else figures(now))

    def end_epoch(self, row: Row, epochs: int, is_best: bool) -> None:
        """Remove the bar and print the epoch's results."""
        self._bar.stop()
        self._bar.update(self._task, visible=False)
        self.message(summary_line(row, epochs, is_best))

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def make_progress(shown: bool, stream: TextIO | None = None) -> Progress:
    """Choose how to show progress on `stream` (standard error by default)."""
    stream = sys.stderr if stream is None else stream
    if not shown:
        return Silent()
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return Live(stream)
    return Plain(stream)


def figures(now: Now) -> str:
    """Return the means so far, the speed and the time left."""
    speed = f"{now.images_per_second:,.0f} images/s"
    return f"loss {now.loss:.4f}  accuracy {now.accuracy:.1%}  {speed}{_left(now)}"


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
