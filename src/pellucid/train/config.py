"""config.toml: what a run was asked to do, in the tables and keys that `pellucid train -c` reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tomli_w

from pellucid import losses, optim
from pellucid.errors import ConfigError
from pellucid.train import schedules
from pellucid.train.settings import describe_object, without_none

_TRAINING = ("epochs", "batch_size", "augment", "ema_decay", "teachers", "teacher_mirror", "seed", "patience")


def configuration_of(
    model: Any,
    splits: Any,
    optimizer: optim.Optimizer,
    loss: losses.Loss,
    schedule: str | schedules.Schedule,
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the tables for a call of `fit`; `values` are its remaining settings.

    What a configuration cannot say (a network or an optimiser of one's own, unusual constants) is written
    down all the same, under keys that `pellucid train` refuses: better than repeating something else.
    """
    every = values["checkpoint_every"]
    tables = {
        "data": _data(model, splits),
        "model": _model(model),
        "optimizer": _optimizer(optimizer),
        "training": {
            **{key: values[key] for key in _TRAINING},
            "loss": _loss(loss),
            "label_smoothing": getattr(loss, "label_smoothing", None) or None,
            "schedule": schedule if isinstance(schedule, str) else schedules.describe(schedule),
            "checkpoint_every": None if every is None else str(every),
        },
        "run": {
            "engine": values["engine"],
            "threads": values["threads"],
            "dtype": None if values["dtype"] == "float32" else values["dtype"],
        },
    }
    return {name: {key: _plain(value) for key, value in table.items()} for name, table in without_none(tables).items()}


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it will be written. Raises ConfigError for what TOML cannot hold."""
    try:
        plain = without_none(config)
        tomli_w.dumps(plain)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"config must be tables of texts, numbers and lists, as TOML has them: {error}.") from error
    return plain


def _data(model: Any, splits: Any) -> dict[str, Any]:
    """Return what `load` was called with; of data in memory only their name."""
    described = splits.to_json()
    arguments = described.get("arguments", {})
    table = {key: arguments.get(key) for key in ("root", "validation", "seed", "bad_files")}
    native = list((getattr(model, "input_shape", None) or ())[1:])
    if arguments.get("size") not in (None, native):  # the command line converts images to the model's own size
        table["size"] = arguments["size"]
    return {"name": arguments.get("name_or_folder") or described.get("name"), **table}


def _model(model: Any) -> dict[str, Any]:
    spec = getattr(model, "spec", None)
    if spec is None:
        return {"name": type(model).__name__}
    return {"name": spec["model"], "options": dict(spec.get("options", {}))}


def _optimizer(optimizer: optim.Optimizer) -> dict[str, Any]:
    """Return its name and settings, without constants (Adam's betas) that have their usual values."""
    values = describe_object(optimizer)
    usual = optim.get(optimizer.name) if optimizer.name in optim.names() else None
    if type(usual) is not type(optimizer):
        return values
    constants = describe_object(usual)
    named = ("lr", "momentum", "nesterov", "weight_decay")
    chosen = {key: value for key, value in values.items() if key in named or value != constants.get(key)}
    return {**chosen, "name": optimizer.name}


def _loss(loss: losses.Loss) -> str | dict[str, Any]:
    """Return the loss's name, or a table when its name and its label smoothing alone would not make it."""
    values = describe_object(loss)
    smoothing = values.pop("label_smoothing", 0.0)
    known = loss.name in losses.names() and type(losses.get(loss.name)) is type(loss)
    if known and describe_object(loss) == describe_object(losses.get(loss.name, label_smoothing=smoothing)):
        return loss.name
    return {**values, "name": loss.name if known else values["name"]}


def _plain(value: Any) -> Any:
    """Return a value in TOML's types, a text for what it does not have."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str) else repr(value)
