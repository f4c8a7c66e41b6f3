"""AlexNet, as published and as torchvision has it."""

from __future__ import annotations

from typing import TypeVar

from pellucid.errors import UsageError
from pellucid.initializers import normal, ones
from pellucid.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
)
from pellucid.layers.base import Layer
from pellucid.models.graph import Graph, Sequential
from pellucid.models.registry import Entry
from pellucid.models.vgg import numbered

_L = TypeVar("_L", Conv2d, Linear)


def alexnet(
    variant: str = "torchvision",
    classes: int = 1000,
    in_channels: int = 3,
    image_size: int | None = None,
    dropout: float = 0.5,
) -> Graph:
    """Five convolutions and three dense layers.

    `variant="torchvision"` is the one-column network of "One weird trick" (61,100,840 parameters, images of 224x224);
    `variant="paper"` that of 2012 with its two groups and local response normalisation (60,965,224 parameters, images
    of 227x227). The last maps are averaged to 6x6, so that other image sizes fit. The output is logits.

    Sources: Krizhevsky, Sutskever, Hinton, NIPS 2012; Krizhevsky, "One weird trick for parallelizing convolutional
    neural networks", 2014.

    Raises UsageError for another variant.
    """
    if variant not in ("paper", "torchvision"):
        raise UsageError(f'alexnet: variant must be "paper" or "torchvision"; got {variant!r}')
    paper = variant == "paper"
    size = image_size or (227 if paper else 224)
    model = Sequential(
        [
            ("features", numbered(paper_features(in_channels) if paper else torchvision_features(in_channels))),
            ("avgpool", AdaptiveAvgPool2d(6)),
            ("flatten", Flatten()),
            ("classifier", numbered(classifier(classes, dropout, paper))),
        ]
    )
    model.input_shape = (in_channels, size, size)
    model.classes = classes
    return model


def paper_features(in_channels: int) -> list[Layer]:
    """Section 3.5 of the paper; the groups are the halves that lay on two processors.

    Weights are normal with deviation 0.01. The biases of the second, fourth and fifth convolution are 1, so that their
    ReLUs start with positive inputs (section 5).
    """

    def norm() -> LocalResponseNorm:
        return LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)

    return [
        Conv2d(in_channels, 96, 11, stride=4, init=normal(0.01)), ReLU(), norm(), MaxPool2d(3, 2),
        positive(Conv2d(96, 256, 5, padding=2, groups=2, init=normal(0.01))), ReLU(), norm(), MaxPool2d(3, 2),
        Conv2d(256, 384, 3, padding=1, init=normal(0.01)), ReLU(),
        positive(Conv2d(384, 384, 3, padding=1, groups=2, init=normal(0.01))), ReLU(),
        positive(Conv2d(384, 256, 3, padding=1, groups=2, init=normal(0.01))), ReLU(), MaxPool2d(3, 2),
    ]  # fmt: skip


def torchvision_features(in_channels: int) -> list[Layer]:
    """One column, narrower, without normalisation."""
    init = "fan_in_uniform"
    return [
        Conv2d(in_channels, 64, 11, stride=4, padding=2, init=init), ReLU(), MaxPool2d(3, 2),
        Conv2d(64, 192, 5, padding=2, init=init), ReLU(), MaxPool2d(3, 2),
        Conv2d(192, 384, 3, padding=1, init=init), ReLU(),
        Conv2d(384, 256, 3, padding=1, init=init), ReLU(),
        Conv2d(256, 256, 3, padding=1, init=init), ReLU(), MaxPool2d(3, 2),
    ]  # fmt: skip


def classifier(classes: int, dropout: float, paper: bool) -> list[Layer]:
    """Three dense layers. The paper starts the hidden ones with biases of 1."""
    init = normal(0.01) if paper else "fan_in_uniform"
    hidden = [Linear(256 * 6 * 6, 4096, init=init), Linear(4096, 4096, init=init)]
    if paper:
        hidden = [positive(layer) for layer in hidden]
    return [
        Dropout(dropout), hidden[0], ReLU(), Dropout(dropout), hidden[1], ReLU(), Linear(4096, classes, init=init)
    ]  # fmt: skip


def positive(layer: _L) -> _L:
    """The layer with a bias of 1."""
    assert layer.bias is not None
    layer.bias.initializer = ones
    return layer


ENTRIES = (
    Entry(
        "alexnet",
        alexnet,
        (3, 224, 224),
        "Krizhevsky, Sutskever, Hinton, NIPS 2012; Krizhevsky 2014",
        {"lr": 0.01, "weight_decay": 5e-4, "epochs": 90, "batch_size": 128},
    ),
)
