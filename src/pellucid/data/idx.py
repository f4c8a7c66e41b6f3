"""The IDX format of the MNIST files: a header of big-endian numbers, then the bare array.

    bytes 0-1   zero
    byte  2     element type (8: unsigned byte)
    byte  3     number of dimensions d
    then        d extents of four bytes, then the elements, last dimension fastest

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pellucid.data.places import open_regular, shown
from pellucid.data.source import Labels
from pellucid.errors import DataError

UNSIGNED_BYTE = 8
CHUNK = 1 << 20
REPAIR = "Copy or download the file again."


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class IdxFile:
    """The array of an IDX file and the SHA-256 of the unpacked file."""

    array: npt.NDArray[np.uint8]
    sha256: str


def read_idx(path: Path, dimensions: int) -> IdxFile:
    """Read an IDX file of unsigned bytes, plain or gzip, with the given number of dimensions.

    Raises DataError naming the file for a foreign header, a truncated or damaged body, or trailing bytes.
    """
    where = shown(path)
    with open_regular(path) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if packed:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    return _parse(unpacked, where, dimensions)
            return _parse(raw, where, dimensions)
        except EOFError as error:
            raise DataError(f"{where}: the gzip data end too early; the file is truncated. {REPAIR}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{where}: the gzip data are damaged ({error}). {REPAIR}") from error
        except OSError as error:
            raise DataError(f"{where}: cannot be read ({error.strerror or error}).") from error


def _parse(stream: _Readable, where: str, dimensions: int) -> IdxFile:
    header = stream.read(4 + 4 * dimensions)
    expected = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if len(header) >= 4 and header[:4] != expected:
        raise DataError(
            f"{where}: an IDX file of unsigned bytes with {dimensions} dimension(s) starts with the bytes "
            f"{expected.hex(' ')}, but this one starts with {header[:4].hex(' ')}. Is it the right file?"
        )
    if len(header) < 4 + 4 * dimensions:
        raise DataError(
            f"{where}: the header has {4 + 4 * dimensions} bytes, but the file ends after {len(header)}. {REPAIR}"
        )
    shape = tuple(int(extent) for extent in np.frombuffer(header, dtype=">u4", offset=4))
    body = _read_body(stream, where, shape)
    digest = hashlib.sha256(header)
    digest.update(body)
    return IdxFile(np.frombuffer(body, dtype=np.uint8).reshape(shape), digest.hexdigest())


def _read_body(stream: _Readable, where: str, shape: tuple[int, ...]) -> bytearray:
    """Read exactly the promised bytes, piece by piece: a damaged header must not reserve gigabytes."""
    promised = math.prod(shape)
    body = bytearray()
    while len(body) < promised:
        piece = stream.read(min(CHUNK, promised - len(body)))
        if not piece:
            raise DataError(
                f"{where}: the header promises {'x'.join(map(str, shape))} = {promised} bytes, "
                f"but only {len(body)} follow; the file is truncated. {REPAIR}"
            )
        body += piece
    if stream.read(1):
        raise DataError(f"{where}: bytes follow after the promised {'x'.join(map(str, shape))} elements. {REPAIR}")
    return body


def read_pair(images_path: Path, labels_path: Path, classes: int) -> tuple[IdxFile, IdxFile, Labels]:
    """Read images (N, H, W) and their labels (N,); also returns the labels as int64.

    Raises DataError when the counts differ, there are no images, or a label is not below ``classes``.
    """
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    count = len(images.array)
    if count != len(labels.array):
        raise DataError(
            f"{shown(images_path)} holds {count} images, "
            f"but {shown(labels_path)} holds {len(labels.array)} labels; both must come from the same set."
        )
    if images.array.size == 0:
        raise DataError(f"{shown(images_path)}: holds no pixels (shape {images.array.shape}).")
    if int(labels.array.max()) >= classes:
        first = int(np.argmax(labels.array >= classes))
        raise DataError(
            f"{shown(labels_path)}: label {labels.array[first]} at position {first} is out of range; "
            f"labels go from 0 to {classes - 1}."
        )
    return images, labels, labels.array.astype(np.int64)
