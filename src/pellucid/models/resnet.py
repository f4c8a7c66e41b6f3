"""Residual networks: ResNet-18 to 152 for ImageNet, ResNet-20 to 110 for CIFAR, and their plain twins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pellucid.layers import (
    AdaptiveAvgPool2d,
    Add,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    PaddedShortcut,
    ReLU,
)
from pellucid.models.graph import Graph, Sequential
from pellucid.models.registry import Entry

Block = Callable[[int, int, int], Graph]
"""A block for so many channels in, a width, and a stride."""


def convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> Conv2d:
    """A convolution before a batch normalisation, which makes its bias superfluous; padded to keep the size."""
    padding = kernel_size // 2
    return Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False, init="he_normal_fan_out")


def basic_block(in_channels: int, width: int, stride: int) -> Graph:
    """Two 3x3 convolutions and the shortcut: figure 5, left."""
    return with_shortcut(two_convolutions(in_channels, width, stride), in_channels, width, stride)


def two_convolutions(in_channels: int, width: int, stride: int) -> Graph:
    """What every basic block computes before the shortcut joins it."""
    block = Graph()
    block.add("conv1", convolution(in_channels, width, 3, stride), "input")
    block.add("bn1", BatchNorm2d(width))
    block.add("relu", ReLU())
    block.add("conv2", convolution(width, width, 3))
    block.add("bn2", BatchNorm2d(width))
    return block


def bottleneck(in_channels: int, width: int, stride: int) -> Graph:
    """1x1 to fewer channels, 3x3, 1x1 to four times as many, and the shortcut: figure 5, right.

    The stride is that of the 3x3 convolution, as in torchvision; the paper puts it into the first 1x1.
    """
    block = Graph()
    block.add("conv1", convolution(in_channels, width, 1), "input")
    block.add("bn1", BatchNorm2d(width))
    block.add("relu", ReLU())
    block.add("conv2", convolution(width, width, 3, stride))
    block.add("bn2", BatchNorm2d(width))
    block.add("relu2", ReLU())
    block.add("conv3", convolution(width, 4 * width, 1))
    block.add("bn3", BatchNorm2d(4 * width))
    return with_shortcut(block, in_channels, 4 * width, stride)


def with_shortcut(block: Graph, in_channels: int, out_channels: int, stride: int) -> Graph:
    """Add the block's input to its output; a projection where their shapes differ (option B)."""
    branch, shortcut = next(reversed(block.nodes)), "input"
    if stride != 1 or in_channels != out_channels:
        projection = [
            ("0", convolution(in_channels, out_channels, 1, stride)),
            ("1", BatchNorm2d(out_channels)),
        ]
        shortcut = block.add("downsample", Sequential(projection), "input")
    block.add("add", Add(), branch, shortcut)
    block.add("relu_last", ReLU())
    return block


def stage(block: Block, in_channels: int, width: int, blocks: int, stride: int, expansion: int) -> Sequential:
    """Blocks of one width; the first one takes the stride."""
    rest = (block(expansion * width, width, 1) for _ in range(blocks - 1))
    return Sequential((str(k), b) for k, b in enumerate([block(in_channels, width, stride), *rest]))


def resnet(
    block: Block,
    depths: tuple[int, int, int, int],
    expansion: int,
    /,
    classes: int = 1000,
    in_channels: int = 3,
    image_size: int = 224,
) -> Graph:
    """Table 1 of the paper: a 7x7 convolution, four stages of blocks, the mean of each map, a dense layer.

    The parameters have torchvision's names. The output is logits.
    """
    model = Sequential(
        [
            ("conv1", Conv2d(in_channels, 64, 7, 2, 3, bias=False, init="he_normal_fan_out")),
            ("bn1", BatchNorm2d(64)),
            ("relu", ReLU()),
            ("maxpool", MaxPool2d(3, 2, 1)),
        ]
    )
    channels = 64
    for number, blocks in enumerate(depths):
        width = 64 * 2**number
        model.add(f"layer{number + 1}", stage(block, channels, width, blocks, 1 if number == 0 else 2, expansion))
        channels = expansion * width
    model.add("avgpool", AdaptiveAvgPool2d(1))
    model.add("flatten", Flatten())
    model.add("fc", Linear(channels, classes, init="fan_in_uniform"))
    model.input_shape = (in_channels, image_size, image_size)
    model.classes = classes
    return model


def cifar_resnet(
    depth: int, shortcuts: bool, /, classes: int = 10, in_channels: int = 3, image_size: int = 32
) -> Graph:
    """Section 4.2 of the paper: 6n + 2 layers for small images, 16, 32 and 64 channels wide.

    The shortcuts have no parameters (option A); the plain networks are the same without them. The output is logits.
    """
    model = Sequential([("conv1", convolution(in_channels, 16, 3)), ("bn1", BatchNorm2d(16)), ("relu", ReLU())])
    channels = 16
    for number, width in enumerate((16, 32, 64)):
        blocks = Sequential()
        for k in range((depth - 2) // 6):
            stride = 2 if number > 0 and k == 0 else 1
            blocks.add(str(k), small_block(channels, width, stride, shortcuts))
            channels = width
        model.add(f"layer{number + 1}", blocks)
    model.add("avgpool", AdaptiveAvgPool2d(1))
    model.add("flatten", Flatten())
    model.add("fc", Linear(64, classes, init="he_normal"))
    model.input_shape = (in_channels, image_size, image_size)
    model.classes = classes
    return model


def small_block(in_channels: int, width: int, stride: int, shortcut: bool) -> Graph:
    """Two 3x3 convolutions, with a shortcut that pads with zeros where the width changes, or without one."""
    block = two_convolutions(in_channels, width, stride)
    if shortcut:
        source = "input"
        if stride != 1 or in_channels != width:
            source = block.add("shortcut", PaddedShortcut(width, stride), "input")
        block.add("add", Add(), "bn2", source)
    block.add("relu2", ReLU())
    return block


_SOURCE = 'He et al., "Deep residual learning for image recognition", CVPR 2016'
_TRAINING = {"lr": 0.1, "weight_decay": 1e-4, "epochs": 90, "batch_size": 64}
_SMALL = {"lr": 0.1, "weight_decay": 1e-4, "epochs": 100, "batch_size": 128}

_DEPTHS: dict[int, tuple[Block, tuple[int, int, int, int], int]] = {
    18: (basic_block, (2, 2, 2, 2), 1),
    34: (basic_block, (3, 4, 6, 3), 1),
    50: (bottleneck, (3, 4, 6, 3), 4),
    101: (bottleneck, (3, 4, 23, 3), 4),
    152: (bottleneck, (3, 8, 36, 3), 4),
}

ENTRIES = (
    *(Entry(f"resnet{d}", partial(resnet, *how), (3, 224, 224), _SOURCE, _TRAINING) for d, how in _DEPTHS.items()),
    *(
        Entry(f"{kind}{depth}", partial(cifar_resnet, depth, kind == "resnet"), (3, 32, 32), _SOURCE, _SMALL)
        for kind in ("resnet", "plain")
        for depth in (20, 32, 44, 56, 110)
    ),
)
