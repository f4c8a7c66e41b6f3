"""Object code kept on disk between runs.

An entry is found by a key made of everything that decides its content, carries a checksum, and is written to
a temporary file that is then renamed. An entry that is damaged, cut short, from elsewhere, or writable by
others is never used: it is removed and compiled again. A cache that cannot be used costs time only; `note`
says why.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from pellucid.engines.native import codegen
from pellucid.engines.native.cpu import Target

_MAGIC = b"pellucid object code 1\n"
_SUFFIX = ".object"
DEFAULT_LIMIT = 256 << 20


def default_folder() -> Path:
    """The user's cache folder, as each operating system names it (XDG_CACHE_HOME on Linux)."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        # The XDG specification: relative paths are to be ignored.
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = named if os.path.isabs(named) else Path.home() / ".cache"
    return Path(base) / "pellucid" / "native"


def object_key(text: str, target: Target) -> str:
    """The name of an entry: a hash of what is compiled (IR, or any description of it), for what, by what."""
    parts = (text, target.triple, target.cpu, target.features, codegen.versions())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class ObjectCache:
    """A folder of object code, at most `limit` bytes; what was used least recently goes first."""

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder or default_folder()
        self.limit = limit
        self.note: str | None = None
        """Why the cache cannot be used, if it cannot."""
        self._room: int | None = None
        self._usable: bool | None = None

    def get(self, key: str) -> bytes | None:
        """The object code stored under a key, or None."""
        if not self._ready():
            return None
        path = self._path(key)
        try:
            entry = _read_own(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note = f"cannot read {path}: {error.strerror or error}; compiled again"
            entry = None
        data = None if entry is None else _unpack(entry, key)
        if data is None:
            _remove(path)
            return None
        try:
            os.utime(path)  # the time of last use, for eviction
        except OSError as error:
            self.note = f"cannot mark {path} as used: {error.strerror or error}"
        return data

    def put(self, key: str, data: bytes) -> None:
        """Store object code. A full or unwritable disk is noted, not raised."""
        if not self._ready():
            return
        entry = _pack(key, data)
        if len(entry) > self.limit:
            return
        try:
            self._write(self._path(key), entry)
            self._make_room(len(entry))
        except OSError as error:
            self.note = f"cannot write to the cache folder {self.folder}: {error.strerror or error}"

    def clear(self) -> None:
        """Remove every entry."""
        for path in self.folder.glob(f"*{_SUFFIX}"):
            _remove(path)
        self._room = None

    def size(self) -> int:
        """Bytes in use."""
        return sum(size for _, size, _ in self._entries())

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _ready(self) -> bool:
        if self._usable is None:
            self._usable = self._prepare()
        return self._usable

    def _prepare(self) -> bool:
        """Create the folder, and check that nobody else can put code into it."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.folder.stat()
        except OSError as error:
            self.note = f"cannot use the cache folder {self.folder}: {error.strerror or error}"
            return False
        if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
            self.note = f"the cache folder {self.folder} is not used: others can write to it (chmod 700 it)"
            return False
        return True

    def _write(self, path: Path, entry: bytes) -> None:
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(entry)
            os.replace(temporary, path)
        except BaseException:
            _remove(Path(temporary))
            raise

    def _make_room(self, added: int) -> None:
        """Count the room left; when it is used up, look at the folder and evict down to three quarters."""
        if self._room is not None:
            self._room -= added
        if self._room is None or self._room < 0:
            entries = sorted(self._entries())
            total = sum(size for _, size, _ in entries)
            if total > self.limit:
                for _, size, path in entries:
                    if total <= self.limit * 3 // 4:
                        break
                    _remove(path)
                    total -= size
            self._room = self.limit - total

    def _entries(self) -> list[tuple[float, int, Path]]:
        """(time of last use, size, path) of every entry and of temporary files left behind by a crash."""
        found = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.suffix == _SUFFIX or path.name.startswith(".new-"):
                try:
                    status = path.stat()
                except OSError:
                    continue  # removed by another process meanwhile
                found.append((status.st_mtime, status.st_size, path))
        return found


def _pack(key: str, data: bytes) -> bytes:
    return b"".join((_MAGIC, key.encode(), b"\n", hashlib.sha256(data).hexdigest().encode(), b"\n", data))


def _unpack(entry: bytes, key: str) -> bytes | None:
    """The object code of an entry if it is whole and belongs to the key."""
    header = len(_pack(key, b""))
    data = entry[header:]
    return data if entry[:header] == _pack(key, data)[:header] else None


def _read_own(path: Path) -> bytes | None:
    """The content of a regular file that belongs to this user and that nobody else can write."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
            return None
        return file.read()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # it stays unused: every entry is checked before use
