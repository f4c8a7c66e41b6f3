"""VGG: networks of nothing but 3x3 convolutions and 2x2 pooling."""

from __future__ import annotations

from functools import partial

from pellucid.initializers import normal
from pellucid.layers import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from pellucid.layers.base import Layer
from pellucid.models.graph import Graph, Sequential
from pellucid.models.registry import Entry

WIDTHS = (64, 128, 256, 512, 512)
"""The channels of the five stages; each stage ends with pooling."""

STAGES: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""How many convolutions each stage has: columns A, B, D and E of the paper's table 1."""


def vgg(
    stages: tuple[int, ...],
    /,
    classes: int = 1000,
    in_channels: int = 3,
    image_size: int = 224,
    dropout: float = 0.5,
) -> Graph:
    """Table 1 of the paper, followed by three dense layers.

    The parameters have torchvision's names, and as there the last maps are averaged to 7x7, so that other image
    sizes fit. The output is logits.
    """
    features: list[Layer] = []
    channels = in_channels
    for width, convolutions in zip(WIDTHS, stages, strict=True):
        for _ in range(convolutions):
            features += [Conv2d(channels, width, 3, padding=1, init="he_normal_fan_out"), ReLU()]
            channels = width
        features.append(MaxPool2d(2))
    classifier = [
        Linear(512 * 7 * 7, 4096, init=normal(0.01)), ReLU(), Dropout(dropout),
        Linear(4096, 4096, init=normal(0.01)), ReLU(), Dropout(dropout),
        Linear(4096, classes, init=normal(0.01)),
    ]  # fmt: skip
    model = Sequential(
        [
            ("features", numbered(features)),
            ("avgpool", AdaptiveAvgPool2d(7)),
            ("flatten", Flatten()),
            ("classifier", numbered(classifier)),
        ]
    )
    model.input_shape = (in_channels, image_size, image_size)
    model.classes = classes
    return model


def numbered(layers: list[Layer]) -> Sequential:
    """Layers one after another under the names 0, 1, 2, ..., as PyTorch names them."""
    return Sequential((str(number), layer) for number, layer in enumerate(layers))


_SOURCE = 'Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015'

ENTRIES = tuple(
    Entry(
        f"vgg{depth}",
        partial(vgg, stages),
        (3, 224, 224),
        _SOURCE,
        {"lr": 0.01, "weight_decay": 5e-4, "epochs": 74, "batch_size": 32},
    )
    for depth, stages in STAGES.items()
)
