"""From a name or a folder to splits that are ready for training; and back from what a run has stored."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from pellucid.data.assemble import assemble
from pellucid.data.cifar10 import load_cifar10
from pellucid.data.dataset import check_arrays
from pellucid.data.digits import load_digits
from pellucid.data.folder import load_tree
from pellucid.data.mnist import FASHION_MNIST, MNIST, load_collection
from pellucid.data.normalisation import Normalisation
from pellucid.data.options import as_channels, as_fraction, as_policy, as_size
from pellucid.data.partition import check_seed
from pellucid.data.progress import ProgressCallback
from pellucid.data.source import Images, Labels, Part, Request, Source, array_fingerprint
from pellucid.data.splits import FORMAT, Splits
from pellucid.errors import DataError, UsageError


class NamedDataset(NamedTuple):
    """A data set that is known by name, and one line about it."""

    name: str
    description: str


_DESCRIPTIONS = (
    NamedDataset("digits", "1,797 handwritten digits, 8x8 grey, 10 classes; part of the package (UCI, CC BY 4.0)"),
    NamedDataset("mnist", "70,000 handwritten digits, 28x28 grey, 10 classes; folder, cache or download (11.6 MB)"),
    NamedDataset(
        "fashion-mnist",
        "70,000 articles of clothing, 28x28 grey, 10 classes; folder, cache or download (30.9 MB)",
    ),
    NamedDataset("cifar10", "60,000 photographs, 32x32 colour, 10 classes; folder, cache or download (170 MB)"),
)

_LOADERS: Mapping[str, Callable[[Request], Source]] = MappingProxyType(
    {
        "digits": load_digits,
        "mnist": partial(load_collection, MNIST),
        "fashion-mnist": partial(load_collection, FASHION_MNIST),
        "cifar10": load_cifar10,
    }
)


def names() -> list[NamedDataset]:
    """The data sets ``load`` knows by name, each with one line about it."""
    return list(_DESCRIPTIONS)


def load(
    name_or_folder: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    validation: float = 0.1,
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    bad_files: str = "error",
    progress: ProgressCallback | None = None,
) -> Splits:
    """Load a named data set, or a folder or zip archive of class folders.

    ``root`` is where a named data set's files are (otherwise PELLUCID_DATA and the cache are searched);
    ``download`` allows the network; ``validation`` is the fraction cut from the training images, stratified
    and seeded, when the data bring no validation images; ``size`` (a side or (height, width)) and
    ``channels`` (1 or 3) convert the images. Raises DataError for missing or damaged data, UsageError for
    arguments that do not fit.
    """
    policy, fraction, key = as_policy(bad_files), as_fraction(validation), check_seed(seed)
    place = None if root is None else Path(os.path.abspath(root))
    request = Request(place, download, as_size(size), as_channels(channels), policy, progress)
    loader, identity = _find(name_or_folder, request)
    arguments: dict[str, object] = {
        "name_or_folder": identity,
        "root": None if place is None else str(place),
        "validation": fraction,
        "seed": key,
        "size": None if request.size is None else list(request.size),
        "channels": request.channels,
        "bad_files": policy,
    }
    return assemble(loader(request), request, fraction, key, arguments)


def _find(name_or_folder: str | os.PathLike[str], request: Request) -> tuple[Callable[[Request], Source], str]:
    """The loader and the name, or the absolute path, by which the data are found again."""
    if isinstance(name_or_folder, str) and name_or_folder in _LOADERS:
        return _LOADERS[name_or_folder], name_or_folder
    path = Path(os.path.abspath(name_or_folder))
    if path.exists():
        if request.root is not None:
            raise UsageError(f"root says where a named data set's files are; with the folder {path} leave it out.")
        return partial(load_tree, path), str(path)
    close = difflib.get_close_matches(str(name_or_folder), _LOADERS, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise DataError(
        f"{os.fspath(name_or_folder)!r} is neither a folder or zip archive nor a known data set "
        f"({', '.join(_LOADERS)}).{hint}"
    )


def from_arrays(
    train: tuple[Images, npt.ArrayLike],
    *,
    validation: float | tuple[Images, npt.ArrayLike] = 0.1,
    test: tuple[Images, npt.ArrayLike] | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    name: str = "arrays",
) -> Splits:
    """Splits from arrays in memory: pairs of images (N, C, H, W), uint8 or float32, and labels (N,).

    In place of images, sentences (N, L) of tokens, int64.

    ``validation`` is a pair, or the fraction to cut from the training images. Without ``classes`` they are
    named by number. Such splits cannot be restored from ``data.json``, which keeps no pixels.
    """
    pairs = {"train": train, "validation": validation, "test": test}
    parts: dict[str, Part] = {}
    for split, pair in pairs.items():
        if isinstance(pair, tuple):
            images = cast(Images, np.asarray(pair[0]))
            labels = _as_labels(pair[1], split)
            parts[split] = Part(images, labels, array_fingerprint(images, labels), "the arrays given")
    if classes is None:
        classes = [str(label) for label in range(int(parts["train"].labels.max(initial=0)) + 1)]
    for part in parts.values():
        check_arrays(part.images, part.labels, len(classes))
    fraction = 0.0 if isinstance(validation, tuple) else as_fraction(validation)
    source = Source(name, tuple(classes), parts, place="in memory")
    arguments: dict[str, object] = {"name_or_folder": None, "validation": fraction, "seed": check_seed(seed)}
    return assemble(source, Request(), fraction, seed, arguments)


def _as_labels(labels: npt.ArrayLike, split: str) -> Labels:
    array = np.asarray(labels)
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"the {split} labels must be whole numbers (class numbers), but are {array.dtype}.")
    return array.astype(np.int64)


def restore(
    document: Mapping[str, object],
    *,
    root: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
) -> Splits:
    """Load again what ``Splits.to_json`` described: the same contents, cut and normalised in the same way.

    ``root`` replaces a place that has moved: the folder of a named data set's files, or the data folder
    itself. Raises DataError when the document is not one, or when the contents are no longer the same.
    """
    arguments, stored = document.get("arguments"), document.get("normalisation")
    if document.get("format") != FORMAT or not isinstance(arguments, dict) or not isinstance(stored, dict):
        raise DataError(
            f"data.json is damaged, or from another version: it must have format {FORMAT}, arguments and normalisation."
        )
    chosen = dict(arguments)
    name_or_folder = chosen.pop("name_or_folder", None)
    if not isinstance(name_or_folder, str):
        raise DataError("the run was trained on arrays in memory, which data.json does not keep; pass them again.")
    if root is not None and name_or_folder in _LOADERS:
        chosen["root"] = os.fspath(root)
    elif root is not None:
        name_or_folder = os.fspath(root)
    known = {"root", "validation", "seed", "size", "channels", "bad_files"}
    if set(chosen) != known or not isinstance(chosen["root"], str | None):
        raise DataError(f"data.json is damaged: these are not the arguments of a data set: {chosen}.")
    try:
        splits = load(name_or_folder, progress=progress, **chosen)
    except UsageError as error:
        raise DataError(f"data.json is damaged: {error}") from error
    _check_fingerprint(splits, document.get("fingerprint"))
    return splits.with_normalisation(Normalisation.from_json(stored))


def _check_fingerprint(splits: Splits, stored: object) -> None:
    expected = stored if isinstance(stored, dict) else {}
    changed = sorted(
        name for name in {*expected, *splits.fingerprint} if expected.get(name) != splits.fingerprint.get(name)
    )
    if changed:
        raise DataError(
            f"the data in {splits.place} are no longer those of the run: the contents of "
            f"{', '.join(changed)} differ from the stored fingerprint. "
            "Bring the old files back, pass root for the folder that has them, or train anew."
        )
