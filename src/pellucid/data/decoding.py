"""Many pictures at once: a thread pool that keeps the order, and early word of what will not work."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.data.images import open_image, to_pixels
from pellucid.data.listing import ListedFile, Tree
from pellucid.data.progress import Progress
from pellucid.data.source import Request
from pellucid.errors import DataError, ResourceError

CHUNK = 64
"""Files decoded per task: enough to make the cost of a task small."""
MAX_THREADS = 8
THREADED_BYTES = 4096
"""Mean file size from which several threads are faster: with two, JPEG files of 1 kB (32x32) took 1.2
times as long, files of 21 kB (224x224) 0.6 times."""


@dataclass(frozen=True)
class Decoded:
    """One file: its class, pixels (C, H, W) or the problem, and the SHA-256 of its bytes."""

    file: ListedFile
    label: int
    pixels: npt.NDArray[np.uint8] | None
    problem: str = ""
    sha256: str = ""


class ShapeWatch:
    """Sees every image as it comes: all must have one size, and together they must fit into memory."""

    def __init__(self, tree: Tree, request: Request, count: int) -> None:
        self.channels = 1
        self._tree = tree
        self._request = request
        self._count = count
        self._first: tuple[tuple[int, int], ListedFile] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W); three channels as soon as one image has colour."""
        height, width = self._first[0] if self._first else (0, 0)
        return self._request.channels or self.channels, height, width

    def see(self, decoded: Decoded) -> None:
        """Raises DataError for another size than the first image's, ResourceError for too many pixels."""
        if decoded.pixels is None:
            return
        channels, height, width = decoded.pixels.shape
        self.channels = max(self.channels, channels)
        if self._first is None:
            self._first = (height, width), decoded.file
            self._check_memory(channels * height * width)
        elif (height, width) != self._first[0]:
            first = f"{self._first[0][0]}x{self._first[0][1]} ({self._tree.shown(self._first[1])})"
            raise DataError(
                f"the images differ in size (height x width): {first}, but {height}x{width} "
                f"({self._tree.shown(decoded.file)}). "
                "Give the size they are to be resized to, such as size=64 or size=(48, 64)."
            )

    def _check_memory(self, pixels: int) -> None:
        need, have = self._count * pixels, physical_memory()
        if have is not None and need > have:
            raise ResourceError(
                f"{self._count:,} images of {pixels:,} bytes need {need / 1e9:.1f} GB of memory, "
                f"but this computer has {have / 1e9:.1f} GB. Give a smaller size, or use fewer images."
            )


def physical_memory() -> int | None:
    """The computer's memory in bytes, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def decode_all(
    tree: Tree, files: Sequence[tuple[ListedFile, int]], request: Request, watch: ShapeWatch, task: str
) -> list[Decoded]:
    """Decode files with their classes, in the order given; ``task`` is what progress is called."""
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image

    # Loads Pillow's formats now, rather than in several threads at once.
    Image.init()
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    decoded: list[Decoded] = []
    pool = ThreadPoolExecutor(_threads(files), thread_name_prefix="pellucid-decode")
    try:
        with warnings.catch_warnings():
            # Pillow warns about odd metadata of files that it reads well; real faults arrive as exceptions.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            for results in pool.map(lambda chunk: [_decode(tree, entry, request) for entry in chunk], chunks):
                for result in results:
                    watch.see(result)
                decoded += results
                if request.progress is not None:
                    request.progress(Progress(task, len(decoded), len(files), "images"))
    finally:
        pool.shutdown(cancel_futures=True)
    return decoded


def _threads(files: Sequence[tuple[ListedFile, int]]) -> int:
    """How many threads pay: small files are Python's own work, which threads only share by turns."""
    if sum(file.size for file, _ in files) < THREADED_BYTES * len(files):
        return 1
    return min(MAX_THREADS, os.cpu_count() or 1)


def _decode(tree: Tree, entry: tuple[ListedFile, int], request: Request) -> Decoded:
    file, label = entry
    if file.problem:
        return Decoded(file, label, None, file.problem)
    try:
        data = tree.read(file)
        pixels = to_pixels(open_image(data), request.size, request.channels)
    except DataError as error:
        return Decoded(file, label, None, str(error))
    return Decoded(file, label, pixels, "", hashlib.sha256(data).hexdigest())
