"""A hand-worked solution: a network or a single layer, its numbers, and what somebody states about them; from TOML.

The format is described in docs/teaching.md. Numbers keep the digits they are written with: 0.10 is not 0.1.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid import layers, losses, models, optim
from pellucid.errors import DataError, UsageError
from pellucid.layers.base import Layer
from pellucid.lessons.printed import read
from pellucid.losses import Loss

Array = NDArray[np.float64]

_KEYS = frozenset(["title", "input", "inputs", "layer", "loss", "output_gradient", "update", "stated"])


@dataclass(frozen=True)
class Solution:
    """What is given, and what is stated: by the name of a tensor or of one element, texts as they are written.

    `x` is the batch of inputs; `single` says that it is one example, whose coordinates leave out the batch.
    """

    title: str
    model: models.Graph
    x: Array
    single: bool
    parameters: Mapping[str, Array]
    loss: Loss | None = None
    target: Any = None
    output_gradient: Any = None
    optimizer: optim.Optimizer | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)


def load(file: Path) -> Solution:
    """Read a solution; DataError, naming the file and what is wrong with it, when it is not one."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=str)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{file.name}: must be a readable TOML file in UTF-8: {error}") from error
    try:
        return parse(content)
    except (UsageError, DataError, TypeError) as error:
        raise DataError(f"{file.name}: {error}") from error


def parse(content: Mapping[str, Any]) -> Solution:
    """A solution from the content of its file; DataError or UsageError when something does not fit."""
    unknown = sorted(content.keys() - _KEYS)
    if unknown:
        raise DataError(f'unknown key "{unknown[0]}"; known are {", ".join(sorted(_KEYS))}')
    if ("input" in content) == ("inputs" in content):
        raise DataError('needs either "input", one example, or "inputs", a list of examples')
    if not content.get("stated"):
        raise DataError('needs a table [stated] with the numbers to check, such as "conv1[0,0,1]" = 0.23')
    if "loss" in content and "output_gradient" in content:
        raise DataError('has both a [loss] and an "output_gradient"; the gradient that comes in is one or the other')
    single = "input" in content
    model, parameters = _model(content.get("layer", []))
    loss = dict(content.get("loss", {}))
    target = loss.pop("target", None)
    if loss and target is None:
        raise DataError('[loss] needs a "target": the number of the right class, or the wanted outputs')
    return Solution(
        title=str(content.get("title", "")),
        model=model,
        x=_inputs(content, single, model),
        single=single,
        parameters=parameters,
        loss=_loss(loss) if loss else None,
        target=target,
        output_gradient=content.get("output_gradient"),
        optimizer=_optimizer(content["update"]) if "update" in content else None,
        stated=content["stated"],
    )


def array(value: Any, where: str) -> Array:
    """Nested lists of numbers as an array; numbers may be texts such as "1/4"."""
    texts: NDArray[np.object_] = np.array(value, dtype=object)
    try:
        flat = [read(str(text)).value for text in texts.ravel()]
    except DataError as error:
        raise DataError(f"{where}: must hold numbers in equally long rows. {error}") from error
    return np.array(flat, dtype=np.float64).reshape(texts.shape)


def shaped(values: Array, shape: tuple[int, ...], where: str) -> Array:
    """The array in the wanted shape, of which leading ones may have been left out; DataError otherwise."""
    missing = len(shape) - values.ndim
    if missing < 0 or (1,) * missing + values.shape != shape:
        raise DataError(f"{where} has the shape {_by(values.shape)}, must have {_by(shape)}")
    return values.reshape(shape)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _inputs(content: Mapping[str, Any], single: bool, model: models.Graph) -> Array:
    key = "input" if single else "inputs"
    x = array(content[key], f'"{key}"')
    if single:
        x = x[None]
    first = next(iter(model.nodes.values())).layer
    of_images = isinstance(first, layers.Conv2d | layers.MaxPool2d | layers.AvgPool2d | layers.GlobalAvgPool2d)
    # A picture of one channel may be written without it.
    return x[:, None] if of_images and x.ndim == 3 else x


def _model(tables: Any) -> tuple[models.Graph, dict[str, Array]]:
    if not isinstance(tables, list) or not tables:
        raise DataError("needs at least one [[layer]]")
    model = models.Sequential([])
    parameters: dict[str, Array] = {}
    for table in tables:
        layer, values, name, inputs = _layer(dict(table))
        name = model.add(name or model.free_name(layer), layer, *inputs)
        for key, value in values.items():
            parameters[f"{name}.{key}"] = shaped(value, layer.tensors()[key].extents, f"{name}.{key}")
    missing = [name for name in model.parameters if name not in parameters]
    if missing:
        raise DataError(f"{missing[0]} is not given: say what it holds")
    return model, parameters


def _layer(table: dict[str, Any]) -> tuple[Layer, dict[str, Array], str | None, tuple[str, ...]]:
    kind = table.pop("type", None)
    name, inputs = table.pop("name", None), tuple(table.pop("inputs", ()))
    if kind not in layers.by_name():
        raise DataError(f"[[layer]] has the type {kind!r}; known are {', '.join(layers.by_name())}")
    known = inspect.signature(layers.by_name()[kind]).parameters
    # "bias" is both: true and false say whether there is one, numbers what it holds.
    own = [key for key, value in table.items() if key not in known or (key == "bias" and not isinstance(value, bool))]
    values = {key: np.atleast_1d(array(table.pop(key), f"{name or kind}.{key}")) for key in own}
    arguments = {key: _argument(value) for key, value in table.items()}
    layer = layers.by_name()[kind](**{**_from_weights(kind, values), **arguments})
    unknown = [key for key in values if key not in layer.tensors()]
    if unknown:
        raise DataError(f"{name or kind} has no argument and no parameter {unknown[0]!r}; it takes {', '.join(known)}")
    return layer, values, name, inputs


def _argument(value: Any) -> Any:
    """A constructor's argument: lists are pairs, and decimal numbers come as texts."""
    if isinstance(value, list):
        return tuple(_argument(one) for one in value)
    if isinstance(value, str) and re.fullmatch(r"-?\d+\.\d+([eE]-?\d+)?", value):
        return float(value)
    return value


def _from_weights(kind: str, values: Mapping[str, Array]) -> dict[str, Any]:
    """The arguments of a convolution or dense layer that its weights tell."""
    if "weight" not in values or kind not in ("conv2d", "linear"):
        return {}
    rank = 4 if kind == "conv2d" else 2
    weight = values["weight"]
    shape = (1,) * (rank - weight.ndim) + weight.shape
    if kind == "linear":
        return {"in_features": shape[1], "out_features": shape[0], "bias": "bias" in values}
    return {"in_channels": shape[1], "out_channels": shape[0], "kernel_size": shape[2:], "bias": "bias" in values}


def _loss(table: dict[str, Any]) -> Loss:
    kind = table.pop("type", "cross_entropy")
    known = {one.name: one for one in (losses.CrossEntropy, losses.OutputCrossEntropy, losses.MeanSquaredError)}
    if kind not in known:
        raise DataError(f"[loss] has the type {kind!r}; known are {', '.join(known)}")
    return known[kind](**{key: _argument(value) for key, value in table.items()})


def _optimizer(table: Mapping[str, Any]) -> optim.Optimizer:
    settings = {key: float(value) for key, value in table.items()}
    if set(settings) != {"lr"}:
        raise DataError("[update] takes one number, lr: the learning rate of plain gradient descent")
    return optim.SGD(lr=settings["lr"])
