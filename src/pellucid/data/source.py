"""What every kind of data set hands over: arrays as they were found, before any cutting or normalising."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.data.progress import ProgressCallback

Images: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.int64]
"""Bytes or numbers (N, C, H, W), or sentences of tokens (N, L), which are whole numbers."""
Labels: TypeAlias = npt.NDArray[np.int64]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """One split as the source keeps it: images (N, C, H, W), labels (N,), and the SHA-256 of its contents.

    ``origin`` says in words where the split comes from.
    """

    images: Images
    labels: Labels
    fingerprint: str
    origin: str


@dataclass(frozen=True)
class Source:
    """A data set before it is cut: its parts are named "train", "validation", "test", or "all" when unsplit.

    ``place`` is where it was found; ``notes`` are told to people; ``dropped`` lists unreadable files left
    out.
    """

    name: str
    classes: tuple[str, ...]
    parts: Mapping[str, Part]
    place: str
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What the caller asked of a loader; ``size`` is (height, width)."""

    root: Path | None = None
    download: bool = False
    size: tuple[int, int] | None = None
    channels: int | None = None
    bad_files: str = "error"
    progress: ProgressCallback | None = None


def array_fingerprint(images: Images, labels: Labels) -> str:
    """The SHA-256 of an array pair: shapes, element types and every byte."""
    digest = hashlib.sha256()
    for array in (images, labels):
        digest.update(f"{array.dtype.str}{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
