"""The files below a folder or inside a zip archive, found without opening any of them."""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from pellucid.data.images import MAX_FILE_BYTES, SUFFIXES
from pellucid.data.places import open_ordinary, open_regular, shown, special_file
from pellucid.errors import DataError


@dataclass(frozen=True)
class ListedFile:
    """A file with an image's suffix: names from the root down, bytes, why it must not be opened (or "")."""

    parts: tuple[str, ...]
    size: int = 0
    problem: str = ""


@dataclass
class Listing:
    """What a tree holds: image files in a fixed order, all folders, and how many other files by suffix."""

    files: list[ListedFile] = field(default_factory=list)
    folders: set[tuple[str, ...]] = field(default_factory=set)
    ignored: Counter[str] = field(default_factory=Counter)

    def sort(self) -> None:
        """Order by the bytes of the names, which no locale changes."""
        self.files.sort(key=lambda file: tuple(os.fsencode(name) for name in file.parts))


class Tree(Protocol):
    """A place with class folders: a folder on the disk or a zip archive."""

    def listing(self) -> Listing:
        """List the tree."""

    def read(self, file: ListedFile) -> bytes:
        """The contents of one listed file; raises DataError with the reason."""

    def shown(self, file: ListedFile) -> str:
        """The file's path as people know it."""

    def close(self) -> None:
        """Release what is open."""


def open_tree(path: Path) -> Tree:
    """A folder or a .zip file as a tree; raises DataError for anything else."""
    if path.is_dir():
        return FolderTree(path)
    if path.is_file():
        return ZipTree(path)
    raise DataError(f"{shown(path)}: no such folder or zip archive.")


def is_hidden(name: str) -> bool:
    """Files that programs leave behind: dot files, and what macOS puts into archives."""
    return name.startswith(".") or name == "__MACOSX"


class FolderTree:
    """A folder on the disk; links to folders are followed, but none is entered twice.

    Nothing but ordinary files is ever opened.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def listing(self) -> Listing:
        """List the tree; raises DataError when a folder cannot be read."""
        listing = Listing()
        self._visit(self.root, (), set(), listing)
        listing.sort()
        return listing

    def _visit(self, folder: Path, parts: tuple[str, ...], visited: set[tuple[int, int]], listing: Listing) -> None:
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise DataError(f"{shown(folder)}: the folder cannot be read ({error.strerror or error}).") from error
        if identity in visited:
            return
        visited.add(identity)
        for entry in entries:
            if is_hidden(entry.name):
                continue
            inner = (*parts, entry.name)
            found, problem = _status(entry)
            mode = found.st_mode if found else 0
            if stat.S_ISDIR(mode):
                listing.folders.add(inner)
                self._visit(folder / entry.name, inner, visited, listing)
            else:
                file = ListedFile(inner, found.st_size if found else 0, problem or special_file(mode))
                _add_file(listing, file)

    def read(self, file: ListedFile) -> bytes:
        """Read one file, refusing what is too large to be an image."""
        with open_ordinary(self.root.joinpath(*file.parts)) as opened:
            try:
                data = opened.read(MAX_FILE_BYTES + 1)
            except OSError as error:
                raise DataError(f"cannot be read ({error.strerror or error})") from error
        if len(data) > MAX_FILE_BYTES:
            raise DataError(f"has more than the allowed {MAX_FILE_BYTES} bytes")
        return data

    def shown(self, file: ListedFile) -> str:
        """The whole path."""
        return shown(self.root.joinpath(*file.parts))

    def close(self) -> None:
        """Nothing is held open."""


def _status(entry: os.DirEntry[str]) -> tuple[os.stat_result | None, str]:
    """What is behind an entry (links followed), or why there is nothing."""
    try:
        return entry.stat(), ""
    except OSError as error:
        reason = error.strerror or str(error)
        return None, f"a link that leads nowhere ({reason})" if entry.is_symlink() else reason


def _add_file(listing: Listing, file: ListedFile) -> None:
    suffix = PurePosixPath(file.parts[-1]).suffix.lower()
    if suffix in SUFFIXES:
        listing.files.append(file)
    else:
        listing.ignored[suffix or "no suffix"] += 1


class ZipTree:
    """A zip archive, read in place; one folder around everything, as archives often have it, is skipped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_regular(path)
        try:
            self._archive = zipfile.ZipFile(self._file)
            self._entries = self._ordinary_entries()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            self._file.close()
            raise DataError(f"{shown(path)}: neither a folder nor a readable zip archive ({error}).") from error
        except DataError:
            self._file.close()
            raise

    def _ordinary_entries(self) -> Mapping[tuple[str, ...], zipfile.ZipInfo]:
        entries: dict[tuple[str, ...], zipfile.ZipInfo] = {}
        for info in self._archive.infolist():
            parts = tuple(part for part in info.filename.split("/") if part)
            if any(is_hidden(part) for part in parts if part != ".."):
                continue
            if ".." in parts or info.filename.startswith("/") or parts in entries:
                raise DataError(f"{shown(self.path)}: the archive holds the suspicious entry {info.filename!r}.")
            entries[parts] = info
        outer = {parts[0] for parts in entries if parts}
        if len(outer) == 1 and any(parts[1:2] == ("train",) for parts in entries):
            entries = {parts[1:]: info for parts, info in entries.items() if len(parts) > 1}
        return entries

    def listing(self) -> Listing:
        """List the archive."""
        listing = Listing()
        for parts, info in self._entries.items():
            inside = parts if info.is_dir() else parts[:-1]
            listing.folders.update(inside[: depth + 1] for depth in range(len(inside)))
            if not info.is_dir():
                _add_file(listing, ListedFile(parts, info.file_size, _zip_problem(info)))
        listing.sort()
        return listing

    def read(self, file: ListedFile) -> bytes:
        """Unpack one file; its declared length bounds what is unpacked."""
        try:
            return self._archive.read(self._entries[file.parts])
        except Exception as error:
            # zipfile reports damage as BadZipFile, zlib.error, EOFError, NotImplementedError, ...
            raise DataError(f"cannot be unpacked ({type(error).__name__}: {error})") from error

    def shown(self, file: ListedFile) -> str:
        """The archive and the path inside it."""
        return f"{shown(self.path)}:{self._entries[file.parts].filename}"

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
        self._file.close()


def _zip_problem(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        return "not an ordinary file inside the archive"
    if info.file_size > MAX_FILE_BYTES:
        return f"has more than the allowed {MAX_FILE_BYTES} bytes"
    return ""
