"""A finished or stored training run: what `fit` returns and `load_run` reads back from its folder."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pellucid import models
from pellucid.errors import CheckpointError, ResourceError, UsageError
from pellucid.formats.safetensors import difference_report, shapes
from pellucid.train import checkpoint
from pellucid.train.settings import counted
from pellucid.train.state import Row, TrainingState


@dataclass(frozen=True)
class Run:
    """A training run.

    `history` has one row per finished epoch, with the columns of metrics.csv; `best` is the row of the best
    epoch (by validation accuracy, then loss), None before the first epoch ended. `model` is the network:
    after `fit` with its last weights, after `load_run` with those asked for. `data` and `config` are
    data.json and config.toml. `stopped` says why the training ended: "epochs", "patience", or None if it
    did not end yet.
    """

    model: Any
    history: list[Row]
    best: Row | None
    folder: Path | None = None
    stopped: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        where = f" in {self.folder}" if self.folder is not None else ""
        if self.best is None:
            return f"Run{where}: no epoch finished"
        split = "train" if self.best["validation_accuracy"] is None else "validation"
        return (
            f"Run{where}: {counted(len(self.history), 'epoch')}, best after epoch {self.best['epoch']}"
            f" ({split} accuracy {self.best[f'{split}_accuracy']:.2%})"
        )


def load_run(folder: str | Path, which: Literal["best", "last"] = "best", model: Any = None) -> Run:
    """Read a run back: its network with the best or last weights, history, data and configuration.

    A network that is not in the registry of models must be given as `model`; it receives the weights.
    Raises UsageError when there is no run, CheckpointError when it is damaged or belongs to another network.
    """
    path = Path(folder)
    if which not in ("best", "last"):
        raise UsageError(f'which must be "best" or "last", but is {which!r}.')
    place = path / "ckpt" / which
    if not (path / "ckpt").is_dir():
        reason = "it has no folder ckpt" if path.exists() else "it does not exist"
        raise UsageError(f"{path} holds no run: {reason}. Give the folder that training wrote to.")
    if not checkpoint.exists(place):
        reason = "no epoch has been finished yet" if which == "best" else "it was never saved"
        raise CheckpointError(f"{path} has no checkpoint {which!r}: {reason}.")
    stored = checkpoint.load(place)
    model = _built(stored.spec, path) if model is None else model
    difference = difference_report(shapes({**model.parameters, **model.states}), shapes(stored.weights))
    if difference:
        raise CheckpointError(f"{place} holds the weights of another network: {difference}.")
    model.load(stored.weights)
    position = stored.position if which == "last" else _newest_position(path, stored)
    return Run(
        model,
        position.history,
        position.best,
        path,
        position.finished,
        _read_table(path / "data.json", json.loads, "Restore it from a copy."),
        _read_table(path / "config.toml", tomllib.loads, "Correct it, or restore it from a copy."),
    )


def _newest_position(path: Path, best: checkpoint.Checkpoint) -> TrainingState:
    """Return how far the run has come since its best epoch; a damaged `last` must not hide `best`."""
    try:
        return checkpoint.load_position(path / "ckpt" / "last")
    except CheckpointError:
        return best.position


def _built(spec: dict[str, Any] | None, path: Path) -> Any:
    if spec is None:
        raise UsageError(
            f"{path} was trained with a network built in Python, which only Python can build again:"
            " call load_run(folder, model=...) with an equal one."
        )
    try:
        name, options = spec["model"], spec.get("options", {})
        return models.create(name, **options)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} names a network that cannot be built: {spec} ({error}).") from error


def _read_table(path: Path, parse: Callable[[str], Any], remedy: str) -> dict[str, Any]:
    try:
        table = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. Restore it from a copy.") from None
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. {remedy}") from error
    if not isinstance(table, dict):
        raise CheckpointError(f"{path} is damaged: it is not a table.")
    return table
