"""LeNet-5: as it is drawn today, and as published."""

from __future__ import annotations

from pellucid.errors import UsageError
from pellucid.layers import CodeDistance, Conv2d, Flatten, Linear, ScaledTanh, Subsampling2d, TableConv2d
from pellucid.models.graph import Graph, Sequential
from pellucid.models.parts import activation_layer, pooling_layer
from pellucid.models.registry import Entry


def lenet5(
    classes: int = 10, in_channels: int = 1, activation: str = "tanh", pooling: str = "average", image_size: int = 28
) -> Graph:
    """LeNet-5 as the notes `training` draw it: 6 and 16 feature maps, 400-120-84 and the classes.

    61,706 parameters for grey images and 10 classes. `image_size` is 32 as in 1998, or 28, where the first
    convolution pads by 2, so that all later shapes are the same. `activation` is "tanh", "sigmoid", "relu" or
    "scaled_tanh" (1.7159 tanh(2x/3), that of 1998); `pooling` "average" or "max". The output is logits.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998.
    """
    if image_size not in (28, 32):
        raise UsageError(f"lenet5: image_size must be 28 or 32; got {image_size!r}")
    init = "he_uniform" if activation == "relu" else "glorot_uniform"
    model = Sequential(
        [
            ("conv1", Conv2d(in_channels, 6, 5, padding=(32 - image_size) // 2, init=init)),
            ("act1", activation_layer(activation)),
            ("pool1", pooling_layer(pooling, 2)),
            ("conv2", Conv2d(6, 16, 5, init=init)),
            ("act2", activation_layer(activation)),
            ("pool2", pooling_layer(pooling, 2)),
            ("flatten", Flatten()),
            ("fc1", Linear(400, 120, init=init)),
            ("act3", activation_layer(activation)),
            ("fc2", Linear(120, 84, init=init)),
            ("act4", activation_layer(activation)),
            ("fc3", Linear(84, classes, init=init)),
        ]
    )
    model.input_shape = (in_channels, image_size, image_size)
    model.classes = classes
    return model


CONNECTIONS = (
    *(tuple(sorted((o + k) % 6 for k in range(3))) for o in range(6)),
    *(tuple(sorted((o + k) % 6 for k in range(4))) for o in range(6)),
    *(tuple(sorted({o, o + 1, (o + 3) % 6, (o + 4) % 6})) for o in range(3)),
    tuple(range(6)),
)
"""Table I of the paper: which of the six maps each of C3's sixteen maps is connected to."""

DIGITS = """
.#####. ...##.. .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
##...## ..###.. ##...## ##...## ...###. ##..... .##..## ##...## ##...## ##...##
##...## .####.. .....## .....## ..####. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## .....## .##.##. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. ....##. ....##. ##..##. ######. ##.###. ....##. .##.##. ##...##
##...## ...##.. ...##.. ..###.. ##..##. .....## ###..## ...##.. ..###.. .##..##
##...## ...##.. ..##... ....##. ####### .....## ##...## ...##.. .##.##. ..#####
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ...##.. ##..... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ...##.. ##..... .....## ....##. .....## ##...## .##.... ##...## .....##
##...## ...##.. ##...## ##...## ....##. ##...## .##..## .##.... ##...## ##..##.
.#####. .#####. ####### .#####. ....##. .#####. ..####. ##..... .#####. .####..
"""
"""A picture of each digit, 7 wide and 12 high: the codes of the output layer, +1 for # and -1 for a dot."""


def codes(classes: int) -> list[list[int]]:
    """The digits' pictures as rows of 84 numbers."""
    lines = [line.split() for line in DIGITS.split("\n") if line]
    return [[1 if mark == "#" else -1 for line in lines for mark in line[digit]] for digit in range(classes)]


def lenet5_1998(classes: int = 10, in_channels: int = 1, image_size: int = 32) -> Graph:
    """LeNet-5 as published: C3's maps are connected by a table, subsampling is trained, the output compares with codes.

    60,000 parameters for grey images. Every activation is 1.7159 tanh(2x/3). `image_size` is 32, or 28, where the
    first convolution pads by 2. The output is minus the distance to each digit's code: logits for the cross-entropy.
    The paper's figure 3 shows its codes; those here are drawn anew in the same 7x12 cells.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998.
    """
    if image_size not in (28, 32):
        raise UsageError(f"lenet5-1998: image_size must be 28 or 32; got {image_size!r}")
    if not isinstance(classes, int) or not 1 <= classes <= 10:
        raise UsageError(f"lenet5-1998 has codes for ten digits: classes must be 1 to 10; got {classes!r}")
    init = "lecun_1998"
    model = Sequential(
        [
            ("c1", Conv2d(in_channels, 6, 5, padding=(32 - image_size) // 2, init=init)),
            ("act1", ScaledTanh()),
            ("s2", Subsampling2d(6, 2)),
            ("act2", ScaledTanh()),
            ("c3", TableConv2d(6, CONNECTIONS, 5)),
            ("act3", ScaledTanh()),
            ("s4", Subsampling2d(16, 2)),
            ("act4", ScaledTanh()),
            ("c5", Conv2d(16, 120, 5, init=init)),
            ("act5", ScaledTanh()),
            ("flatten", Flatten()),
            ("f6", Linear(120, 84, init=init)),
            ("act6", ScaledTanh()),
            ("output", CodeDistance(codes(classes))),
        ]
    )
    model.input_shape = (in_channels, image_size, image_size)
    model.classes = classes
    return model


ENTRIES = (
    Entry("lenet5", lenet5, (1, 28, 28), "LeCun et al. 1998; notes `training`", {"lr": 0.05, "epochs": 3}),
    Entry("lenet5-1998", lenet5_1998, (1, 32, 32), "LeCun et al., Proc. IEEE 1998", {"lr": 0.002, "epochs": 20}),
)
