"""Making the operating system fail, or the process die, at the n-th call that touches the disk."""

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir")


class Disk:
    """Counts the calls; at call number `at` (from 1) does `act`, before the call takes place.

    It also keeps account of what a power failure at that moment could take back: the content of files that
    were written but not flushed, and new names in folders that were not flushed since.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, act: Callable[["Disk", str], None]) -> None:
        self.at, self.act, self.count = at, act, 0
        self.opened: dict[int, Path] = {}
        self.unflushed: set[Path] = set()
        self.names: list[Name] = []
        self._real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            monkeypatch.setattr(os, name, self._counted(name))

    def _counted(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.act(self, name)
            result = self._real[name](*arguments, **options)
            self._account(name, arguments, result)
            return result

        return call

    def _account(self, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        if name == "open":
            self.opened[result] = Path(arguments[0])
            if arguments[1] & os.O_CREAT:
                self.names.append(Name("create", Path(arguments[0]), Path(arguments[0])))
        elif name == "write":
            self.unflushed.add(self.opened[arguments[0]])
        elif name == "fsync":
            path = self.opened[arguments[0]]
            self.unflushed.discard(path)
            self.names = [entry for entry in self.names if entry.now.parent != path]
        elif name in ("rename", "replace"):
            source, target = Path(arguments[0]), Path(arguments[1])
            self.unflushed = {_moved(path, source, target) for path in self.unflushed}
            for entry in self.names:
                if entry.kind == "create":
                    entry.now = _moved(entry.now, source, target)
            self.names.append(Name("rename", source, target))
        elif name == "mkdir":
            self.names.append(Name("mkdir", Path(arguments[0]), Path(arguments[0])))

    def lose_power(self, first: int, only: bool) -> bool:
        """Take back what was not flushed: half of each file, and the new name number `first`.

        With it go those after it, or with `only` just those that build on it: a disk may write in any order.
        False if there are not so many names.
        """
        for path in self.unflushed:
            if path.is_file():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if first >= len(self.names):
            return False
        lost = [self.names[first]]
        for entry in self.names[first + 1 :]:
            if not only or any(entry.before == other.now for other in lost):
                lost.append(entry)
        for entry in reversed(lost):
            self._take_back(entry)
        return True

    def _take_back(self, entry: "Name") -> None:
        if entry.kind == "create":
            with suppress(FileNotFoundError):
                self._real["unlink"](entry.now)
        elif entry.kind == "mkdir":
            shutil.rmtree(entry.now, ignore_errors=True)
        elif entry.now.exists() and not entry.before.exists():
            self._real["rename"](entry.now, entry.before)


@dataclass
class Name:
    """A name given since its folder was flushed: by creating, renaming from `before`, or making a folder."""

    kind: str
    before: Path
    now: Path


def _moved(path: Path, source: Path, target: Path) -> Path:
    return target / path.relative_to(source) if path.is_relative_to(source) else path


def fail_once(number: int) -> Callable[[Disk, str], None]:
    """Raise an OSError with this error number at that one call."""

    def act(disk: Disk, name: str) -> None:
        raise OSError(number, os.strerror(number))

    return act


def fail_from_then_on(number: int) -> Callable[[Disk, str], None]:
    """Raise at that call and at all later ones, as a full or dead disk does."""

    def act(disk: Disk, name: str) -> None:
        disk.at += 1
        raise OSError(number, os.strerror(number))

    return act


def die(disk: Disk, name: str) -> None:
    """End the process here and now, like kill -9."""
    os._exit(9)


def in_child(body: Callable[[], None]) -> int:
    """Run `body` in a forked process; return its exit code (0 when it came to its end, 9 when it died)."""
    with warnings.catch_warnings():
        # Newer Pythons warn that a process with threads forks; the children here touch no lock of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def as_nobody() -> Iterator[None]:
    """In a child process: give up root, for whom no folder is unwritable."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    yield


ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
