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
from pellucid.layers.conv_transpose import ConvTranspose2d
from pellucid.layers.dropout import Dropout
from pellucid.layers.embedding import Embedding
from pellucid.layers.filters import FixedFilter2d
from pellucid.layers.join import Add, Concat, PaddedShortcut
from pellucid.layers.linear import AddChannel, Flatten, Linear
from pellucid.layers.norm import BatchNorm2d, LocalResponseNorm
from pellucid.layers.pool import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    MaxPool2d,
    Subsampling2d,
)
from pellucid.layers.recurrent import GRU, LSTM, RNN, SelectStep
from pellucid.layers.table import TableConv2d
from pellucid.layers.upsample import Upsample

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "AdaptiveAvgPool2d",
    "Add",
    "AddChannel",
    "AvgPool2d",
    "BatchNorm2d",
    "CodeDistance",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "FixedFilter2d",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
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
    "SelectStep",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "State",
    "Subsampling2d",
    "TableConv2d",
    "Tanh",
    "Upsample",
    "by_name",
    "filters",
]


def by_name() -> dict[str, type[Layer]]:
    """The built-in layers by their lower-case names, as the command line uses them."""
    found = (
        Conv2d, MaxPool2d, AvgPool2d, GlobalMaxPool2d, GlobalAvgPool2d, AdaptiveAvgPool2d,
        Subsampling2d, Upsample, Linear, Flatten, Embedding, RNN, LSTM, GRU, SelectStep, BatchNorm2d,
        LocalResponseNorm, Add, Concat, PaddedShortcut, ReLU, LeakyReLU, ELU, Softplus, SiLU, Hardswish, GELU, Sigmoid,
        Tanh, ScaledTanh, Softmax, LogSoftmax, Dropout, FixedFilter2d, ConvTranspose2d, AddChannel,
        TableConv2d, CodeDistance,
    )  # fmt: skip
    return {layer.__name__.lower(): layer for layer in found}
