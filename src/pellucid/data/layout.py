"""What a tree of folders means: which splits it has, which classes, and which files belong to them.

Two layouts are understood: ``train/CLASS/*`` with optional ``val|valid|validation/CLASS/*`` and
``test/CLASS/*``, and plain ``CLASS/*``, which is split later. Folders inside a class folder belong to the
class.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pellucid.data.listing import ListedFile, Listing
from pellucid.data.places import shown
from pellucid.errors import DataError

ROLES = MappingProxyType({
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
})  # fmt: skip
EXPECTED = (
    "Expected train/CLASS/*.png with optional val|valid|validation/ and test/ beside train/, "
    "or plain CLASS/*.png with a folder per class."
)


@dataclass(frozen=True)
class Layout:
    """The class names, and for each split its files with their class numbers and where it comes from."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[tuple[ListedFile, int], ...]]
    origins: Mapping[str, str]
    notes: tuple[str, ...]


def arrange(listing: Listing, root: str) -> Layout:
    """Find splits and classes in a listing; raises DataError, naming ``root``, for any other layout."""
    split_folders = _split_folders(listing, root)
    if "train" in split_folders:
        bases: dict[str, tuple[str, ...]] = {split: (folder,) for split, folder in split_folders.items()}
    elif split_folders:
        there = ", ".join(f"{folder}/" for folder in split_folders.values())
        raise DataError(f"{root}: has {there} but no train/. {EXPECTED}")
    else:
        bases = {"all": ()}
    classes = _classes(listing, bases["train" if "train" in bases else "all"], root)
    splits = {split: _files_of(listing, base, classes, root) for split, base in bases.items()}
    _check_counts(splits, classes, root)
    origins = {split: f"the folder {base[0]}/" if base else "the class folders" for split, base in bases.items()}
    names = tuple(sorted(set(classes.values()), key=lambda name: name.encode()))
    return Layout(names, splits, origins, tuple(_notes(listing, bases, splits)))


def _split_folders(listing: Listing, root: str) -> dict[str, str]:
    """The folder of each split that has one."""
    found: dict[str, str] = {}
    for (name,) in sorted(parts for parts in listing.folders if len(parts) == 1):
        split = ROLES.get(name.lower())
        if split is None:
            continue
        if split in found:
            raise DataError(f"{root}: both {found[split]}/ and {name}/ mean {split}; keep one of them.")
        found[split] = name
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _classes(listing: Listing, base: tuple[str, ...], root: str) -> Mapping[str, str]:
    """Folder name -> class name for every class folder below ``base``."""
    folders = [parts[-1] for parts in listing.folders if parts[:-1] == base and len(parts) == len(base) + 1]
    where = "/".join((root, *map(shown, base)))
    if not folders:
        hint = f" {len(listing.files)} image(s) lie there without class folders." if listing.files else ""
        raise DataError(f"{where}: there are no class folders.{hint} {EXPECTED}")
    classes: dict[str, str] = {}
    for folder in sorted(folders, key=os.fsencode):
        name = _class_name(folder)
        if name in classes.values():
            raise DataError(f"{where}: two class folders are both {name!r} in Unicode; rename one of them.")
        classes[folder] = name
    if len(classes) == 1:
        inner = {parts[1].lower() for parts in listing.folders if len(parts) == 2}
        hint = f" Did you mean {where}/{folders[0]}?" if not base and "train" in inner else ""
        raise DataError(f"{where}: classification needs at least two classes, but there is only {name!r}.{hint}")
    return classes


def _class_name(folder: str) -> str:
    """A name that can be printed and that means the same on every file system (Unicode NFC)."""
    return unicodedata.normalize("NFC", shown(folder))


def _files_of(
    listing: Listing, base: tuple[str, ...], classes: Mapping[str, str], root: str
) -> tuple[tuple[ListedFile, int], ...]:
    """The files of one split with their class numbers; unknown class folders are an error."""
    numbers = {name: number for number, name in enumerate(sorted(classes.values(), key=lambda name: name.encode()))}
    below = [parts for parts in listing.folders if parts[:-1] == base and len(parts) == len(base) + 1]
    unknown = sorted(_class_name(parts[-1]) for parts in below if _class_name(parts[-1]) not in numbers)
    if unknown:
        raise DataError(f"{root}/{'/'.join(base)}: {', '.join(unknown)} is no class of train/ ({', '.join(numbers)}).")
    return tuple(
        (file, numbers[_class_name(file.parts[len(base)])])
        for file in listing.files
        if file.parts[: len(base)] == base and len(file.parts) > len(base) + 1
    )


def _check_counts(
    splits: Mapping[str, tuple[tuple[ListedFile, int], ...]], classes: Mapping[str, str], root: str
) -> None:
    names = sorted(classes.values(), key=lambda name: name.encode())
    main = "train" if "train" in splits else "all"
    present = {number for _, number in splits[main]}
    empty = [name for number, name in enumerate(names) if number not in present]
    if len(empty) == len(names):
        raise DataError(f"{root}: there are no images in the class folders of {main!r}. {EXPECTED}")
    if empty:
        raise DataError(f"{root}: no images for the class(es) {', '.join(empty)}. Add some, or remove the folder(s).")
    for split, files in splits.items():
        if not files:
            raise DataError(f"{root}: the folder for {split} holds no images. Fill it or remove it.")


def _notes(
    listing: Listing,
    bases: Mapping[str, tuple[str, ...]],
    splits: Mapping[str, tuple[tuple[ListedFile, int], ...]],
) -> list[str]:
    """What was seen and not used."""
    notes = []
    if listing.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(listing.ignored.items()))
        notes.append(f"ignored {listing.ignored.total()} file(s) that are not images: {kinds}")
    if "all" not in bases:
        used = {base[0] for base in bases.values()}
        others = sorted(shown(parts[0]) for parts in listing.folders if len(parts) == 1 and parts[0] not in used)
        if others:
            notes.append(f"ignored the folder(s) beside train/: {', '.join(others)}")
    used_files = sum(map(len, splits.values()))
    strays = sum(1 for file in listing.files if len(file.parts) == 1 or file.parts[:-1] in bases.values())
    if strays:
        notes.append(f"ignored {strays} image(s) outside the class folders ({used_files} are inside)")
    return notes
