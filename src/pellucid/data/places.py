"""Where data lives on this computer, and how its files are opened and written."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pellucid.errors import DataError, ResourceError

DATA_VARIABLE = "PELLUCID_DATA"
"""An environment variable naming one more folder that is searched for data sets."""


def cache_folder() -> Path:
    """The folder for downloaded data: ``XDG_CACHE_HOME`` if it is set, otherwise the platform's own place.

    Nothing is created here. Source of the rule: XDG Base Directory Specification 0.8 (a relative path is
    ignored).
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if chosen and os.path.isabs(chosen):
        return Path(chosen) / "pellucid" / "data"
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "pellucid" / "data"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(home / "AppData" / "Local"))) / "pellucid" / "Cache" / "data"
    return home / ".cache" / "pellucid" / "data"


def search_folders(root: Path | None) -> tuple[Path, ...]:
    """The folders searched for a data set: ``root`` alone if given, otherwise PELLUCID_DATA and the cache."""
    if root is not None:
        return (root,)
    extra = os.environ.get(DATA_VARIABLE, "")
    return (Path(extra), cache_folder()) if extra else (cache_folder(),)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text that can always be printed: bytes that are not UTF-8 become hexadecimal escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def special_file(mode: int) -> str:
    """Why a file of this mode is not to be opened; empty for an ordinary file."""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    if stat.S_ISREG(mode):
        return ""
    return next((name for is_kind, name in kinds if is_kind(mode)), "not an ordinary file")


def open_regular(path: Path) -> BinaryIO:
    """Open an ordinary file for reading.

    Raises DataError, naming the path, for anything else: pipes, sockets, devices, folders, missing files.
    """
    try:
        return open_ordinary(path)
    except DataError as error:
        raise DataError(f"{shown(path)}: {error}.") from error


def open_ordinary(path: Path) -> BinaryIO:
    """As ``open_regular``, but the error gives only the reason, for callers that name the file."""
    try:
        _check_ordinary(os.stat(path).st_mode)
        # Without O_NONBLOCK a pipe that took the file's place meanwhile would hang the program.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except OSError as error:
        raise DataError(f"cannot be opened ({error.strerror or error})") from error
    try:
        _check_ordinary(os.fstat(file.fileno()).st_mode)
    except DataError:
        file.close()
        raise
    return file


def _check_ordinary(mode: int) -> None:
    kind = special_file(mode)
    if kind:
        raise DataError(f"expected a file, but it is {kind}")


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Write a whole file or none: a temporary file beside it, flushed to disk, then renamed.

    Raises ResourceError when the disk is full or the folder cannot be written; no temporary file stays
    behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ResourceError(
            f"{shown(path)}: cannot be written ({error.strerror or error}). "
            "Free some space, or choose a folder you may write to (root=..., XDG_CACHE_HOME for the cache)."
        ) from error


def _flush_folder(folder: Path) -> None:
    """Make a rename durable; Windows offers no way to do it, and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
