"""The two networks that the lecture notes work out by hand."""

from __future__ import annotations

import numpy as np

from pellucid.layers import Conv2d, Flatten, Linear, ReLU, Sigmoid, Softmax
from pellucid.models.graph import Graph, Sequential
from pellucid.models.parts import activation_layer, pooling_layer
from pellucid.models.registry import Entry

WEIGHTS = {
    "fc1": [[0.1, 0.2, 0.3], [0.3, 0.2, 0.7], [0.4, 0.3, 0.9]],
    "fc2": [[0.2, 0.3, 0.5], [0.3, 0.5, 0.7], [0.6, 0.4, 0.8]],
    "fc3": [[0.1, 0.4, 0.8], [0.3, 0.7, 0.2], [0.5, 0.2, 0.9]],
}
"""The notes `training`: rows are inputs, columns outputs."""


class NotesMLP(Sequential):
    """The 3-3-3-3 network of the notes `training`: ReLU, sigmoid, softmax, its weights built in.

    Shapes: X (N, 3); Y (N, 3), probabilities. The notes multiply row vectors by matrices of (inputs, outputs);
    `weight` is the transpose, as in PyTorch. `init` restores the notes' weights whatever the seed.
    """

    def init(self, seed: int = 0) -> NotesMLP:
        super().init(seed)
        for name, rows in WEIGHTS.items():
            tensors = self[name].tensors()
            tensors["weight"].value = np.array(rows, np.float32).T.copy()
            tensors["bias"].value = np.ones(3, np.float32)
        return self


def notes_mlp() -> Graph:
    """The 3-3-3-3 network with the notes' weights."""
    model = NotesMLP(
        [
            ("fc1", Linear(3, 3)),
            ("relu", ReLU()),
            ("fc2", Linear(3, 3)),
            ("sigmoid", Sigmoid()),
            ("fc3", Linear(3, 3)),
            ("softmax", Softmax()),
        ]
    )
    model.classes = 3
    model.input_shape = (3,)
    return model


def notes_cnn(classes: int = 10, in_channels: int = 1, activation: str = "relu", pooling: str = "average") -> Graph:
    """The network of the notes `architecture`: 4 and 6 feature maps, then 50 neurons and the classes.

    True convolution (the kernel flipped), average pooling, the notes' uniform initialisation; 6,070 parameters for
    28x28 grey images and 10 classes. The notes leave the activation f open. The output is logits: the softmax is
    part of the cross-entropy.
    """
    init = "notes_uniform"
    model = Sequential(
        [
            ("conv1", Conv2d(in_channels, 4, 5, flip=True, init=init)),
            ("act1", activation_layer(activation)),
            ("pool1", pooling_layer(pooling, 2)),
            ("conv2", Conv2d(4, 6, 5, flip=True, init=init)),
            ("act2", activation_layer(activation)),
            ("pool2", pooling_layer(pooling, 2)),
            ("flatten", Flatten()),
            ("fc1", Linear(96, 50, init=init)),
            ("act3", activation_layer(activation)),
            ("fc2", Linear(50, classes, init=init)),
        ]
    )
    model.input_shape = (in_channels, 28, 28)
    model.classes = classes
    return model


ENTRIES = (
    Entry(
        "notes-mlp", notes_mlp, (3,), "notes `training`", {"loss": "output_cross_entropy", "lr": 0.01, "momentum": 0.0}
    ),
    Entry("notes-cnn", notes_cnn, (1, 28, 28), "notes `architecture`", {"batch_size": 32, "lr": 0.05, "epochs": 3}),
)
