"""NVIDIA's network that steers a car."""

from __future__ import annotations

import itertools

from pellucid.layers import Conv2d, Flatten, Linear
from pellucid.layers.base import Layer
from pellucid.models.graph import Graph, Sequential
from pellucid.models.parts import activation_layer
from pellucid.models.registry import Entry

CONVOLUTIONS = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))
"""Feature maps, kernel size, stride."""
DENSE = (1152, 100, 50, 10, 1)
"""From the 64 maps of 1x18 to the steering command."""


def pilotnet(in_channels: int = 3, activation: str = "relu") -> Graph:
    """Five convolutions without padding and four dense layers, from a camera's image 66x200 to one number.

    252,219 parameters for images of three channels (YUV in the paper). The output is the steering command, the
    inverse of the turning radius; the loss is the mean squared error. The paper does not name its activation.

    Source: Bojarski et al., "End to end learning for self-driving cars", 2016, figure 4.
    """
    layers: list[tuple[str, Layer]] = []
    channels = in_channels
    for number, (maps, kernel_size, stride) in enumerate(CONVOLUTIONS, 1):
        layers.append((f"conv{number}", Conv2d(channels, maps, kernel_size, stride)))
        layers.append((f"act{number}", activation_layer(activation)))
        channels = maps
    layers.append(("flatten", Flatten()))
    for number, (inputs, outputs) in enumerate(itertools.pairwise(DENSE), 1):
        if number > 1:
            layers.append((f"act{len(CONVOLUTIONS) + number - 1}", activation_layer(activation)))
        layers.append((f"fc{number}", Linear(inputs, outputs)))
    model = Sequential(layers)
    model.input_shape = (in_channels, 66, 200)
    return model


ENTRIES = (
    Entry("pilotnet", pilotnet, (3, 66, 200), "Bojarski et al. 2016", {"loss": "mse", "optimizer": "adam", "lr": 1e-4}),
)
