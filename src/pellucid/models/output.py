"""What the output of a model that classifies means: scores, probabilities, or their logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.layers.base import Layer
from pellucid.models.graph import Graph

Array = npt.NDArray[Any]

PROBABILITIES = ("Softmax", "LogSoftmax", "Sigmoid")
"""Kinds of layers whose outputs are probabilities or their logarithms; operators of ONNX have the same names."""


def kind_of_output(model: Layer) -> str:
    """The kind of the layer that gives a model's output, by its name."""
    if isinstance(model, Graph):
        return kind_of_output(model.nodes[model.output].layer)
    return type(model).__name__


def probabilities(model: Layer, output: Array) -> Array:
    """The classes' probabilities for each row (N, K) of a model's output: the output itself where it is that,
    otherwise the softmax of the scores.
    """
    kind = kind_of_output(model)
    if kind in PROBABILITIES:
        return np.exp(output) if kind == "LogSoftmax" else output
    scores = np.exp(output.astype(np.float64) - output.max(axis=1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))
