"""What is measured: whole networks and single convolutions, with data and weights that both sides are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pellucid import models
from pellucid.bench import programs
from pellucid.errors import UsageError
from pellucid.layers import Conv2d, Dropout
from pellucid.models.graph import Graph
from pellucid.models.summary import leaves
from pellucid.notation.expression import accesses

Values = npt.NDArray[Any]
Direction = Literal["forward", "input gradient", "weight gradient"]

SEED = 1


@dataclass(frozen=True)
class Network:
    """A model from the registry: one training step, or one prediction, for a batch of images."""

    model: str
    batch: int
    training: bool

    @property
    def name(self) -> str:
        return self.model

    @property
    def what(self) -> str:
        """What one run computes."""
        return "training step" if self.training else "inference"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The batch's shape (N, C, H, W)."""
        return (self.batch, *models.registry.entry(self.model).input_shape)

    def build(self) -> Graph:
        """The model with its initial weights; the same ones every time.

        Dropout drops nothing: the two sides draw different random numbers, and what they compute is compared.
        """
        model = models.create(self.model).init(seed=SEED)
        for _, _, layer in leaves(model):
            if isinstance(layer, Dropout):
                layer.p = 0.0
        return model

    @cached_property
    def flops(self) -> int:
        """Two operations for every needed multiply-add of the forward sums; in training three times as many.

        The gradients by the input and by the weights take as many again, but a layer that reads the images needs no
        gradient by its input. Products with padding do not count, nor does anything that is no sum of products.
        """
        total = 0
        for equation in programs.inference(self.build(), self.shape):
            first = any(access.tensor.role == "input" for access in accesses(equation.value))
            total += programs.needed_products(equation) * ((2 if first else 3) if self.training else 1)
        return 2 * total

    def images(self) -> Values:
        """Random images (N, C, H, W)."""
        return np.random.default_rng(SEED).standard_normal(self.shape, np.float32)

    def labels(self) -> Values:
        """Random labels (N,)."""
        classes = self.build().classes or 10
        return np.random.default_rng(SEED).integers(0, classes, self.batch)


@dataclass(frozen=True)
class Convolution:
    """One convolution without bias and one of its three products: forward, input gradient or weight gradient."""

    batch: int
    in_channels: int
    out_channels: int
    size: int
    kernel: int
    stride: int
    direction: Direction

    @property
    def name(self) -> str:
        stride = f" stride {self.stride}" if self.stride > 1 else ""
        return f"{self.kernel}x{self.kernel}{stride} {self.size}x{self.size} {self.in_channels}->{self.out_channels}"

    @property
    def what(self) -> str:
        """What one run computes."""
        return self.direction

    @property
    def padding(self) -> int:
        return self.kernel // 2

    @property
    def shape(self) -> tuple[int, ...]:
        """The input's shape."""
        return (self.batch, self.in_channels, self.size, self.size)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The output's shape."""
        size = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        return (self.batch, self.out_channels, size, size)

    @cached_property
    def flops(self) -> int:
        """Two operations for every needed product of the forward sum; both gradients need the same products."""
        return 2 * sum(map(programs.needed_products, programs.inference(self.build(), self.shape)))

    def build(self) -> Conv2d:
        """The layer with random weights; the same ones every time."""
        layer = Conv2d(
            self.in_channels, self.out_channels, self.kernel, stride=self.stride, padding=self.padding, bias=False
        )
        layer.init(seed=SEED)
        return layer

    def images(self) -> Values:
        """A random input."""
        return np.random.default_rng(SEED).standard_normal(self.shape, np.float32)

    def incoming(self) -> Values:
        """A random gradient by the output."""
        return np.random.default_rng(SEED + 1).standard_normal(self.out_shape, np.float32)


Workload = Network | Convolution

SMALL = ("notes-cnn", "lenet5")
"""The networks measured unless others are named."""

BATCHES = {
    "notes-cnn": (1, 32, 128), "lenet5": (1, 64),
    "alexnet": (16,), "vgg16": (4,), "resnet18": (16,), "resnet50": (8,), "googlenet": (16,),
}  # fmt: skip
"""The usual batch sizes."""

OTHER_BATCHES = (1, 32)

# batch, channels in, channels out, size of the input, kernel, stride
CONVOLUTIONS = (
    (4, 256, 256, 56, 3, 1),
    (4, 512, 512, 28, 3, 1),
    (4, 512, 512, 14, 3, 1),
    (4, 128, 128, 112, 3, 1),
    (8, 512, 128, 28, 1, 1),
    (8, 1024, 256, 14, 1, 1),
    (4, 3, 64, 224, 7, 2),
)

DIRECTIONS: tuple[Direction, ...] = ("forward", "input gradient", "weight gradient")


def networks(names: Sequence[str], batch: int | None, training: bool | None) -> list[Network]:
    """The networks to measure: all usual ones, or those named; both kinds of run unless one is asked for."""
    kinds = (True, False) if training is None else (training,)
    for name in names:
        models.registry.entry(name)
    return [
        Network(name, size, kind)
        for kind in kinds
        for name in names or SMALL
        for size in ((batch,) if batch else BATCHES.get(name, OTHER_BATCHES))
    ]


def convolutions(batch: int | None = None, only: str = "") -> list[Convolution]:
    """The single layers to measure; no input gradient where the input is the image."""
    found = [
        Convolution(batch or shape[0], *shape[1:], direction)
        for shape in CONVOLUTIONS
        for direction in DIRECTIONS
        if not (direction == "input gradient" and shape[1] == 3)
    ]
    chosen = [c for c in found if only in f"{c.name} {c.what}"]
    if not chosen:
        raise UsageError(
            f"no layer's name contains {only!r}; there are {', '.join(dict.fromkeys(c.name for c in found))}"
        )
    return chosen
