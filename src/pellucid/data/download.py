"""Fetching published files: only when asked, checked by length and SHA-256, written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pellucid.data.places import atomic_writer, open_regular
from pellucid.data.progress import Progress, ProgressCallback
from pellucid.errors import DataError

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte from the server before an attempt is given up."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name, its homes in the order they are tried, its length in bytes and its SHA-256.

    ``content_sha256`` is the SHA-256 of what a gzip file unpacks to, where that is known.
    """

    name: str
    urls: tuple[str, ...]
    length: int
    sha256: str
    content_sha256: str | None = None


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class _TransferError(Exception):
    """One attempt failed; the message says why."""


def is_intact(path: Path, remote: RemoteFile) -> bool:
    """Whether the file exists and is, byte for byte, the published one."""
    if not path.is_file() or path.stat().st_size != remote.length:
        return False
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == remote.sha256


def fetch(remote: RemoteFile, folder: Path, progress: ProgressCallback | None = None) -> Path:
    """Download one file into ``folder`` and return its path; each home is tried once, in order.

    A transfer that breaks off, has the wrong length or another checksum leaves nothing behind. Raises
    DataError with the reason for every home when all failed, ResourceError when the file cannot be written.
    """
    destination = folder / remote.name
    failures: list[str] = []
    for url in remote.urls:
        try:
            with atomic_writer(destination) as file:
                digest = hashlib.sha256()
                for chunk in _received(url, remote):
                    digest.update(chunk)
                    file.write(chunk)
                    if progress is not None:
                        progress(Progress(f"download {remote.name}", file.tell(), remote.length, "bytes"))
                _check_digest(digest, remote)
        except _TransferError as error:
            failures.append(f"  {url}: {error}")
        else:
            return destination
    raise DataError(
        f"{remote.name} could not be downloaded; nothing was kept.\n"
        + "\n".join(failures)
        + "\nCheck the connection and try again, or put the file into a folder and pass that folder as root."
    )


def _received(url: str, remote: RemoteFile) -> Iterator[bytes]:
    """The body of one HTTP answer in chunks, as long as its length agrees with the published one."""
    import http.client
    import urllib.error
    import urllib.request

    if not url.startswith(("https://", "http://")):
        raise _TransferError("only http and https addresses are fetched")
    request = urllib.request.Request(url, headers={"User-Agent": "pellucid"})
    done = 0
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            _check_length(answer.headers.get("Content-Length"), remote)
            while chunk := answer.read(CHUNK):
                done += len(chunk)
                if done > remote.length:
                    raise _TransferError(f"more than the expected {remote.length} bytes came")
                yield chunk
    except urllib.error.HTTPError as error:
        raise _TransferError(f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _TransferError(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(f"the connection broke off after {done} bytes ({error!r})") from error
    if done < remote.length:
        raise _TransferError(f"only {done} of {remote.length} bytes came")


def _check_length(announced: str | None, remote: RemoteFile) -> None:
    if announced is not None and announced.isdigit() and int(announced) != remote.length:
        raise _TransferError(f"the server announces {announced} bytes, but the file has {remote.length}")


def _check_digest(digest: _Digest, remote: RemoteFile) -> None:
    if digest.hexdigest() != remote.sha256:
        raise _TransferError(
            f"the contents are not the published ones (SHA-256 {digest.hexdigest()[:16]}..., "
            f"expected {remote.sha256[:16]}...)"
        )
