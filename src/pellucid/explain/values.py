"""All numbers behind one number: the program it depends on, run in float64 with every tensor kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import engines
from pellucid.errors import UsageError
from pellucid.execution import batch, floats, name_parameters, parameter_arrays, target_array
from pellucid.explain import locate
from pellucid.layers.base import Layer, Randomness, input_tensor
from pellucid.losses import Loss
from pellucid.models.graph import Graph
from pellucid.notation import Program, Tensor
from pellucid.notation.derive import derive, gradient_of
from pellucid.training import write_loss

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Values:
    """A program that was run: its equations, all tensors' values by name, and which tensors hold images."""

    program: Program
    arrays: dict[str, Array]
    of_images: frozenset[Tensor]


@dataclass(frozen=True)
class Question:
    """What is asked about: a model, a batch, a loss and its target if any, and how the layers behave."""

    model: Layer
    images: Array
    target: Array | None
    loss: Loss
    training: bool
    seed: int
    step: int


@dataclass(frozen=True)
class _Forward:
    """The forward equations of a question."""

    image: Tensor
    output: Tensor
    target: Tensor | None
    loss: Tensor | None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return Program.of([self.output, *([self.loss] if self.loss else [])]).tensors


def evaluate(question: Question, name: str) -> tuple[Tensor, Values]:
    """Run what the named tensor depends on; UsageError, with the nearest name, if there is no such tensor."""
    name_parameters(question.model)
    images = batch(question.images, floats("float64"), question.model.vocabulary)
    forward = _write(question, images)
    tensor = _find(question, forward, name)
    program = Program.of([tensor])
    every = Program(program.equations, program.tensors)
    arrays = {**parameter_arrays(question.model, floats("float64")), "input": images}
    arrays |= {"random.seed": np.array(question.seed), "random.step": np.array(question.step)}
    if forward.target is not None and question.target is not None:
        arrays["target"] = target_array(forward.target, question.target, floats("float64"))
    executable = engines.get("numpy").compile(every, dtype="float64")
    try:
        values = executable.run(arrays)
    finally:
        executable.close()
    inputs = [forward.image, *([forward.target] if forward.target else [])]
    return tensor, Values(program, values, frozenset(locate.of_images(program, inputs)))


def _write(question: Question, images: Array) -> _Forward:
    image = input_tensor(question.model, images.shape)
    random = Randomness() if question.training else None
    if question.target is None:
        return _Forward(image, question.model.build((image,), "", random), None, None)
    output, target, loss = write_loss(question.model, image, random, question.loss, question.target)
    return _Forward(image, output, target, loss)


def _find(question: Question, forward: _Forward, name: str) -> Tensor:
    """The tensor of that name: a forward one, else a gradient, else something that only a gradient needs."""
    named = {t.name: t for t in forward.tensors}
    if name in named:
        return named[name]
    if forward.loss is None:
        if name.startswith(("d ", "loss")):
            raise UsageError(f'"{name}" needs the loss: say the target, as in explain(..., target=7)')
        raise locate.unknown(name, [*named, "loss", *_gradient_names(named.values())])
    # The layers' own gradients in the form a textbook prints; those in between only where they are asked for.
    layers = set(layer_paths(question.model)) | {forward.output.name, forward.image.name}
    wanted = [t for t in named.values() if t.differentiable and (t.role == "parameter" or t.name in layers)]
    for keep_all, wrt in ((False, wanted), (True, [t for t in named.values() if t.differentiable])):
        gradients = derive({forward.loss: None}, wrt, keep_all=keep_all)
        derived = {t.name: t for t in Program.of([forward.loss, *gradients.values()]).tensors}
        if name in derived:
            return derived[name]
    raise locate.unknown(name, [*named, *_gradient_names(named.values())])


def _gradient_names(tensors: Iterable[Tensor]) -> list[str]:
    return [gradient_of(t).name for t in tensors if t.differentiable and not t.name.startswith("loss")]


def layer_paths(model: Layer, prefix: str = "") -> Iterator[str]:
    """The paths of a model's layers, which are the names of their outputs."""
    if isinstance(model, Graph):
        for name, node in model.nodes.items():
            yield f"{prefix}{name}"
            yield from layer_paths(node.layer, f"{prefix}{name}.")
