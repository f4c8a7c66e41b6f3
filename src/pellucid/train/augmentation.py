"""Random changes to training images by name: "flip,crop" or, with their numbers, "flip:0.5,crop:4"."""

import dataclasses
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from pellucid.data import RandomCrop, RandomErasing, RandomHorizontalFlip, Transform
from pellucid.errors import ConfigError
from pellucid.train.settings import describe_object

# name: the transform in its usual form, and the field that a number after the name sets
_NAMED: MappingProxyType[str, tuple[Any, str]] = MappingProxyType({
    "flip": (RandomHorizontalFlip(), "probability"),
    "crop": (RandomCrop(), "padding"),
    "crop-reflect": (RandomCrop(padding_mode="reflect"), "padding"),
    "erase": (RandomErasing(), "probability"),
})  # fmt: skip

NAMES = tuple(_NAMED)


def get(augment: str | Sequence[Transform] | None) -> tuple[Transform, ...]:
    """Make the transforms that a text names, in its order; transforms of one's own are taken as they are.

    "flip": mirrored with probability 0.5, "flip:P" with P. "crop": shifted by up to 4 pixels each way, black
    moving in, "crop:N" by up to N; "crop-reflect" likewise, its mirror image moving in. "erase": a rectangle painted
    over with probability 0.5, "erase:P" with P. Nothing, or "none": no changes. Raises ConfigError for anything else.
    """
    if augment is None or augment == "none":
        return ()
    if isinstance(augment, str):
        return tuple(_named(word.strip()) for word in augment.split(","))
    transforms = tuple(augment)
    for transform in transforms:
        if not callable(transform):
            raise ConfigError(f'augment must be names ("flip,crop") or transforms, but holds {transform!r}.')
    return transforms


def describe(transforms: Sequence[Transform]) -> str | None:
    """Return transforms as `get` reads them; those of one's own as name and numbers. None when there are none."""
    return ",".join(map(_spelled, transforms)) or None


def _named(word: str) -> Transform:
    name, colon, number = word.partition(":")
    if name not in _NAMED:
        raise ConfigError(
            f"There is no augmentation {name!r}; there are {', '.join(NAMES)}. Separate several by commas: flip,crop."
        )
    usual, field = _NAMED[name]
    try:
        transform: Transform = _with(usual, field, type(getattr(usual, field))(number)) if colon else usual
    except ValueError as error:
        raise ConfigError(f"augmentation {word!r}: {number!r} is not the number that {name} takes.") from error
    return transform


def _spelled(transform: Any) -> str:
    for name, (usual, field) in _NAMED.items():
        if type(transform) is type(usual) and transform == _with(usual, field, getattr(transform, field)):
            return f"{name}:{getattr(transform, field):g}"
    values = describe_object(transform)
    return f"{values.pop('name')}({', '.join(f'{name}={value}' for name, value in values.items())})"


def _with(transform: Any, field: str, value: float) -> Any:
    return dataclasses.replace(transform, **{field: value})
