"""MNIST and Fashion-MNIST: four IDX files each, from a folder, the cache, or a download when asked.

Sources: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998; H. Xiao, K. Rasul,
R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms", 2017 (MIT
licence).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pellucid.data.download import RemoteFile, fetch, is_intact
from pellucid.data.idx import IdxFile, read_pair
from pellucid.data.places import cache_folder, search_folders, shown
from pellucid.data.source import Part, Request, Source
from pellucid.errors import DataError

FILES = MappingProxyType(
    {
        "train images": "train-images-idx3-ubyte",
        "train labels": "train-labels-idx1-ubyte",
        "test images": "t10k-images-idx3-ubyte",
        "test labels": "t10k-labels-idx1-ubyte",
    }
)


@dataclass(frozen=True)
class IdxCollection:
    """A data set of four IDX files: its classes, the folder names in use for it, and the published files."""

    name: str
    classes: tuple[str, ...]
    folders: tuple[str, ...]
    files: Mapping[str, RemoteFile]


def _published(
    homes: tuple[str, ...], facts: tuple[tuple[int, str], ...], contents: tuple[str | None, ...]
) -> Mapping[str, RemoteFile]:
    """The four published files, in the order of ``FILES``: length and SHA-256, packed and unpacked."""
    remotes = {}
    for (role, stem), (length, sha256), content in zip(FILES.items(), facts, contents, strict=True):
        name = f"{stem}.gz"
        remotes[role] = RemoteFile(name, tuple(home + name for home in homes), length, sha256, content)
    return MappingProxyType(remotes)


MNIST = IdxCollection(
    name="mnist",
    classes=tuple(str(digit) for digit in range(10)),
    folders=("mnist", "MNIST/raw"),
    files=_published(
        homes=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        facts=(
            (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        contents=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

FASHION_MNIST = IdxCollection(
    name="fashion-mnist",
    classes=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    folders=("fashion-mnist", "fashion", "FashionMNIST/raw"),
    files=_published(
        homes=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        facts=(
            (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
        contents=(None, None, None, None),
    ),
)  # fmt: skip


def load_collection(collection: IdxCollection, request: Request) -> Source:
    """Find the four files, download them if that was asked for, and read them: images (N, 1, H, W).

    Raises DataError when files are missing, damaged, or images and labels do not belong together.
    """
    paths = _locate(collection, request)
    parts: dict[str, Part] = {}
    original = True
    for split in ("train", "test"):
        image_path, label_path = paths[f"{split} images"], paths[f"{split} labels"]
        images, labels, numbers = read_pair(image_path, label_path, len(collection.classes))
        original &= _is_original(image_path, images, collection.files[f"{split} images"])
        original &= _is_original(label_path, labels, collection.files[f"{split} labels"])
        fingerprint = hashlib.sha256(f"{images.sha256} {labels.sha256}".encode()).hexdigest()
        parts[split] = Part(images.array[:, np.newaxis], numbers, fingerprint, f"the data set's own {split} files")
    verdict = "the published files (checksums agree)" if original else "not the published files (checksums differ)"
    place = shown(paths["train images"].parent)
    return Source(collection.name, collection.classes, parts, place, notes=(f"the files in {place} are {verdict}",))


def _is_original(path: Path, read: IdxFile, remote: RemoteFile) -> bool:
    """Compare contents where their checksum is known: the same data may have been compressed again."""
    if remote.content_sha256 is not None:
        return read.sha256 == remote.content_sha256
    return is_intact(path, remote)


def _locate(collection: IdxCollection, request: Request) -> Mapping[str, Path]:
    """The four paths in the first folder that has them all."""
    target = (request.root or cache_folder()) / collection.name
    report: list[str] = []
    for folder in search_folders(request.root):
        for place in (folder, *(folder / name for name in collection.folders)):
            found = _files_in(place)
            replaceable = request.download and place == target and _is_damaged(collection, found)
            if len(found) == len(FILES) and not replaceable:
                return found
            missing = ", ".join(stem for role, stem in FILES.items() if role not in found)
            report.append(f"  {shown(place)}: " + (f"lacks {missing}" if found else "none of the four files"))
    if request.download:
        return {role: _ensure(remote, target, request) for role, remote in collection.files.items()}
    megabytes = sum(remote.length for remote in collection.files.values()) / 1e6
    raise DataError(
        f'"{collection.name}" needs four IDX files (plain or .gz), and no folder has them all:\n'
        + "\n".join(report)
        + f"\nUse download=True (--download) to fetch {megabytes:.1f} MB from their public home, "
        "or pass the folder that holds them as root."
    )


def _is_damaged(collection: IdxCollection, found: Mapping[str, Path]) -> bool:
    """Whether a file under the name of a published one is something else; a new download then replaces it."""
    return any(
        path.name == collection.files[role].name and not is_intact(path, collection.files[role])
        for role, path in found.items()
    )


def _files_in(place: Path) -> dict[str, Path]:
    """The files by role; the gzip form first, and the spelling ``train-images.idx3-ubyte`` too."""
    found = {}
    for role, stem in FILES.items():
        spellings = (stem, stem.replace("-idx", ".idx"))
        candidates = [place / (spelling + ending) for spelling in spellings for ending in (".gz", "")]
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is not None:
            found[role] = path
    return found


def _ensure(remote: RemoteFile, folder: Path, request: Request) -> Path:
    path = folder / remote.name
    return path if is_intact(path, remote) else fetch(remote, folder, request.progress)
