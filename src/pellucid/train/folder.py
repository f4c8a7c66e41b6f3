"""A run's folder: who may write in it, and what is where.

config.toml env.json data.json metrics.csv metrics.jsonl log.txt ckpt/{last,best}/ plots/ report.html
"""

import csv
import datetime
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import tomli_w

from pellucid.errors import ResourceError, UsageError
from pellucid.formats.files import replace_file, resource_errors, sync_folder
from pellucid.train import checkpoint
from pellucid.train.settings import without_none
from pellucid.train.state import COLUMNS, Row

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"

Resume = bool | Literal["auto"]


class RunFolder:
    """The folder of one run, owned by this process from `open` to `close`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: int | None = None

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / "ckpt" / "last"

    @property
    def best(self) -> Path:
        """The checkpoint after the best epoch."""
        return self.path / "ckpt" / "best"

    @property
    def plots(self) -> Path:
        """The folder of the pictures."""
        return self.path / "plots"

    def open(self, resume: Resume) -> bool:
        """Create or take over the folder; return whether there is a checkpoint to continue from.

        Raises UsageError when another process trains here, when the folder is in use and `resume` is not
        asked for, or when there is nothing to resume; ResourceError when the folder cannot be written.
        """
        self.check(resume)
        created = not self.path.exists()
        with resource_errors(f"{'create' if created else 'write in'} the run folder {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                self.check(resume)
                (self.path / "ckpt").mkdir(exist_ok=True)
                sync_folder(self.path)
                if created:
                    sync_folder(self.path.parent)
                for place in (self.last, self.best):
                    checkpoint.settle(place)
            except BaseException:
                self.close()
                raise
        return checkpoint.exists(self.last)

    def close(self) -> None:
        """Let other processes train here."""
        if self._lock is not None:
            os.close(self._lock)  # closing releases the lock; the file stays, an unlocked one is harmless
            self._lock = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write_toml(self, name: str, table: Mapping[str, Any]) -> None:
        """Write a table of settings; keys whose value is None are left out, TOML has no such value."""
        self._replace(name, tomli_w.dumps(without_none(table)).encode())

    def write_json(self, name: str, table: Mapping[str, Any]) -> None:
        """Write a table as indented JSON."""
        self._replace(name, json.dumps(table, indent=2, ensure_ascii=False).encode() + b"\n")

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file, in one step."""
        self._replace(name, data)

    def rewrite_metrics(self, history: list[Row]) -> None:
        """Make metrics.csv and metrics.jsonl say exactly `history`, no rows from after the checkpoint."""
        header = ",".join(COLUMNS) + "\n"
        self._replace("metrics.csv", (header + "".join(_csv_line(row) for row in history)).encode())
        self._replace("metrics.jsonl", "".join(_json_line(row) for row in history).encode())

    def append_metrics(self, row: Row) -> None:
        """Add an epoch to metrics.csv and metrics.jsonl."""
        self._append("metrics.csv", _csv_line(row))
        self._append("metrics.jsonl", _json_line(row))

    def log(self, text: str) -> None:
        """Add a line with the time to log.txt."""
        now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        self._append("log.txt", f"{now} {text}\n")

    def _replace(self, name: str, data: bytes) -> None:
        with resource_errors(f"write {self.path / name}"):
            replace_file(self.path / name, data)

    def _append(self, name: str, text: str) -> None:
        path = self.path / name
        with resource_errors(f"write {path}", "The checkpoints are intact."):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                data = text.encode()
                while data:
                    data = data[os.write(descriptor, data) :]
            finally:
                os.close(descriptor)

    def check(self, resume: Resume) -> None:
        """Raise UsageError, as `open` does, when the folder cannot be used; change nothing."""
        if not self.path.exists():
            if resume is True:
                raise UsageError(
                    f"There is no run to resume in {self.path}. Leave out resume to start one, or correct the path."
                )
            return
        if not self.path.is_dir():
            raise UsageError(f"{self.path} is a file, but a run needs a folder. Choose another name.")
        with resource_errors(f"read the run folder {self.path}"):
            names = [entry.name for entry in os.scandir(self.path) if entry.name != LOCK]
        is_run = "ckpt" in names
        if resume and names and not is_run:
            raise UsageError(f"{self.path} is not a run folder (it has no ckpt). Choose another folder.")
        if resume is True and not names:
            raise UsageError(f"There is no run to resume in {self.path}. Leave out resume to start one.")
        if is_run and not resume:
            raise UsageError(
                f"{self.path} already holds a run. Resume it (resume=True; on the command line --resume),"
                " choose another folder, or delete this one."
            )
        if names and not resume:
            raise UsageError(f"{self.path} is not empty. Choose another folder for the run.")

    def _acquire(self) -> None:
        """Take the lock. It belongs to the open file, so it ends with the process however that ends."""
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise UsageError(
                    f"Another process (number {owner}) is training in {self.path}."
                    " Wait for it, stop it, or choose another folder."
                ) from None
            except OSError as error:
                os.close(descriptor)
                raise ResourceError(
                    f"{self.path} cannot be locked: {error.strerror}. Choose a folder on a local disk."
                ) from error
        self._lock = descriptor
        with suppress(OSError):  # the number only serves the message above
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())


def _csv_line(row: Row) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow("" if row[name] is None else row[name] for name in COLUMNS)
    return text.getvalue()


def _json_line(row: Row) -> str:
    return json.dumps({name: row[name] for name in COLUMNS}) + "\n"
