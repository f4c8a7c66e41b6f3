"""Layers: each is its equation; the gradient and the machine code are derived from it."""

from pellucid.layers import filters
from pellucid.layers.activation import (
    ELU,
    GELU,
    Activation,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from pellucid.layers.base import Layer, Parameter, Randomness, State
from pellucid.layers.code import CodeDistance
from pellucid.layers.conv import Conv2d
from pellucid.layers.dropout import Dropout
from pellucid.layers.filters import FixedFilter2d
from pellucid.layers.join import Add, Concat, PaddedShortcut
from pellucid.layers.linear import Flatten, Linear
from pellucid.layers.norm import BatchNorm2d, LocalResponseNorm
from pellucid.layers.pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d, Subsampling2d
from pellucid.layers.table import TableConv2d

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "CodeDistance",
    "Concat",
    "Conv2d",
    "Dropout",
    "FixedFilter2d",
    "Flatten",
    "GlobalAvgPool2d",
    "Hardswish",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MaxPool2d",
    "PaddedShortcut",
    "Parameter",
    "Randomness",
    "ReLU",
    "ScaledTanh",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "State",
    "Subsampling2d",
    "TableConv2d",
    "Tanh",
    "by_name",
    "filters",
]


def by_name() -> dict[str, type[Layer]]:
    """The built-in layers by their lower-case names, as the command line uses them."""
    found = (
        Conv2d, MaxPool2d, AvgPool2d, GlobalAvgPool2d, AdaptiveAvgPool2d, Subsampling2d, Linear, Flatten,
        BatchNorm2d, LocalResponseNorm, Add, Concat, PaddedShortcut, ReLU, LeakyReLU, ELU, Softplus, SiLU, Hardswish,
        GELU, Sigmoid, Tanh, ScaledTanh, Softmax, LogSoftmax, Dropout, FixedFilter2d, TableConv2d, CodeDistance,
    )  # fmt: skip
    return {layer.__name__.lower(): layer for layer in found}
