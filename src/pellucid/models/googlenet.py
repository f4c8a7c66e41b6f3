"""GoogLeNet, as published and as torchvision has it."""

from __future__ import annotations

from collections.abc import Callable

from pellucid.errors import UsageError
from pellucid.initializers import normal
from pellucid.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Concat,
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

Convolution = Callable[..., Sequential]
"""A convolution with what follows it: (in_channels, out_channels, kernel_size, stride, padding)."""

TABLE: dict[str, tuple[int, tuple[int, ...]]] = {
    "3a": (192, (64, 96, 128, 16, 32, 32)),
    "3b": (256, (128, 128, 192, 32, 96, 64)),
    "4a": (480, (192, 96, 208, 16, 48, 64)),
    "4b": (512, (160, 112, 224, 24, 64, 64)),
    "4c": (512, (128, 128, 256, 24, 64, 64)),
    "4d": (512, (112, 144, 288, 32, 64, 64)),
    "4e": (528, (256, 160, 320, 32, 128, 128)),
    "5a": (832, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (384, 192, 384, 48, 128, 128)),
}
"""Table 1 of the paper: channels in, #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj."""

AUXILIARY_WEIGHT = 0.3


def googlenet(
    variant: str = "torchvision",
    classes: int = 1000,
    in_channels: int = 3,
    image_size: int = 224,
    auxiliary: bool = True,
) -> Graph:
    """Nine inception modules; two auxiliary classifiers help to train, each with weight 0.3.

    `variant="torchvision"` has batch normalisation (eps 0.001), no biases, and 3x3 where the paper has 5x5
    (13,004,888 parameters, 6,624,904 without the auxiliary classifiers). `variant="paper"` has biases, true 5x5
    convolutions and local response normalisation (13,378,280 and 6,998,552). The output is logits.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015.

    Raises UsageError for another variant.
    """
    if variant not in ("paper", "torchvision"):
        raise UsageError(f'googlenet: variant must be "paper" or "torchvision"; got {variant!r}')
    paper = variant == "paper"
    convolution = biased if paper else normalised
    model = stem(in_channels, convolution, paper)
    for name, (channels, widths) in TABLE.items():
        model.add(f"inception{name}", inception(channels, widths, convolution, 5 if paper else 3))
        if name in ("3b", "4e"):
            # torchvision's last pooling has windows of 2x2, the paper's of 3x3.
            size = 2 if name == "4e" and not paper else 3
            model.add("maxpool3" if name == "3b" else "maxpool4", MaxPool2d(size, 2, ceil_mode=True))
    model.add("avgpool", AdaptiveAvgPool2d(1))
    model.add("flatten", Flatten())
    model.add("dropout", Dropout(0.4 if paper else 0.2))
    model.add("fc", Linear(1024, classes, init=normal(0.01)))
    if auxiliary:
        for name, source, channels in (("aux1", "inception4a", 512), ("aux2", "inception4d", 528)):
            model.add(name, classifier(channels, classes, convolution, paper), source)
            model.auxiliary[name] = AUXILIARY_WEIGHT
    model.input_shape = (in_channels, image_size, image_size)
    model.classes = classes
    return model


def normalised(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> Sequential:
    """torchvision's convolution: without a bias, normalised."""
    conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False, init=normal(0.01))
    return Sequential([("conv", conv), ("bn", BatchNorm2d(out_channels, eps=0.001)), ("relu", ReLU())])


def biased(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> Sequential:
    """The paper's convolution: with a bias."""
    conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, init="glorot_uniform")
    return Sequential([("conv", conv), ("relu", ReLU())])


def stem(in_channels: int, convolution: Convolution, paper: bool) -> Graph:
    """What comes before the inception modules; the paper normalises twice over neighbouring channels."""
    model = Graph()
    model.add("conv1", convolution(in_channels, 64, 7, stride=2, padding=3))
    model.add("maxpool1", MaxPool2d(3, 2, ceil_mode=True))
    if paper:
        model.add("norm1", LocalResponseNorm(5, alpha=1e-4, beta=0.75))
    model.add("conv2", convolution(64, 64, 1))
    model.add("conv3", convolution(64, 192, 3, padding=1))
    if paper:
        model.add("norm2", LocalResponseNorm(5, alpha=1e-4, beta=0.75))
    model.add("maxpool2", MaxPool2d(3, 2, ceil_mode=True))
    return model


def inception(in_channels: int, widths: tuple[int, ...], convolution: Convolution, largest: int) -> Graph:
    """Figure 2(b) of the paper: convolutions of three sizes and a pooling side by side, their channels joined."""
    ones, reduce3, threes, reduce5, fives, pooled = widths
    branch2 = chain(convolution(in_channels, reduce3, 1), convolution(reduce3, threes, 3, padding=1))
    branch3 = chain(convolution(in_channels, reduce5, 1), convolution(reduce5, fives, largest, padding=largest // 2))
    module = Graph()
    module.add("branch1", convolution(in_channels, ones, 1), "input")
    module.add("branch2", branch2, "input")
    module.add("branch3", branch3, "input")
    module.add("branch4", chain(MaxPool2d(3, 1, 1), convolution(in_channels, pooled, 1)), "input")
    module.add("concat", Concat(), "branch1", "branch2", "branch3", "branch4")
    return module


def chain(first: Layer, second: Layer) -> Sequential:
    """Two layers of a branch, named as torchvision names them."""
    return Sequential([("0", first), ("1", second)])


def classifier(in_channels: int, classes: int, convolution: Convolution, paper: bool) -> Sequential:
    """An auxiliary classifier: the maps averaged to 4x4, a 1x1 convolution, two dense layers.

    The paper averages 14x14 maps over windows of 5x5 with stride 3, which are 4x4 as well.
    """
    return Sequential(
        [
            ("avgpool", AvgPool2d(5, 3) if paper else AdaptiveAvgPool2d(4)),
            ("conv", convolution(in_channels, 128, 1)),
            ("flatten", Flatten()),
            ("fc1", Linear(2048, 1024, init=normal(0.01))),
            ("relu", ReLU()),
            ("dropout", Dropout(0.7)),
            ("fc2", Linear(1024, classes, init=normal(0.01))),
        ]
    )


ENTRIES = (
    Entry(
        "googlenet",
        googlenet,
        (3, 224, 224),
        'Szegedy et al., "Going deeper with convolutions", CVPR 2015',
        {"lr": 0.01, "weight_decay": 2e-4, "epochs": 90, "batch_size": 64},
    ),
)
