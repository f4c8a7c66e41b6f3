"""The published networks of the notes `training`: what enters their dense parts, how many parameters.

Nothing is computed with them; their shapes and parameters are counted from the layers' equations.
"""
# ruff: noqa: D103  what each function computes is said by its item

from pellucid import models
from pellucid.layers import Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU
from pellucid.lessons.workings import Step


def _lenet() -> models.Summary:
    return models.create("lenet5", image_size=32).summary((1, 32, 32))


def lenet_features() -> float:
    return next(row.output_shape[0] for row in _lenet().rows if row.kind == "Flatten")


def lenet_classes() -> float:
    return _lenet().rows[-1].output_shape[0]


def lenet_parameters() -> float:
    return _lenet().parameters


def alexnet_parameters() -> float:
    """The network of 2012, its layers split over two processors (groups)."""
    features = [
        Conv2d(3, 96, 11, stride=4), ReLU(), MaxPool2d(3, 2),
        Conv2d(96, 256, 5, padding=2, groups=2), ReLU(), MaxPool2d(3, 2),
        Conv2d(256, 384, 3, padding=1), ReLU(),
        Conv2d(384, 384, 3, padding=1, groups=2), ReLU(),
        Conv2d(384, 256, 3, padding=1, groups=2), ReLU(), MaxPool2d(3, 2),
    ]  # fmt: skip
    dense = [Flatten(), Linear(9216, 4096), ReLU(), Linear(4096, 4096), ReLU(), Linear(4096, 1000)]
    return models.Sequential([*features, *dense]).summary((3, 227, 227)).parameters


def _vgg() -> models.Summary:
    widths = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: pool
    features: list[Layer] = []
    channels = 3
    for width in widths:
        features += [Conv2d(channels, width, 3, padding=1), ReLU()] if width else [MaxPool2d(2)]
        channels = width or channels
    dense = [Flatten(), Linear(25088, 4096), ReLU(), Linear(4096, 4096), ReLU(), Linear(4096, 1000)]
    return models.Sequential([*features, *dense]).summary((3, 224, 224))


def vgg_features() -> float:
    return next(row.output_shape[0] for row in _vgg().rows if row.kind == "Flatten")


def vgg_classes() -> float:
    return _vgg().rows[-1].output_shape[0]


def vgg_parameters() -> float:
    return _vgg().parameters


STEPS: tuple[Step, ...] = (
    lenet_features, lenet_classes, lenet_parameters, alexnet_parameters, vgg_features, vgg_classes,
    vgg_parameters,
)  # fmt: skip
