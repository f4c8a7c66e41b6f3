"""The models by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pellucid.errors import UsageError
from pellucid.models.graph import Graph


@dataclass(frozen=True)
class Entry:
    """A registered model: how to make it, where it comes from, how it is trained unless one says otherwise."""

    name: str
    make: Callable[..., Graph]
    input_shape: tuple[int, ...]
    source: str
    training: dict[str, Any] = field(default_factory=dict)


def _entries() -> dict[str, Entry]:
    from pellucid.models import alexnet, googlenet, lenet, notes, pilotnet, resnet, textcnn, vgg

    modules = (notes, lenet, alexnet, vgg, googlenet, resnet, textcnn, pilotnet)
    return {entry.name: entry for module in modules for entry in module.ENTRIES}


def names() -> tuple[str, ...]:
    """The names that `create` accepts."""
    return tuple(_entries())


def entry(name: str) -> Entry:
    """The registered model of that name; UsageError, with the nearest names, if there is none."""
    found = _entries()
    if name not in found:
        near = get_close_matches(name, found, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"unknown model {name!r}.{hint} The models are {', '.join(found)}")
    return found[name]


def source(name: str) -> str:
    """The paper or the notes that a model comes from."""
    return entry(name).source


def options(name: str) -> dict[str, Any]:
    """The options a model takes, with their defaults."""
    return {p.name: p.default for p in inspect.signature(entry(name).make).parameters.values()}


def create(name: str, **arguments: Any) -> Graph:
    """A model by name, with its options; uninitialised until `init` or first use.

    `classes` and `in_channels` are options of every image classifier; `options(name)` lists a model's own.
    Raises UsageError for an unknown model or option.
    """
    chosen = entry(name)
    known = options(name)
    unknown = [key for key in arguments if key not in known]
    if unknown:
        raise UsageError(f"{name} has no option {unknown[0]!r}; it takes {', '.join(known) or 'none'}")
    model = chosen.make(**arguments)
    model.spec = {"model": name, "options": {**known, **arguments}}
    return model


def defaults(name: str) -> dict[str, Any]:
    """How a model is trained unless one says otherwise: epochs, batch_size, optimizer, lr, momentum, schedule, ..."""
    general = {"epochs": 10, "batch_size": 64, "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "cosine"}
    return {**general, **entry(name).training}
