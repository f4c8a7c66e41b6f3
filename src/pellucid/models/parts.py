"""Choices that several architectures offer by name."""

from __future__ import annotations

from pellucid.errors import UsageError
from pellucid.layers import AvgPool2d, MaxPool2d, ReLU, ScaledTanh, Sigmoid, Tanh
from pellucid.layers.base import Layer

ACTIVATIONS: dict[str, type[Layer]] = {"relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh, "scaled_tanh": ScaledTanh}


def activation_layer(name: str) -> Layer:
    """An activation by name; UsageError if there is none of that name."""
    if name not in ACTIVATIONS:
        raise UsageError(f"unknown activation {name!r}: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def pooling_layer(name: str, kernel_size: int) -> Layer:
    """Pooling by name, "average" or "max"; UsageError otherwise."""
    if name not in ("average", "max"):
        raise UsageError(f'unknown pooling {name!r}: choose "average" or "max"')
    return AvgPool2d(kernel_size) if name == "average" else MaxPool2d(kernel_size)
