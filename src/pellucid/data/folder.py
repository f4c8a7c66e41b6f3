"""Images in class folders, on the disk or in a zip archive: decoded by a thread pool, in a fixed order.

Every file is read before training starts; what cannot be read is listed by path.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid.data.images import open_image, to_pixels
from pellucid.data.layout import Layout, arrange
from pellucid.data.listing import ListedFile, Tree, open_tree
from pellucid.data.places import shown
from pellucid.data.progress import Progress
from pellucid.data.source import Part, Request, Source
from pellucid.errors import DataError, ResourceError

LISTED_PROBLEMS = 20
CHUNK = 64
"""Files decoded per task: enough to make the cost of a task small."""
MAX_THREADS = 8
THREADED_BYTES = 4096
"""Mean file size from which several threads are faster: with two, JPEG files of 1 kB (32x32) took 1.2
times as long, files of 21 kB (224x224) 0.6 times."""


@dataclass(frozen=True)
class _Decoded:
    """One file: pixels (C, H, W), or the problem; and the SHA-256 of the file's bytes."""

    pixels: npt.NDArray[np.uint8] | None
    problem: str
    sha256: str


@dataclass(frozen=True)
class _Readable:
    """The files of one split that could be decoded, column by column."""

    files: list[ListedFile]
    labels: list[int]
    sha256: list[str]
    pixels: list[npt.NDArray[np.uint8]]


def load_tree(path: Path, request: Request, name: str | None = None) -> Source:
    """Read a folder or zip archive of class folders; images become (N, C, H, W) bytes of one size.

    Raises DataError for a layout that is not understood, unreadable files (unless they are to be dropped),
    and images of several sizes when no size is given.
    """
    tree = open_tree(path)
    try:
        layout = arrange(tree.listing(), shown(path))
        decoded = {split: _decode_all(tree, files, request, split) for split, files in layout.splits.items()}
        dropped = _handle_problems(tree, layout, decoded, request.bad_files)
        return _assembled(path, tree, layout, decoded, dropped, request, name)
    finally:
        tree.close()


def _decode_all(
    tree: Tree, files: Sequence[tuple[ListedFile, int]], request: Request, split: str
) -> list[_Decoded]:
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image

    # Loads Pillow's formats now, rather than in several threads at once.
    Image.init()
    chunks = [[file for file, _ in files[start : start + CHUNK]] for start in range(0, len(files), CHUNK)]
    decoded: list[_Decoded] = []
    pool = ThreadPoolExecutor(_threads(files), thread_name_prefix="pellucid-decode")
    try:
        with warnings.catch_warnings():
            # Pillow warns about odd metadata of files that it reads well; real faults arrive as exceptions.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            for results in pool.map(lambda chunk: [_decode(tree, file, request) for file in chunk], chunks):
                decoded += results
                if request.progress is not None:
                    task = "read images" if split == "all" else f"read {split} images"
                    request.progress(Progress(task, len(decoded), len(files), "images"))
    finally:
        pool.shutdown(cancel_futures=True)
    return decoded


def _threads(files: Sequence[tuple[ListedFile, int]]) -> int:
    """How many threads pay: small files are Python's own work, which threads only share by turns."""
    if sum(file.size for file, _ in files) < THREADED_BYTES * len(files):
        return 1
    return min(MAX_THREADS, os.cpu_count() or 1)


def _decode(tree: Tree, file: ListedFile, request: Request) -> _Decoded:
    if file.problem:
        return _Decoded(None, file.problem, "")
    try:
        data = tree.read(file)
        return _Decoded(
            to_pixels(open_image(data), request.size, request.channels), "", hashlib.sha256(data).hexdigest()
        )
    except DataError as error:
        return _Decoded(None, str(error), "")


def _handle_problems(
    tree: Tree, layout: Layout, decoded: dict[str, list[_Decoded]], bad_files: str
) -> tuple[str, ...]:
    """The paths of the unreadable files, when they are to be dropped; otherwise they are an error."""
    problems = [
        (tree.shown(file), result.problem)
        for split, files in layout.splits.items()
        for (file, _), result in zip(files, decoded[split], strict=True)
        if result.pixels is None
    ]
    if not problems or bad_files == "drop":
        return tuple(path for path, _ in problems)
    lines = [f"  {path}: {problem}" for path, problem in problems[:LISTED_PROBLEMS]]
    if len(problems) > LISTED_PROBLEMS:
        lines.append(f"  ... and {len(problems) - LISTED_PROBLEMS} more")
    raise DataError(
        f"{len(problems)} image file(s) cannot be read:\n"
        + "\n".join(lines)
        + '\nRepair or remove them, or leave them out with bad_files="drop" (--bad-files drop).'
    )


def _assembled(
    path: Path,
    tree: Tree,
    layout: Layout,
    decoded: dict[str, list[_Decoded]],
    dropped: tuple[str, ...],
    request: Request,
    name: str | None,
) -> Source:
    readable = {split: _readable(files, decoded.pop(split)) for split, files in layout.splits.items()}
    for split, entries in readable.items():
        _check_remaining(entries, layout, split, shown(path))
    shape = _common_shape(tree, readable, request)
    parts = {}
    for split, entries in readable.items():
        labels = np.array(entries.labels, dtype=np.int64)
        parts[split] = Part(_stacked(entries, shape), labels, _fingerprint(entries), layout.origins[split])
    notes = layout.notes
    if dropped:
        notes += (f"dropped {len(dropped)} unreadable file(s): {_abridged(dropped)}",)
    return Source(name or shown(path.name), layout.classes, parts, shown(path), notes, dropped)


def _readable(files: Sequence[tuple[ListedFile, int]], decoded: Sequence[_Decoded]) -> _Readable:
    readable = _Readable([], [], [], [])
    for (file, label), result in zip(files, decoded, strict=True):
        if result.pixels is not None:
            readable.files.append(file)
            readable.labels.append(label)
            readable.sha256.append(result.sha256)
            readable.pixels.append(result.pixels)
    return readable


def _check_remaining(entries: _Readable, layout: Layout, split: str, root: str) -> None:
    """Leaving files out must not leave a split, or a class of the training images, without any."""
    present = set(entries.labels)
    needed = layout.classes if split in ("train", "all") else ()
    empty = [name for number, name in enumerate(needed) if number not in present]
    if empty or not present:
        what = ", ".join(empty) or split
        raise DataError(f"{root}: without the unreadable files no image is left for {what}.")


def _common_shape(tree: Tree, readable: Mapping[str, _Readable], request: Request) -> tuple[int, int, int]:
    """Channels (three as soon as one image has colour), height and width; all sizes must agree."""
    examples: dict[tuple[int, int], str] = {}
    channels = 1
    for entries in readable.values():
        for file, pixels in zip(entries.files, entries.pixels, strict=True):
            depth, height, width = pixels.shape
            channels = max(channels, depth)
            if (height, width) not in examples:
                examples[height, width] = f"{height}x{width} ({tree.shown(file)})"
    if len(examples) > 1:
        ordered = sorted(examples, key=lambda size: (size[0] * size[1], size))
        raise DataError(
            f"the images have {len(examples)} different sizes (height x width), "
            f"from {examples[ordered[0]]} to {examples[ordered[-1]]}. "
            "Give the size they are to be resized to, such as size=64 or size=(48, 64)."
        )
    ((height, width),) = examples
    return request.channels or channels, height, width


def _stacked(entries: _Readable, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """One array (N, C, H, W); each decoded image is let go as soon as it is copied."""
    count = len(entries.pixels)
    try:
        images = np.empty((count, *shape), np.uint8)
    except MemoryError as error:
        raise ResourceError(
            f"{count} images of {shape[0]}x{shape[1]}x{shape[2]} "
            f"need {count * math.prod(shape) / 1e9:.1f} GB of memory. Use a smaller size, or fewer images."
        ) from error
    entries.pixels.reverse()
    for index in range(count):
        images[index] = entries.pixels.pop()
    return images


def _fingerprint(entries: _Readable) -> str:
    """The SHA-256 over names, classes and contents of the files, in order."""
    digest = hashlib.sha256()
    for file, label, contents in zip(entries.files, entries.labels, entries.sha256, strict=True):
        digest.update(b"/".join(os.fsencode(part) for part in file.parts))
        digest.update(f"\0{label}\0{contents}\n".encode())
    return digest.hexdigest()


def _abridged(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - LISTED_PROBLEMS} more" if len(paths) > LISTED_PROBLEMS else ""
    return ", ".join(paths[:LISTED_PROBLEMS]) + more
