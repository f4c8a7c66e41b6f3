"""The classic architectures as PyTorch modules, written from the papers' tables under torchvision's names."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two or three convolutions and a shortcut: "projected", "padded" or "none"."""

    def __init__(self, sizes: list[tuple[int, int, int, int]], shortcut: str) -> None:
        super().__init__()
        for k, (inside, out, kernel, stride) in enumerate(sizes, 1):
            setattr(self, f"conv{k}", nn.Conv2d(inside, out, kernel, stride, kernel // 2, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(out))
        self.depth, self.shortcut = len(sizes), shortcut
        inside, out = sizes[0][0], sizes[-1][1]
        self.out, self.stride = out, max(stride for *_, stride in sizes)
        if shortcut == "projected" and (inside != out or self.stride != 1):
            self.downsample = nn.Sequential(nn.Conv2d(inside, out, 1, self.stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for k in range(1, self.depth + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            y = torch.relu(y) if k < self.depth else y
        if self.shortcut == "projected":
            y = y + (self.downsample(x) if hasattr(self, "downsample") else x)
        elif self.shortcut == "padded":
            cut = x[:, :, :: self.stride, :: self.stride]
            y = y + torch.cat([cut, cut.new_zeros(len(x), self.out - x.shape[1], *cut.shape[2:])], 1)
        return torch.relu(y)


class ResNet(nn.Module):
    """A stem, stages of blocks, the mean, a dense layer."""

    def __init__(self, stem: nn.Conv2d, pool: bool, stages: list[list[Block]], classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.pool = stem, nn.BatchNorm2d(stem.out_channels), pool
        self.stages = len(stages)
        for number, blocks in enumerate(stages, 1):
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.fc = nn.Linear(stages[-1][-1].out, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, 2, 1) if self.pool else x
        for number in range(1, self.stages + 1):
            x = getattr(self, f"layer{number}")(x)
        y: Tensor = self.fc(x.mean((2, 3)))
        return y


def resnet(depths: tuple[int, ...], bottleneck: bool, classes: int) -> ResNet:
    """ResNet-18 to 152."""
    stages, inside = [], 64
    for number, depth in enumerate(depths):
        width, blocks = 64 << number, []
        for k in range(depth):
            stride = 2 if number and not k else 1
            if bottleneck:
                sizes = [(inside, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
            else:
                sizes = [(inside, width, 3, stride), (width, width, 3, 1)]
            blocks.append(Block(sizes, "projected"))
            inside = sizes[-1][1]
        stages.append(blocks)
    return ResNet(nn.Conv2d(3, 64, 7, 2, 3, bias=False), True, stages, classes)


def small_resnet(depth: int, shortcut: str, classes: int) -> ResNet:
    """The networks for CIFAR; "padded" shortcuts or "none"."""
    stages, inside = [], 16
    for width in (16, 32, 64):
        blocks = []
        for _ in range((depth - 2) // 6):
            stride = 1 if inside == width else 2
            blocks.append(Block([(inside, width, 3, stride), (width, width, 3, 1)], shortcut))
            inside = width
        stages.append(blocks)
    return ResNet(nn.Conv2d(3, 16, 3, 1, 1, bias=False), False, stages, classes)


class Classifier(nn.Module):
    """Features, their mean over so many windows, dense layers: AlexNet and VGG."""

    def __init__(self, features: list[nn.Module], size: int, dense: list[nn.Module]) -> None:
        super().__init__()
        self.features, self.size, self.classifier = nn.Sequential(*features), size, nn.Sequential(*dense)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.adaptive_avg_pool2d(self.features(x), self.size)
        y: Tensor = self.classifier(torch.flatten(x, 1))
        return y


def vgg(columns: str, classes: int) -> Classifier:
    """A number is a convolution, M is pooling."""
    features: list[nn.Module] = []
    inside = 3
    for entry in columns.split():
        if entry == "M":
            features.append(nn.MaxPool2d(2))
        else:
            features += [nn.Conv2d(inside, int(entry), 3, padding=1), nn.ReLU()]
            inside = int(entry)
    dense = [
        nn.Linear(7 * 7 * 512, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
        nn.Linear(4096, classes),
    ]  # fmt: skip
    return Classifier(features, 7, dense)


def alexnet(paper: bool, classes: int) -> Classifier:
    """Of 2012, or of 2014."""

    def norm() -> list[nn.Module]:
        return [nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)] if paper else []

    def conv(inside: int, out: int, kernel: int, groups: int, **movement: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, out, kernel, groups=groups if paper else 1, **movement), nn.ReLU()]

    one, two, four = (96, 256, 384) if paper else (64, 192, 256)
    features = [
        *conv(3, one, 11, 1, stride=4, padding=0 if paper else 2), *norm(), nn.MaxPool2d(3, 2),
        *conv(one, two, 5, 2, padding=2), *norm(), nn.MaxPool2d(3, 2),
        *conv(two, 384, 3, 1, padding=1), *conv(384, four, 3, 2, padding=1), *conv(four, 256, 3, 2, padding=1),
        nn.MaxPool2d(3, 2),
    ]  # fmt: skip
    dense = [
        nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Linear(4096, classes),
    ]  # fmt: skip
    return Classifier(features, 6, dense)


class Unit(nn.Module):
    """A convolution of GoogLeNet: normalised, or with a bias."""

    def __init__(self, paper: bool, inside: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, out, kernel, stride, kernel // 2, bias=paper)
        if not paper:
            self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.relu(self.bn(y) if hasattr(self, "bn") else y)


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, paper: bool, inside: int, one: int, r3: int, three: int, r5: int, five: int, pool: int) -> None:
        super().__init__()
        self.branch1 = Unit(paper, inside, one, 1)
        self.branch2 = nn.Sequential(Unit(paper, inside, r3, 1), Unit(paper, r3, three, 3))
        self.branch3 = nn.Sequential(Unit(paper, inside, r5, 1), Unit(paper, r5, five, 5 if paper else 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Unit(paper, inside, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """A classifier in the middle; its dropout is left out here, because random numbers cannot be compared."""

    def __init__(self, paper: bool, inside: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3) if paper else nn.AdaptiveAvgPool2d(4)
        self.conv = Unit(paper, inside, 128, 1)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(torch.relu(self.fc1(torch.flatten(self.conv(self.pool(x)), 1))))
        return y


INCEPTION = {
    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip


class GoogLeNet(nn.Module):
    """While training its output is three outputs, with those of the auxiliary classifiers, if it has these."""

    def __init__(self, paper: bool, classes: int, auxiliary: bool = True) -> None:
        super().__init__()
        self.paper, self.auxiliary = paper, auxiliary
        self.conv1, self.conv2, self.conv3 = Unit(paper, 3, 64, 7, 2), Unit(paper, 64, 64, 1), Unit(paper, 64, 192, 3)
        for name, numbers in INCEPTION.items():
            setattr(self, f"inception{name}", Inception(paper, *numbers))
        if auxiliary:
            self.aux1, self.aux2 = Auxiliary(paper, 512, classes), Auxiliary(paper, 528, classes)
        self.fc = nn.Linear(1024, classes)

    def norm(self, x: Tensor) -> Tensor:
        return functional.local_response_norm(x, 5) if self.paper else x

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        x = self.norm(functional.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True))
        x = functional.max_pool2d(self.norm(self.conv3(self.conv2(x))), 3, 2, ceil_mode=True)
        kept: dict[str, Tensor] = {}
        for name in INCEPTION:
            x = kept[name] = getattr(self, f"inception{name}")(x)
            if name in ("3b", "4e"):
                x = functional.max_pool2d(x, 3 if name == "3b" or self.paper else 2, 2, ceil_mode=True)
        y: Tensor = self.fc(x.mean((2, 3)))
        if not (self.auxiliary and self.training):
            return y
        return y, self.aux1(kept["4a"]), self.aux2(kept["4d"])


VGG11 = "64 M 128 M 256 256 M 512 512 M 512 512 M"

NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "resnet18": lambda classes: resnet((2, 2, 2, 2), False, classes),
    "resnet50": lambda classes: resnet((3, 4, 6, 3), True, classes),
    "resnet20": lambda classes: small_resnet(20, "padded", classes),
    "plain20": lambda classes: small_resnet(20, "none", classes),
    "vgg11": lambda classes: vgg(VGG11, classes),
    "alexnet": lambda classes: alexnet(False, classes),
    "alexnet-paper": lambda classes: alexnet(True, classes),
    "googlenet": lambda classes: GoogLeNet(False, classes),
    "googlenet-paper": lambda classes: GoogLeNet(True, classes),
}
