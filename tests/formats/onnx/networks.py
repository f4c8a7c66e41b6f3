"""A model for each way that a layer is written in ONNX: its options, and a joining of branches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pellucid import layers
from pellucid.layers import Layer
from pellucid.models import Graph, Sequential

Shape = tuple[int, ...]

SINGLE: dict[str, tuple[Callable[[], Layer], Shape]] = {
    "convolution": (lambda: layers.Conv2d(2, 4, 3, stride=2, padding=(1, 0), dilation=(1, 2), groups=2), (2, 9, 10)),
    "convolution of the same size": (lambda: layers.Conv2d(2, 3, (4, 3), padding="same", bias=False), (2, 6, 7)),
    "convolution with a rotated kernel": (lambda: layers.Conv2d(1, 2, 3, flip=True), (1, 6, 6)),
    "fixed filter": (lambda: layers.FixedFilter2d("gaussian", padding=1, stride=2), (3, 7, 6)),
    "convolution by a table": (lambda: layers.TableConv2d(3, ((0, 2), (1,), (0, 1, 2)), 3), (3, 6, 5)),
    "distance from codes": (lambda: layers.CodeDistance(((1.0, -1.0, 0.5), (-1.0, 1.0, 2.0))), (3,)),
    "maximum": (lambda: layers.MaxPool2d(3, 2, padding=1, dilation=(1, 2)), (2, 9, 10)),
    "maximum, rounding up": (lambda: layers.MaxPool2d(2, 3, padding=1, ceil_mode=True), (2, 9, 10)),
    "mean": (lambda: layers.AvgPool2d(3, 2, padding=1), (2, 8, 9)),
    "mean without padding": (lambda: layers.AvgPool2d(3, 2, padding=1, count_include_pad=False), (2, 8, 9)),
    "mean, rounding up": (lambda: layers.AvgPool2d(3, 2, padding=1, ceil_mode=True), (2, 8, 9)),
    "mean, rounding up, without padding": (
        lambda: layers.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False), (2, 8, 9)),
    "adaptive mean of equal windows": (lambda: layers.AdaptiveAvgPool2d((2, 3)), (2, 8, 9)),
    "adaptive mean of unequal windows": (lambda: layers.AdaptiveAvgPool2d((3, None)), (2, 8, 5)),
    "global mean": (layers.GlobalAvgPool2d, (3, 4, 5)),
    "subsampling": (lambda: layers.Subsampling2d(3, 2), (3, 6, 7)),
    "batch normalisation": (lambda: layers.BatchNorm2d(3, eps=0.01), (3, 4, 4)),
    "batch normalisation without parameters": (lambda: layers.BatchNorm2d(3, affine=False), (3, 4, 4)),
    "local response": (lambda: layers.LocalResponseNorm(3, alpha=0.5, k=2), (5, 3, 3)),
    "dense": (lambda: layers.Linear(7, 4), (7,)),
    "dense without bias": (lambda: layers.Linear(7, 4, bias=False), (7,)),
    "flattening": (layers.Flatten, (2, 3, 4)),
    "dropout": (lambda: layers.Dropout(0.4), (2, 3)),
    "relu": (layers.ReLU, (4, 5, 5)),
    "leaky relu": (lambda: layers.LeakyReLU(0.2), (11,)),
    "elu": (lambda: layers.ELU(0.7), (11,)),
    "softplus": (layers.Softplus, (11,)),
    "steep softplus": (lambda: layers.Softplus(3.0), (11,)),
    "silu": (layers.SiLU, (11,)),
    "hard swish": (layers.Hardswish, (11,)),
    "gelu": (layers.GELU, (11,)),
    "gelu by tanh": (lambda: layers.GELU("tanh"), (11,)),
    "sigmoid": (layers.Sigmoid, (11,)),
    "tanh": (layers.Tanh, (11,)),
    "scaled tanh": (layers.ScaledTanh, (11,)),
    "global maximum": (layers.GlobalMaxPool2d, (3, 4, 5)),
    "transposed convolution": (
        lambda: layers.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=(1, 0), groups=2), (4, 5, 4)),
    "transposed convolution without bias": (lambda: layers.ConvTranspose2d(2, 3, 2, bias=False, dilation=2), (2, 4, 4)),
    "repeated cells": (lambda: layers.Upsample(scale_factor=(2, 3)), (2, 3, 4)),
    "repeated cells to a size": (lambda: layers.Upsample(size=(5, 7)), (2, 3, 4)),
    "bilinear by a factor": (lambda: layers.Upsample(scale_factor=1.7, mode="bilinear"), (2, 4, 5)),
    "bilinear to a size": (lambda: layers.Upsample(size=(3, 9), mode="bilinear"), (2, 4, 5)),
    "bilinear between corners": (
        lambda: layers.Upsample(scale_factor=1.7, mode="bilinear", align_corners=True), (2, 4, 5)),
    "shortcut with zeros": (lambda: layers.PaddedShortcut(5, stride=2), (3, 5, 6)),
    "a channel around it": (layers.AddChannel, (4, 5)),
    "recurrent": (lambda: layers.RNN(3, 4, nonlinearity="relu"), (5, 3)),
    "recurrent, both ways": (lambda: layers.RNN(3, 4, 2, bidirectional=True), (5, 3)),
    "long short-term memory": (lambda: layers.LSTM(3, 4, 2, bidirectional=True), (5, 3)),
    "memory without bias": (lambda: layers.LSTM(3, 4, bias=False), (5, 3)),
    "gated": (lambda: layers.GRU(3, 4, 2), (5, 3)),
    "one step": (lambda: layers.SelectStep(-2), (5, 3)),
    "embedding": (lambda: layers.Embedding(7, 3), (5,)),
    "embedding with a token for nothing": (lambda: layers.Embedding(7, 3, padding_idx=2), (5,)),
    "softmax": (layers.Softmax, (5, 3, 2)),
    "log-softmax": (layers.LogSoftmax, (6,)),
}  # fmt: skip
"""Models of one layer, and the shape of one input."""


def residual(last: str = "wide") -> Graph:
    """Branches that are added and joined, a graph within the graph, and a weight that two layers share."""
    inner = Sequential([("conv", layers.Conv2d(4, 4, 3, padding=1)), ("norm", layers.BatchNorm2d(4))])
    shared, again = layers.Conv2d(4, 4, 1), layers.Conv2d(4, 4, 1)
    again.weight, again.bias = shared.weight, shared.bias
    graph = Graph()
    graph.add("stem", layers.Conv2d(1, 4, 3, padding=1))
    graph.add("block", inner)
    graph.add("sum", layers.Add(), "stem", "block")
    graph.add("one", shared)
    graph.add("two", again)
    graph.add("three", layers.Add(), "one", "two", "sum")
    graph.add(last, layers.Concat(), "three", "stem", "block")
    return graph


def single(name: str) -> tuple[Graph, Shape]:
    """The model of one layer, with numbers drawn for all it holds."""
    make, shape = SINGLE[name]
    return drawn(Sequential([make()])), shape


def example(model: Graph, shape: Shape, count: int = 5) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Images, or tokens for a model that reads these.

    Five of them, as there are channels for the local response: onnx's evaluator takes the one for the other there.
    """
    generator = np.random.default_rng(7)
    if model.vocabulary is not None:
        return generator.integers(model.vocabulary, size=(count, *shape))
    return (generator.normal(size=(count, *shape)) * 2).astype(np.float32)


def drawn(model: Graph) -> Graph:
    """The model with values that differ everywhere, positive where they are divided by."""
    generator = np.random.default_rng(3)
    values = {**model.parameters, **model.states}
    for name in values:
        new = generator.normal(size=values[name].shape)
        values[name] = (np.abs(new) + 0.5 if name.endswith("var") else new).astype(np.float32)
    return model.load(values)
