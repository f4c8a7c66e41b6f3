"""From a source to splits: conversion, the cuts that are missing, and the normalisation of what is left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pellucid.data.dataset import Dataset
from pellucid.data.images import convert_channels, resize_images
from pellucid.data.normalisation import Normalisation
from pellucid.data.partition import Indices, stratified_cut
from pellucid.data.source import SPLITS, Images, Part, Request, Source
from pellucid.data.splits import Splits
from pellucid.errors import DataError

TEST_FRACTION = 0.2
TEST_KEY = 1
VALIDATION_KEY = 2


def assemble(source: Source, request: Request, validation: float, seed: int, arguments: Mapping[str, object]) -> Splits:
    """Cut what the source does not bring, convert and normalise.

    The test cut does not depend on ``seed``: whichever run is looked at, the same images were never trained
    on.
    """
    parts, origins = _with_test(source)
    parts, origins = _with_validation(parts, origins, validation, seed)
    converted = {name: _converted(images, request) for name, (images, _) in parts.items()}
    shapes = {name: images.shape[1:] for name, images in converted.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{source.name}: the splits' images differ in shape: {shapes}. Give a size, or convert them.")
    normalisation = Normalisation.measured_on(converted["train"])
    datasets = {
        name: Dataset(converted[name], labels, source.classes, normalisation) for name, (_, labels) in parts.items()
    }
    return Splits(
        name=source.name,
        train=datasets["train"],
        validation=datasets.get("validation"),
        test=datasets.get("test"),
        arguments=arguments,
        origins={name: origins.get(name, "none was given") for name in SPLITS},
        fingerprint={name: part.fingerprint for name, part in source.parts.items()},
        place=source.place,
        notes=(*_resizing(source, converted["train"]), *source.notes),
        dropped=source.dropped,
    )


_Pair = tuple[Images, npt.NDArray[np.int64]]


def _with_test(source: Source) -> tuple[dict[str, _Pair], dict[str, str]]:
    """The parts with a test split cut off, when the source is one whole."""
    whole = source.parts.get("all")
    if whole is None:
        pairs = {name: (part.images, part.labels) for name, part in source.parts.items()}
        return pairs, {name: part.origin for name, part in source.parts.items()}
    kept, cut = stratified_cut(whole.labels, TEST_FRACTION, (TEST_KEY,))
    origins = {"train": f"the rest of {whole.origin}", "test": "none: the classes have too few images"}
    pairs = {"train": _taken(whole, kept)}
    if len(cut):
        pairs["test"] = _taken(whole, cut)
        origins["test"] = f"{TEST_FRACTION:.0%} of {whole.origin}, stratified, the same for every seed"
    return pairs, origins


def _taken(part: Part, indices: Indices) -> _Pair:
    return part.images[indices], part.labels[indices]


def _with_validation(
    pairs: dict[str, _Pair], origins: dict[str, str], fraction: float, seed: int
) -> tuple[dict[str, _Pair], dict[str, str]]:
    """The parts with a validation split cut from the training images, when there is none."""
    if "validation" in pairs:
        return pairs, origins
    if fraction == 0:
        return pairs, {**origins, "validation": "none was asked for"}
    images, labels = pairs["train"]
    kept, cut = stratified_cut(labels, fraction, (VALIDATION_KEY, seed))
    if not len(cut):
        return pairs, {**origins, "validation": "none: the classes have too few images"}
    origin = f"{100 * fraction:g}% of the training images, cut off stratified with seed {seed}"
    pairs = {**pairs, "train": (images[kept], labels[kept]), "validation": (images[cut], labels[cut])}
    return pairs, {
        **origins,
        "train": f"{origins['train']}, without those for validation",
        "validation": origin,
    }


def _converted(images: Images, request: Request) -> Images:
    """Bytes in the size and with the channels asked for; floats are the caller's own and stay as they are."""
    if images.dtype != np.uint8:
        return images
    return resize_images(convert_channels(images, request.channels), request.size)  # type: ignore[arg-type]


def _resizing(source: Source, images: Images) -> tuple[str, ...]:
    before = next(iter(source.parts.values())).images.shape[1:]
    if before == images.shape[1:]:
        return ()
    shapes = ("x".join(map(str, shape)) for shape in (before, images.shape[1:]))
    return ("images converted from {} to {} (bilinear)".format(*shapes),)
