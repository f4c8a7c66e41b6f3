"""LeNet-5."""

from __future__ import annotations

from pellucid.errors import UsageError
from pellucid.layers import Conv2d, Flatten, Linear
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


ENTRIES = (Entry("lenet5", lenet5, (1, 28, 28), "LeCun et al. 1998; notes `training`", {"lr": 0.05, "epochs": 3}),)
