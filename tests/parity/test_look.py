"""Saliency, guided backpropagation, the deconvnet and Grad-CAM against PyTorch with hooks, on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import pellucid as pc
from pellucid.look import gradients
from pellucid.look.grad_cam import grad_cam
from pellucid.look.network import Network
from tests.parity.networks import NETWORKS

pytestmark = pytest.mark.parity

Array = npt.NDArray[Any]
LIMIT = 1e-4


class Inception(nn.Module):
    """Two modules of four branches, as in GoogLeNet, with channels that a test can afford."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        for number, inside in ((1, 6), (2, 14)):
            for branch, (out, kernel) in enumerate(((4, 1), (4, 3), (3, 5), (3, 1))):
                setattr(self, f"branch{number}{branch}", nn.Conv2d(inside, out, kernel, padding=kernel // 2))
        self.fc = nn.Linear(14, 5)
        self.kept: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.stem(x)), 2)
        for number in (1, 2):
            pooled = functional.max_pool2d(x, 3, 1, 1)
            parts = [getattr(self, f"branch{number}{b}")(pooled if b == 3 else x) for b in range(4)]
            x = self.kept[f"concat{number}"] = torch.cat([torch.relu(part) for part in parts], 1)
        y: Tensor = self.fc(x.mean((2, 3)))
        return y


def inception() -> pc.Graph:
    """The same as a graph of Pellucid's layers."""
    layers = pc.layers
    graph = pc.Graph()
    graph.add("stem", layers.Conv2d(3, 6, 3, padding=1))
    graph.add("relu", layers.ReLU())
    last = graph.add("pool", layers.MaxPool2d(2))
    for number, inside in ((1, 6), (2, 14)):
        pooled = graph.add(f"pool{number}", layers.MaxPool2d(3, 1, 1), last)
        parts = []
        for branch, (out, kernel) in enumerate(((4, 1), (4, 3), (3, 5), (3, 1))):
            name = f"branch{number}{branch}"
            graph.add(name, layers.Conv2d(inside, out, kernel, padding=kernel // 2), pooled if branch == 3 else last)
            parts.append(graph.add(f"relu{number}{branch}", layers.ReLU(), name))
        last = graph.add(f"concat{number}", layers.Concat(), *parts)
    graph.add("gap", layers.GlobalAvgPool2d())
    graph.add("flatten", layers.Flatten())
    graph.add("fc", layers.Linear(14, 5))
    return graph


def stacked(*modules: tuple[str, nn.Module]) -> nn.Sequential:
    network = nn.Sequential()
    for name, module in modules:
        network.add_module(name, module)
    return network


def lenet() -> nn.Module:
    return stacked(
        ("conv1", nn.Conv2d(1, 6, 5, padding=2)), ("act1", nn.ReLU()), ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(6, 16, 5)), ("act2", nn.ReLU()), ("pool2", nn.MaxPool2d(2)), ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(400, 120)), ("act3", nn.ReLU()), ("fc2", nn.Linear(120, 84)), ("act4", nn.ReLU()),
        ("fc3", nn.Linear(84, 10)),
    )  # fmt: skip


VGG = [("conv1", 3, 4), ("conv2", 4, 6), ("conv3", 6, 8), ("conv4", 8, 8)]


def small_vgg() -> pc.Graph:
    blocks: list[tuple[str, pc.Layer]] = []
    for k, (name, inside, out) in enumerate(VGG, 1):
        blocks += [(name, pc.layers.Conv2d(inside, out, 3, padding=1)), (f"relu{k}", pc.layers.ReLU())]
        blocks += [(f"pool{k}", pc.layers.MaxPool2d(2))] if k % 2 == 0 else []
    fc = [("flatten", pc.layers.Flatten()), ("fc1", pc.layers.Linear(128, 20)), ("relu5", pc.layers.ReLU())]
    return pc.Sequential([*blocks, *fc, ("fc2", pc.layers.Linear(20, 7))])


def their_vgg() -> nn.Module:
    blocks: list[tuple[str, nn.Module]] = []
    for k, (name, inside, out) in enumerate(VGG, 1):
        blocks += [(name, nn.Conv2d(inside, out, 3, padding=1)), (f"relu{k}", nn.ReLU())]
        blocks += [(f"pool{k}", nn.MaxPool2d(2))] if k % 2 == 0 else []
    fc = [("flatten", nn.Flatten()), ("fc1", nn.Linear(128, 20)), ("relu5", nn.ReLU())]
    return stacked(*blocks, *fc, ("fc2", nn.Linear(20, 7)))


CASES: dict[str, tuple[Callable[[], pc.Graph], Callable[[], nn.Module], tuple[int, ...], str]] = {
    "lenet5": (
        lambda: pc.models.create("lenet5", activation="relu", pooling="max"), lenet, (1, 28, 28), "act2"
    ),
    "vgg": (small_vgg, their_vgg, (3, 16, 16), "relu4"),
    "resnet20": (
        lambda: pc.models.create("resnet20"), lambda: NETWORKS["resnet20"](10), (3, 32, 32), "layer3"
    ),
    "googlenet": (inception, Inception, (3, 16, 16), "concat2"),
}  # fmt: skip
"""Ours, theirs, the shape of an image, the layer that is looked at."""


class Pair:
    """One network twice, with the same random weights, and an image."""

    def __init__(self, name: str) -> None:
        ours, theirs, shape, self.layer = CASES[name]
        self.ours, self.theirs = ours().init(seed=4), theirs().eval().double()
        generator = np.random.default_rng(8)
        for tensor_name, tensor in self.ours.tensors().items():
            if tensor_name.endswith(("bias", "running_mean")):
                tensor.value = generator.normal(0, 0.1, tensor.extents).astype(np.float32)
            elif len(tensor.extents) == 1:
                tensor.value = generator.uniform(0.5, 1.5, tensor.extents).astype(np.float32)
        values = {
            n: torch.from_numpy(v.astype(np.float64)) for n, v in {**self.ours.parameters, **self.ours.states}.items()
        }
        missing, unexpected = self.theirs.load_state_dict(values, strict=False)
        assert not unexpected and all(n.endswith("num_batches_tracked") for n in missing)
        self.image = generator.normal(size=shape).astype(np.float32)

    def network(self, count: int = 1, *, native: bool = False) -> Network:
        return Network(self.ours, self.image.shape, count, dtype="float32" if native else "float64")

    def run(self, count: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        """Their image, the layer looked at, the scores."""
        x = torch.from_numpy(np.repeat(self.image[None].astype(np.float64), count, axis=0)).requires_grad_()
        kept: dict[str, Tensor] = {}
        modules = dict(self.theirs.named_modules())
        if self.layer in modules:
            modules[self.layer].register_forward_hook(lambda module, inputs, y: kept.update({self.layer: y}))
        y = self.theirs(x)
        kept |= getattr(self.theirs, "kept", {})
        return x, kept[self.layer], y


def install(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    """Let hooks at every ReLU change what flows back; the deconvnet's ReLU lets everything through beforehand."""
    plain = torch.relu

    def relu(x: Tensor, inplace: bool = False) -> Tensor:
        y = plain(x)
        if rule == "deconv":
            y = x + (y - x).detach()
        if rule != "gradient":
            y.register_hook(lambda g: g.clamp(min=0))
        return y

    monkeypatch.setattr(torch, "relu", relu)
    monkeypatch.setattr(functional, "relu", relu)


def assert_near(got: Array, wanted: Tensor) -> None:
    right = wanted.detach().numpy()
    assert got.shape == right.shape
    assert np.linalg.norm(right) > 0
    assert np.abs(got - right).max() <= LIMIT * np.abs(right).max()


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("rule", ["gradient", "guided"])
@pytest.mark.parametrize("name", CASES)
def test_a_class_followed_back(name: str, rule: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rule)
    pair = Pair(name)
    x, _, y = pair.run()
    label = int(y[0].argmax())
    (wanted,) = torch.autograd.grad(y[0, label], x)
    got = gradients.of_class(pair.network(native=native), pair.image, label, rule)
    assert_near(got, wanted[0])
    if rule == "gradient":
        assert_near(gradients.saliency(got), wanted[0].abs().amax(0))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_deconvolution(name: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "deconv")
    pair = Pair(name)
    channels = [2, 0, 5]
    x, maps, _ = pair.run(len(channels))
    seed = torch.zeros_like(maps)
    for number, channel in enumerate(channels):
        place = int(maps[number, channel].argmax())
        seed[number, channel].view(-1)[place] = maps[number, channel].detach().view(-1)[place]
    (wanted,) = torch.autograd.grad(maps, x, seed)
    values = maps[0].detach().numpy()
    network = pair.network(len(channels), native=native)
    assert_near(gradients.deconvolution(network, pair.image, pair.layer, values, channels), wanted)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_grad_cam(name: str, native: bool) -> None:
    pair = Pair(name)
    _, maps, y = pair.run()
    label = int(y[0].argmax())
    (gradient,) = torch.autograd.grad(y[0, label], maps)
    weights = gradient.mean((2, 3), keepdim=True)
    wanted = (weights * maps).sum(1).clamp(min=0)
    assert_near(grad_cam(pair.network(native=native), pair.image, pair.layer, label), wanted[0])
