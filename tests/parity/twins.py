"""Every family of models twice, ours and PyTorch's, with the same weights; what they are fed, their distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

import pellucid as pc
from pellucid.models.lenet import codes
from pellucid.models.summary import leaves
from tests.parity import classics, networks

Array = npt.NDArray[Any]
Answer = dict[str, Array]
CLASSES = 10


def output_cross_entropy(p: Tensor, target: Tensor) -> Tensor:
    """The notes' loss of each output by itself, summed over the outputs, the mean over the batch."""
    wanted = functional.one_hot(target, p.shape[1]).to(p.dtype)
    return functional.binary_cross_entropy(p, wanted, reduction="sum") / len(p)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "output_cross_entropy": output_cross_entropy,
    "mse": functional.mse_loss,
}


@dataclass(frozen=True)
class Family:
    """How to make both, and for which inputs; `words` is how many words there are where the input is text."""

    ours: Callable[[], pc.Graph]
    theirs: Callable[[], nn.Module]
    shape: tuple[int, ...]
    classes: int = CLASSES
    loss: str = "cross_entropy"
    words: int = 0


def model(name: str, **options: Any) -> Callable[[], pc.Graph]:
    return lambda: pc.models.create(name, **options)


def large(name: str, size: int, **options: Any) -> Family:
    """One of the architectures of `networks.py`, for 10 classes."""
    architecture = name.partition("-")[0]
    return Family(
        model(architecture, classes=CLASSES, **options), lambda: undrawn(name).to_empty(device="cpu"), (3, size, size)
    )


def undrawn(name: str) -> nn.Module:
    """A network of PyTorch's without memory for its weights, which it would fill with random numbers for nothing."""
    with torch.device("meta"):
        return networks.NETWORKS[name](CLASSES)


TEXT = {"classes": 3, "vocabulary": 50, "embedding": 20, "filters": 8}

FAMILIES = {
    "notes-mlp": Family(model("notes-mlp"), classics.NotesMLP, (3,), 3, "output_cross_entropy"),
    "notes-cnn": Family(model("notes-cnn"), classics.NotesCNN, (1, 28, 28)),
    "lenet5": Family(model("lenet5"), classics.LeNet5, (1, 28, 28)),
    "lenet5-1998": Family(model("lenet5-1998"), lambda: classics.LeNet1998(codes(10)), (1, 32, 32)),
    "pilotnet": Family(model("pilotnet"), classics.PilotNet, (3, 66, 200), 1, "mse"),
    "textcnn": Family(model("textcnn", length=12, **TEXT), lambda: classics.TextCNN(**TEXT), (12,), 3, words=50),
    "alexnet": large("alexnet", 63),
    "alexnet-paper": large("alexnet-paper", 67, variant="paper"),
    "vgg11": large("vgg11", 32),
    "resnet18": large("resnet18", 64),
    "resnet50": large("resnet50", 64),
    "resnet20": large("resnet20", 32),
    "plain20": large("plain20", 32),
    "googlenet": large("googlenet", 64),
    "googlenet-paper": large("googlenet-paper", 64, variant="paper"),
}
NORMALISED = ("resnet18", "resnet50", "resnet20", "plain20", "googlenet")
"""Networks with batch normalisation, which behave otherwise while training."""


def one_dense_layer(name: str, channels: int) -> Family:
    """AlexNet or VGG with one dense layer, from so many channels, in place of three of 55 to 120 million weights."""

    def ours() -> pc.Graph:
        features = FAMILIES[name].ours()["features"]
        head = pc.Sequential([("0", pc.layers.Linear(channels, CLASSES))])
        layers = [("avgpool", pc.layers.AdaptiveAvgPool2d(1)), ("flatten", pc.layers.Flatten()), ("classifier", head)]
        return pc.Sequential([("features", features), *layers])

    def theirs() -> nn.Module:
        network = undrawn(name)
        assert isinstance(network, networks.Classifier)
        network.size, network.classifier = 1, nn.Sequential(nn.Linear(channels, CLASSES))
        return network.to_empty(device="cpu")

    return replace(FAMILIES[name], ours=ours, theirs=theirs)


def draw_weights(network: pc.Graph, seed: int) -> None:
    """He's normal distribution for kernels; biases and normalisations that do something, or mistakes would not show."""
    generator = np.random.default_rng(seed)
    for name, tensor in network.tensors().items():
        if len(tensor.extents) > 1:
            fan_in = int(np.prod(tensor.extents[1:]))
            value = generator.standard_normal(tensor.extents, np.float32) * (2 / fan_in) ** 0.5
        elif name.endswith("bn3.weight"):
            # Small at the end of a bottleneck, as in networks that learn: the shortcuts keep rounding from growing.
            value = generator.uniform(0.1, 0.3, tensor.extents)
        elif name.endswith(("bias", "running_mean")):
            value = generator.normal(0, 0.1, tensor.extents)
        else:
            value = generator.uniform(0.5, 1.5, tensor.extents)
        if name == "embedding.weight":
            value[0] = 0  # of the word that fills up short sentences: PyTorch reads it, but never learns it
        tensor.value = value.astype(np.float32)


def twins(family: Family, training: bool, seed: int = 5) -> tuple[pc.Graph, nn.Module]:
    """The same network twice, with the same random weights, and dropping nothing out."""
    ours, theirs = family.ours(), family.theirs().train(training)
    draw_weights(ours, seed)
    for _, _, layer in leaves(ours):
        if isinstance(layer, pc.layers.Dropout):
            layer.p = 0.0
    for module in theirs.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    values = {n: torch.from_numpy(v.copy()) for n, v in {**ours.parameters, **ours.states}.items()}
    missing, unexpected = theirs.load_state_dict(values, strict=False)
    assert not unexpected and all(n.endswith("num_batches_tracked") for n in missing)
    return ours, theirs


def batch(family: Family, number: int = 2, seed: int = 7) -> tuple[Array, Array]:
    """Random images, or sentences of which some are filled up, and what they should give."""
    generator = np.random.default_rng(seed)
    if family.words:
        x: Array = generator.integers(1, family.words, size=(number, *family.shape))
        x[0, -3:] = 0
    else:
        x = generator.normal(size=(number, *family.shape)).astype(np.float32)
    if family.loss == "mse":
        return x, generator.normal(size=(number, family.classes)).astype(np.float32)
    return x, generator.integers(family.classes, size=number)


def given_to_torch(array: Array, dtype: torch.dtype = torch.double) -> Tensor:
    """Real numbers in this precision, whole ones as they are."""
    tensor = torch.from_numpy(array.copy())
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def answer_of_torch(network: nn.Module, x: Array, dy: Array, dtype: torch.dtype = torch.double) -> Answer:
    """The last output and all its gradients; parameters that only auxiliary outputs depend on have zeros."""
    network.to(dtype).zero_grad()
    given = given_to_torch(x, dtype)
    given.requires_grad_(given.is_floating_point())
    out = network(given)
    out = out[0] if isinstance(out, tuple) else out
    torch.autograd.backward(out, torch.from_numpy(dy).to(dtype))
    found = {"y": out.detach()} | ({} if given.grad is None else {"d x": given.grad})
    for name, parameter in network.named_parameters():
        found[f"d {name}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return {name: tensor.numpy() for name, tensor in found.items()}


def answer_of_ours(network: pc.Graph, x: Array, dy: Array, *, engine: str, dtype: str, training: bool) -> Answer:
    """The same from an engine."""
    y, dx, gradients = pc.vjp(network, x, dy, engine=engine, dtype=dtype, training=training)
    by_input = {} if x.dtype.kind == "i" else {"d x": dx}
    return {"y": y, **by_input, **{f"d {name}": gradient for name, gradient in gradients.items()}}


def distance(got: Array, wanted: Array) -> float:
    """How far two arrays are apart, against the length of the right one."""
    assert got.shape == wanted.shape
    length = float(np.linalg.norm(wanted.astype(np.float64)))
    return float(np.linalg.norm(got.astype(np.float64) - wanted)) / (length or 1.0)


def distances(got: Answer, right: Answer) -> dict[str, float]:
    assert got.keys() == right.keys()
    return {name: distance(got[name], wanted) for name, wanted in right.items()}
