"""CIFAR-10: 60,000 colour images of 32x32 in ten classes, from the binary version or a tree of JPEG files.

A record of the binary version is one label byte, then 32x32 red, green and blue bytes. The "Python version"
is pickle, which can run code when it is opened; it is never read.

Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pellucid.data.download import CHUNK, RemoteFile, fetch, is_intact
from pellucid.data.folder import load_tree
from pellucid.data.places import cache_folder, open_regular, search_folders, shown
from pellucid.data.source import Part, Request, Source
from pellucid.errors import DataError

if TYPE_CHECKING:
    import tarfile

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
BATCHES: Mapping[str, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
BATCH_FOLDER = "cifar-10-batches-bin"
MAX_BATCH_BYTES = RECORD * 1_000_000
ARCHIVE = RemoteFile(
    name="cifar-10-binary.tar.gz",
    urls=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    length=170052171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
JPEG_ARCHIVE = "cifar10-jpeg.zip"


def load_cifar10(request: Request, archive: RemoteFile = ARCHIVE) -> Source:
    """CIFAR-10 from the first form found: unpacked .bin files, the .tar.gz, a zip or folder of JPEGs.

    Raises DataError when nothing is found, or what is found is damaged.
    """
    report: list[str] = []
    target = (request.root or cache_folder()) / "cifar10"
    stored = target / archive.name
    replaceable = request.download and stored.is_file() and not is_intact(stored, archive)
    for folder in search_folders(request.root):
        for place in (folder, folder / "cifar10"):
            source = None if replaceable and place == target else _load_from(place, request)
            if source is not None:
                return source
            report.append(f"  {shown(place)}{_pickle_remark(place)}")
    if request.download:
        return _from_archive(fetch(archive, target, request.progress))
    raise DataError(
        f'"cifar10" was not found. Looked for {BATCH_FOLDER}/, {archive.name} and {JPEG_ARCHIVE} in\n'
        + "\n".join(report)
        + f"\nUse download=True (--download) to fetch {archive.length / 1e6:.0f} MB from its public home, "
        "or pass the folder or archive as root."
    )


def _load_from(place: Path, request: Request) -> Source | None:
    """The data set in one place, or None when it is not there."""
    if place.is_file():
        return _from_archive(place) if place.name.endswith((".tar.gz", ".tgz", ".tar")) else _from_tree(place, request)
    for folder in (place / BATCH_FOLDER, place):
        if (folder / BATCHES["train"][0]).is_file():
            return _from_batches(folder)
    if (place / ARCHIVE.name).is_file():
        return _from_archive(place / ARCHIVE.name)
    if (place / JPEG_ARCHIVE).is_file():
        return _from_tree(place / JPEG_ARCHIVE, request)
    if (place / "train" / CLASSES[0]).is_dir():
        return _from_tree(place, request)
    return None


def _pickle_remark(place: Path) -> str:
    names = ("cifar-10-batches-py", "cifar-10-python.tar.gz")
    if any((place / name).exists() for name in names):
        return ": only the Python version; it is pickle, which could run code, and is never read"
    return ": nothing"


def _from_tree(place: Path, request: Request) -> Source:
    source = load_tree(place, request, name="cifar10")
    if source.classes != CLASSES or set(source.parts) < {"train", "test"}:
        raise DataError(
            f"{shown(place)}: CIFAR-10 as images has train/ and test/ with the folders {', '.join(CLASSES)}; "
            f"found {', '.join(sorted(source.parts))} with {', '.join(source.classes)}."
        )
    return source


def _from_batches(folder: Path) -> Source:
    batches: dict[str, bytes] = {}
    for names in BATCHES.values():
        for name in names:
            with open_regular(folder / name) as file:
                batches[name] = file.read(MAX_BATCH_BYTES + 1)
    return _assembled(batches, folder)


def _from_archive(path: Path) -> Source:
    """Read the batches straight out of the archive: nothing is unpacked to the disk."""
    import tarfile

    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:*") as archive:
            batches = dict(_members(archive, path))
            # The checksum of a gzip file comes last; without reading up to it, damage would go unnoticed.
            while archive.fileobj is not None and archive.fileobj.read(CHUNK):
                pass
        return _assembled(batches, path)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{shown(path)}: the archive is damaged ({error}). Copy or download it again.") from error


def _members(archive: tarfile.TarFile, path: Path) -> Iterator[tuple[str, bytes]]:
    wanted = {f"{BATCH_FOLDER}/{name}": name for names in BATCHES.values() for name in names}
    seen: set[str] = set()
    for member in archive:
        name = wanted.get(member.name.removeprefix("./"))
        if name is None:
            continue
        content = archive.extractfile(member) if member.isreg() and member.size <= MAX_BATCH_BYTES else None
        if content is None or name in seen:
            raise DataError(f"{shown(path)}: the archive's {member.name!r} is not one ordinary file of sensible size.")
        seen.add(name)
        yield name, content.read()


def _assembled(batches: Mapping[str, bytes], place: Path) -> Source:
    parts: dict[str, Part] = {}
    for split, names in BATCHES.items():
        missing = [name for name in names if name not in batches]
        if missing:
            raise DataError(f"{shown(place)}: {', '.join(missing)} not found. Copy or download the data again.")
        for name in names:
            _check_batch(batches[name], f"{shown(place)}: {name}")
        records = np.frombuffer(b"".join(batches[name] for name in names), dtype=np.uint8).reshape(-1, RECORD)
        images = np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE)
        fingerprint = hashlib.sha256(records.data).hexdigest()
        parts[split] = Part(images, records[:, 0].astype(np.int64), fingerprint, f"the data set's own {split} batches")
    return Source("cifar10", CLASSES, parts, place=shown(place))


def _check_batch(content: bytes, where: str) -> None:
    if not content or len(content) % RECORD or len(content) > MAX_BATCH_BYTES:
        raise DataError(
            f"{where} must hold whole records of {RECORD} bytes, but has {len(content)} bytes. "
            "Copy or download the data again."
        )
    highest = max(content[::RECORD])
    if highest >= len(CLASSES):
        raise DataError(f"{where} holds the label {highest}; labels go from 0 to {len(CLASSES) - 1}.")
