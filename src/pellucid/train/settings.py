"""What determines a training's numbers, what may change when it is resumed, and how both are recorded."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import ConfigError, UsageError

DEFAULT_SECONDS = 300.0  # between two checkpoints within an epoch
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Interval:
    """How often to save within an epoch: every so many steps, every so many seconds, or neither."""

    steps: int | None = None
    seconds: float | None = None


def parse_interval(every: int | str | None) -> Interval:
    """Read `checkpoint_every`: a number of steps, a time such as "90s" or "10min", or None for five minutes.

    The end of an epoch is saved in any case. Raises ConfigError for anything else.
    """
    if every is None:
        return Interval(seconds=DEFAULT_SECONDS)
    if isinstance(every, int) and not isinstance(every, bool) and every >= 1:
        return Interval(steps=every)
    if isinstance(every, str):
        text = every.replace(" ", "")
        if re.fullmatch(r"[1-9][0-9]*", text):
            return Interval(steps=int(text))
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(s|min|h)", text)
        if found and float(found[1]) > 0:
            return Interval(seconds=float(found[1]) * _UNITS[found[2]])
    raise ConfigError(f'checkpoint_every must be a number of steps (500) or a time ("90s", "10min"), but is {every!r}.')


def describe_object(thing: object) -> dict[str, Any]:
    """Return an optimiser or a loss as a table: its name and its numbers."""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    else:
        fields = dict(vars(thing)) if hasattr(thing, "__dict__") else {}
    values = {name: _plain(value) for name, value in fields.items() if not name.startswith("_")}
    return {"name": type(thing).__name__, **{name: v for name, v in values.items() if v is not None}}


def fingerprint(splits: Any) -> str:
    """Return a SHA-256 that changes with the images' labels, the parts' sizes or the way they were made.

    It uses the data's own fingerprint where data.json has one.
    """
    described = {key: value for key, value in splits.to_json().items() if key in _DATA_KEYS}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    for part in (splits.train, splits.validation):
        if part is not None:
            digest.update(np.ascontiguousarray(part.labels).tobytes())
    return digest.hexdigest()


def weights_fingerprint(model: Any) -> str:
    """Return a SHA-256 of a network's parameters and states with their names."""
    digest = hashlib.sha256()
    for name, values in sorted({**model.parameters, **model.states}.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


_DATA_CHANGED = "the data or their split are not the same"
_DATA_KEYS = ("fingerprint", "normalisation", "image_shape", "classes")


def check_same(stored: Mapping[str, Any], current: Mapping[str, Any], where: object) -> None:
    """Refuse to continue a run as something else. Raises UsageError naming every difference."""
    before, now = flattened(stored), flattened(current)
    differences = [
        _DATA_CHANGED
        if name == "data_sha256"
        else f"{name} was {_short(before.get(name))}, now {_short(now.get(name))}"
        for name in sorted(set(before) | set(now))
        if before.get(name) != now.get(name)
    ]
    if differences:
        raise UsageError(
            f"{where} was started with other settings: {'; '.join(differences)}."
            " Resuming continues the same training: use the same settings, or start a run in another folder."
        )


def changes(stored: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return what differs among the settings that may change, one sentence part each."""
    before, now = flattened(stored), flattened(current)
    return [
        f"{name} {_short(before.get(name))} -> {_short(now.get(name))}"
        for name in sorted(set(before) | set(now))
        if before.get(name) != now.get(name)
    ]


def counted(number: int, noun: str) -> str:
    """Return "1 epoch" or "2 epochs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a table of tables as one table with names such as optimizer.momentum."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table without the keys whose value is None, for which TOML has no value."""
    return {
        key: without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }


def _plain(value: Any) -> Any:
    """Return a value that JSON and TOML can hold, None for what they cannot."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return None


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
