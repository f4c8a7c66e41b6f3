"""Layers: each is its equation; the gradient and the machine code are derived from it."""

from pellucid.layers import filters
from pellucid.layers.activation import Activation, LeakyReLU, LogSoftmax, ReLU, ScaledTanh, Sigmoid, Softmax, Tanh
from pellucid.layers.base import Layer, Parameter, Randomness, State
from pellucid.layers.conv import Conv2d
from pellucid.layers.conv_transpose import ConvTranspose2d
from pellucid.layers.dropout import Dropout
from pellucid.layers.embedding import Embedding
from pellucid.layers.filters import FixedFilter2d
from pellucid.layers.linear import Flatten, Linear
from pellucid.layers.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from pellucid.layers.recurrent import GRU, LSTM, RNN, SelectStep
from pellucid.layers.upsample import Upsample

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "AvgPool2d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "FixedFilter2d",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "Parameter",
    "Randomness",
    "ReLU",
    "ScaledTanh",
    "SelectStep",
    "Sigmoid",
    "Softmax",
    "State",
    "Tanh",
    "Upsample",
    "by_name",
    "filters",
]


def by_name() -> dict[str, type[Layer]]:
    """The built-in layers by their lower-case names, as the command line uses them."""
    found = (
        Conv2d, MaxPool2d, AvgPool2d, GlobalAvgPool2d, Linear, Flatten, ReLU, LeakyReLU, Sigmoid, Tanh, ScaledTanh,
        Softmax, LogSoftmax, Dropout, FixedFilter2d, ConvTranspose2d, Upsample,
        GlobalMaxPool2d, Embedding, RNN, LSTM, GRU, SelectStep,
    )  # fmt: skip
    return {layer.__name__.lower(): layer for layer in found}
