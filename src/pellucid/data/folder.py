"""Images in class folders, on the disk or in a zip archive, as a source of data.

Every file is read before training starts; what cannot be read is listed by path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid.data.decoding import Decoded, ShapeWatch, decode_all
from pellucid.data.layout import Layout, arrange
from pellucid.data.listing import Tree, open_tree
from pellucid.data.places import shown
from pellucid.data.source import Part, Request, Source
from pellucid.errors import DataError, ResourceError

LISTED = 20
"""At most this many paths are listed."""


def load_tree(path: Path, request: Request, name: str | None = None) -> Source:
    """Read a folder or zip archive of class folders; images become (N, C, H, W) bytes of one size.

    Raises DataError for a layout that is not understood, unreadable files (unless they are to be dropped),
    and images of several sizes when no size is given; ResourceError when memory does not suffice.
    """
    tree = open_tree(path)
    try:
        layout = arrange(tree.listing(), shown(path))
        watch = ShapeWatch(tree, request, sum(map(len, layout.splits.values())))
        decoded = {
            split: decode_all(tree, files, request, watch, _task(split)) for split, files in layout.splits.items()
        }
        dropped = _handle_problems(tree, decoded, request.bad_files)
        readable = {
            split: [entry for entry in entries if entry.pixels is not None] for split, entries in decoded.items()
        }
        decoded.clear()
        _check_remaining(readable, layout, shown(path))
        notes = [*layout.notes, *_repeated(tree, readable)]
        if dropped:
            notes.append(f"dropped {len(dropped)} unreadable file(s): {_abridged(dropped)}")
        parts = {split: _part(readable[split], watch.shape, layout.origins[split]) for split in layout.splits}
        return Source(name or shown(path.name), layout.classes, parts, shown(path), tuple(notes), dropped)
    except MemoryError as error:
        raise ResourceError(
            f"{shown(path)}: the images do not fit into memory. Give a smaller size, or use fewer images."
        ) from error
    finally:
        tree.close()


def _task(split: str) -> str:
    return "read images" if split == "all" else f"read {split} images"


def _handle_problems(tree: Tree, decoded: Mapping[str, list[Decoded]], bad_files: str) -> tuple[str, ...]:
    """The paths of the unreadable files, when they are to be dropped; otherwise they are an error."""
    problems = [
        (tree.shown(entry.file), entry.problem)
        for entries in decoded.values()
        for entry in entries
        if entry.pixels is None
    ]
    if not problems or bad_files == "drop":
        return tuple(path for path, _ in problems)
    lines = [f"  {path}: {problem}" for path, problem in problems[:LISTED]]
    if len(problems) > LISTED:
        lines.append(f"  ... and {len(problems) - LISTED} more")
    raise DataError(
        f"{len(problems)} image file(s) cannot be read:\n"
        + "\n".join(lines)
        + '\nRepair or remove them, or leave them out with bad_files="drop" (--bad-files drop).'
    )


def _check_remaining(readable: Mapping[str, list[Decoded]], layout: Layout, root: str) -> None:
    """Leaving files out must not leave a split, or a class of the training images, without any."""
    for split, entries in readable.items():
        present = {entry.label for entry in entries}
        needed = layout.classes if split in ("train", "all") else ()
        empty = [name for number, name in enumerate(needed) if number not in present]
        if empty or not present:
            what = ", ".join(empty) or split
            raise DataError(f"{root}: without the unreadable files no image is left for {what}.")


def _repeated(tree: Tree, readable: Mapping[str, list[Decoded]]) -> list[str]:
    """Notes on files that validation or test share with the training images: they prove nothing."""
    known = {entry.sha256 for entry in readable.get("train", [])}
    notes = []
    for split in ("validation", "test"):
        paths = [tree.shown(entry.file) for entry in readable.get(split, []) if entry.sha256 in known]
        if paths:
            notes.append(f"{len(paths)} {split} file(s) are also in train, byte for byte: {_abridged(paths)}")
    return notes


def _part(entries: list[Decoded], shape: tuple[int, int, int], origin: str) -> Part:
    """One split as arrays; empties ``entries``, so that each decoded image is let go once it is copied."""
    labels = np.array([entry.label for entry in entries], dtype=np.int64)
    fingerprint = _fingerprint(entries)
    images: npt.NDArray[np.uint8] = np.empty((len(entries), *shape), np.uint8)
    for index in reversed(range(len(entries))):
        pixels = entries.pop().pixels
        if pixels is not None:
            images[index] = pixels
    return Part(images, labels, fingerprint, origin)


def _fingerprint(entries: Sequence[Decoded]) -> str:
    """The SHA-256 over names, classes and contents of the files, in order."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(b"/".join(os.fsencode(part) for part in entry.file.parts))
        digest.update(f"\0{entry.label}\0{entry.sha256}\n".encode())
    return digest.hexdigest()


def _abridged(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return ", ".join(paths[:LISTED]) + more
