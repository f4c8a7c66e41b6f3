"""Writing files so that a crash, a full disk or a power cut never leaves half a file behind.

A file is written under another name, flushed to the disk, and only then renamed into place; the folder is
flushed too, because a rename is an entry of the folder. The operating system promises nothing less strict.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pellucid.errors import ResourceError

_ADVICE = {
    errno.ENOSPC: "Free some space on that disk, then continue.",
    errno.EDQUOT: "Free some of your disk quota, then continue.",
    errno.EFBIG: "The file is larger than the limit for one file; raise it (ulimit -f), then continue.",
    errno.EACCES: "Give yourself write permission there, or choose another folder.",
    errno.EPERM: "Give yourself write permission there, or choose another folder.",
    errno.EROFS: "That disk is read-only; choose another folder.",
    errno.EIO: "The disk reports an error; check it, or choose a folder on another disk.",
    errno.ENOENT: "Create the folder first, or choose another one.",
    errno.EISDIR: "A folder has that name; choose another name.",
    errno.ENOTDIR: "A part of that path is a file, not a folder; choose another folder.",
    errno.EMFILE: "Too many files are open; raise the limit (ulimit -n), then continue.",
}


@contextmanager
def resource_errors(doing: str, consequence: str = "") -> Iterator[None]:
    """Turn an operating system's refusal into a ResourceError that says what was being done and what to do.

    `doing` completes the sentence "Could not ..."; `consequence` says what is still intact.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        file = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        place = f" ({file})" if file and not doing.endswith(file) else ""
        advice = _ADVICE.get(error.errno or 0, "Check that path, or choose another folder.")
        parts = [f"Could not {doing}: {reason}{place}.", consequence, advice]
        raise ResourceError(" ".join(part for part in parts if part)) from error


def write_file(path: Path, data: bytes) -> None:
    """Create `path`, which must not exist yet, with exactly `data`, flushed to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            written = os.write(descriptor, rest)
            if written <= 0:
                raise OSError(errno.EIO, "the disk accepted no bytes", str(path))
            rest = rest[written:]
        os.fsync(descriptor)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries (names created, renamed, removed in it) to the disk."""
    if os.name != "posix":  # Windows has no such call; it writes directory entries through
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step: a reader sees the old content or the new one, never a mixture."""
    temporary = path.with_name(f".{path.name}.writing")
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        write_file(temporary, data)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = str(path)  # what was asked for, not the name it has meanwhile
        raise
    sync_folder(path.parent)
