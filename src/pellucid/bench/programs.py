"""The programs that are shown and measured: those of a model or of a single layer, for inference or for training."""

from __future__ import annotations

import numpy as np

from pellucid import losses, optim
from pellucid.execution import name_parameters
from pellucid.layers.base import Layer
from pellucid.models.graph import Graph
from pellucid.notation import Affine, Equation, Program, Tensor
from pellucid.notation.counting import multiply_adds
from pellucid.notation.derive import derive
from pellucid.notation.expression import accesses
from pellucid.notation.index import box
from pellucid.training import step_program

LEARNING_RATE = 0.01
MOMENTUM = 0.9


def optimizer() -> optim.Optimizer:
    """The optimiser of every measured training step."""
    return optim.SGD(LEARNING_RATE, momentum=MOMENTUM)


def inference(layer: Layer, shape: tuple[int, ...]) -> Program:
    """The output for a batch of this shape; ShapeError when it does not fit."""
    name_parameters(layer)
    x = Tensor("X", shape, role="input", name="input")
    return Program.of([layer.build((x,), "", None)])


def training(layer: Layer, shape: tuple[int, ...]) -> Program:
    """A model's training step; of a single layer, the output and all gradients for an incoming gradient."""
    if not isinstance(layer, Graph):
        return _with_gradients(layer, shape)
    name_parameters(layer)
    labels = np.zeros(shape[0], np.int64)
    return step_program(layer, shape, losses.get("cross_entropy"), labels, optimizer()).program


def _with_gradients(layer: Layer, shape: tuple[int, ...]) -> Program:
    name_parameters(layer)
    x = Tensor("X", shape, role="input", name="input")
    y = layer.build((x,), "", None)
    incoming = Tensor("dY", y.extents, role="input", name="incoming gradient")
    parameters = [t for t in layer.tensors().values() if t.role == "parameter"]
    return Program.of([y, *derive({y: incoming}, [x, *parameters]).values()])


def gradient(layer: Layer, shape: tuple[int, ...], by: str) -> Program:
    """One gradient of a layer alone: by its "input", or by one of its parameters."""
    name_parameters(layer)
    x = Tensor("X", shape, role="input", name="input")
    y = layer.build((x,), "", None)
    incoming = Tensor("dY", y.extents, role="input", name="incoming gradient")
    wanted = x if by == "input" else layer.tensors()[by]
    return Program.of([derive({y: incoming}, [wanted])[wanted]])


def needed_products(equation: Equation) -> int:
    """The multiply-adds of an equation's sum of products without those that read outside a tensor, where it is 0.

    This is what has to be computed; an engine may compute the products with padding, too.
    """
    total = multiply_adds(equation)
    beyond = {
        (affine, extent)
        for access in accesses(equation.value)
        for affine, extent in zip(access.at, access.tensor.extents, strict=True)
        if affine.bounds[0] < 0 or affine.bounds[1] >= extent
    }
    for affine, extent in beyond:
        total = total // box(affine.indices) * _inside(affine, extent)
    return total


def _inside(affine: Affine, extent: int) -> int:
    """For how many values of its indices an address lies inside."""
    places = np.array([affine.constant])
    for index, coefficient in affine.terms:
        places = (places[:, None] + coefficient * np.arange(index.size)).ravel()
    return int(((places >= 0) & (places < extent)).sum())
