"""The small classic networks as PyTorch modules, written from the papers and the lecture notes under our names."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]


def scaled_tanh(x: Tensor) -> Tensor:
    """The activation of 1998."""
    return 1.7159 * torch.tanh(2 / 3 * x)


class LeNet5(nn.Module):
    """LeNet-5 of the notes `training`, with tanh and average pooling unless told otherwise."""

    def __init__(self, activation: Activation = torch.tanh, pooling: str = "average", padding: int = 2) -> None:
        super().__init__()
        self.activation = activation
        self.pool = functional.avg_pool2d if pooling == "average" else functional.max_pool2d
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=padding), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        f = self.activation
        x = self.pool(f(self.conv1(x)), 2)
        x = self.pool(f(self.conv2(x)), 2).flatten(1)
        logits: Tensor = self.fc3(f(self.fc2(f(self.fc1(x)))))
        return logits


class Subsampling(nn.Module):
    """The mean of windows 2x2, times a trained number for each map, plus another."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(maps)), nn.Parameter(torch.zeros(maps))

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 2) * self.weight[:, None, None] + self.bias[:, None, None]


TABLE_I = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""
"""Table I of LeCun et al. 1998 as it is printed: a row for each map of S2, a column for each map of C3."""


class ConnectedByTable(nn.Module):
    """C3: one kernel for each cross of the table, those of one output map after another."""

    def __init__(self) -> None:
        super().__init__()
        marks = torch.tensor([[mark == "X" for mark in row] for row in TABLE_I.split()]).T
        self.register_buffer("marks", marks, persistent=False)
        self.weight, self.bias = nn.Parameter(torch.zeros(int(marks.sum()), 5, 5)), nn.Parameter(torch.zeros(16))

    def forward(self, x: Tensor) -> Tensor:
        """An ordinary convolution whose other kernels are 0."""
        kernels = self.weight.new_zeros(16, 6, 5, 5)
        kernels[self.marks] = self.weight
        return functional.conv2d(x, kernels, self.bias)


class LeNet1998(nn.Module):
    """LeNet-5 as published; the codes that the output is compared with are given."""

    def __init__(self, codes: list[list[int]]) -> None:
        super().__init__()
        self.c1, self.s2, self.c3, self.s4 = nn.Conv2d(1, 6, 5), Subsampling(6), ConnectedByTable(), Subsampling(16)
        self.c5, self.f6 = nn.Conv2d(16, 120, 5), nn.Linear(120, 84)
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.c1, self.s2, self.c3, self.s4, self.c5):
            x = scaled_tanh(layer(x))
        x = scaled_tanh(self.f6(x.flatten(1)))
        return -(x[:, None] - self.codes).square().sum(2)


class NotesCNN(nn.Module):
    """The network of the notes `architecture`; its kernels are turned around, as PyTorch only correlates."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, 5)
        self.fc1, self.fc2 = nn.Linear(6 * 4 * 4, 50), nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2):
            flipped = conv.weight.flip(2, 3)
            x = functional.avg_pool2d(functional.relu(functional.conv2d(x, flipped, conv.bias)), 2)
        logits: Tensor = self.fc2(functional.relu(self.fc1(x.flatten(1))))
        return logits


class NotesMLP(nn.Module):
    """The 3-3-3-3 network of the notes `training`: its output is probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.fc3(torch.sigmoid(self.fc2(torch.relu(self.fc1(x))))), 1)


class PilotNet(nn.Module):
    """Five convolutions and four dense layers that steer a car."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 24, 5, 2), nn.Conv2d(24, 36, 5, 2)
        self.conv3, self.conv4, self.conv5 = nn.Conv2d(36, 48, 5, 2), nn.Conv2d(48, 64, 3), nn.Conv2d(64, 64, 3)
        self.fc1, self.fc2 = nn.Linear(1152, 100), nn.Linear(100, 50)
        self.fc3, self.fc4 = nn.Linear(50, 10), nn.Linear(10, 1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = torch.relu(conv(x))
        x = x.flatten(1)
        for dense in (self.fc1, self.fc2, self.fc3):
            x = torch.relu(dense(x))
        y: Tensor = self.fc4(x)
        return y


class TextCNN(nn.Module):
    """Filters over 3, 4 and 5 words, and the largest answer of each."""

    def __init__(self, classes: int, vocabulary: int, embedding: int, filters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=0)
        self.conv3, self.conv4, self.conv5 = (nn.Conv2d(1, filters, (width, embedding)) for width in (3, 4, 5))
        self.fc = nn.Linear(3 * filters, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)[:, None]
        y: Tensor = self.fc(torch.cat([torch.relu(c(x)).amax((2, 3)) for c in (self.conv3, self.conv4, self.conv5)], 1))
        return y
