"""Fifty steps of training of every family beside PyTorch's: the same weights, the same batches, and the same losses.

SGD with momentum 0.9, nothing dropped out. On the native engine, in single precision, every loss must be within 1e-3 of
PyTorch's. The learning rates are such that the loss falls steadily: with larger ones, each step magnifies the rounding
of the last, and two runs in single precision drift apart, whoever computes them. The plain network, in which no
shortcuts lead around the normalisations, drifts at smaller rates than it learns with. It is trained in double
precision, on the `numpy` engine, within 1e-6 of PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pellucid as pc
from tests.parity import networks
from tests.parity.twins import (
    CLASSES,
    FAMILIES,
    LOSSES,
    Array,
    Family,
    batch,
    given_to_torch,
    model,
    one_dense_layer,
    twins,
)

pytestmark = pytest.mark.parity

STEPS = 50
BATCHES = 5
"""Seen again and again, so that there is something to learn."""


def without_auxiliary(family: Family) -> Family:
    """The paper's GoogLeNet on small images, for which its auxiliary classifiers have no maps."""
    ours = model("googlenet", variant="paper", classes=CLASSES, auxiliary=False)
    return replace(family, ours=ours, theirs=lambda: networks.GoogLeNet(True, CLASSES, auxiliary=False))


@dataclass(frozen=True)
class Training:
    """Of which network, with which learning rate, on how many images at a time."""

    family: Family
    rate: float
    size: int = 4


SINGLE_PRECISION = {
    "notes-mlp": Training(FAMILIES["notes-mlp"], 0.05),
    "notes-cnn": Training(FAMILIES["notes-cnn"], 0.005),
    "lenet5": Training(FAMILIES["lenet5"], 0.01),
    "lenet5-1998": Training(FAMILIES["lenet5-1998"], 1e-5),
    "pilotnet": Training(FAMILIES["pilotnet"], 2e-5, 2),
    "textcnn": Training(FAMILIES["textcnn"], 0.05),
    "alexnet": Training(one_dense_layer("alexnet", 256), 5e-6),
    "alexnet-paper": Training(one_dense_layer("alexnet-paper", 256), 0.002),
    "vgg11": Training(one_dense_layer("vgg11", 512), 3e-5, 2),
    "googlenet-paper": Training(without_auxiliary(FAMILIES["googlenet-paper"]), 1e-6, 2),
    "googlenet": Training(FAMILIES["googlenet"], 3e-7, 8),
    "resnet18": Training(FAMILIES["resnet18"], 5e-6),
    "resnet20": Training(replace(FAMILIES["resnet20"], shape=(3, 16, 16)), 0.001),
}
DOUBLE_PRECISION = {
    "plain20": Training(replace(FAMILIES["plain20"], shape=(3, 16, 16)), 0.001),
}


def torch_loss(network: nn.Module, family: Family, x: Tensor, target: Tensor) -> Tensor:
    """With 0.3 times the loss of each auxiliary output."""
    outputs = network(x)
    first, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = LOSSES[family.loss]
    return loss(first, target) + 0.3 * sum((loss(out, target) for out in auxiliary), torch.zeros(()))


def losses(training: Training, engine: str, dtype: str) -> tuple[Array, Array]:
    """Every loss, ours and theirs."""
    family, rate = training.family, training.rate
    ours, theirs = twins(family, training=True)
    theirs.to(getattr(torch, dtype))
    optimizer = pc.optim.SGD(lr=rate, momentum=0.9)
    step = pc.compile_training(
        ours, training.size, family.shape, loss=family.loss, optimizer=optimizer, engine=engine, dtype=dtype
    )
    sgd = torch.optim.SGD(theirs.parameters(), lr=rate, momentum=0.9)
    found = []
    for number in range(STEPS):
        x, target = batch(family, training.size, seed=number % BATCHES)
        sgd.zero_grad()
        loss = torch_loss(theirs, family, *(given_to_torch(array, getattr(torch, dtype)) for array in (x, target)))
        torch.autograd.backward(loss)
        sgd.step()
        found.append((step(x, target), loss.item()))
    step.close()
    mine, right = np.array(found).T
    return mine, right


def assert_losses_track(training: Training, engine: str, dtype: str, limit: float) -> None:
    mine, right = losses(training, engine, dtype)
    off = np.abs(mine - right) / right
    print(f"losses from {right[0]:.3g} to {right[-1]:.3g}, off by at most {off.max():.1e} of PyTorch's")
    assert off.max() <= limit, f"step {off.argmax()}: the loss is {mine[off.argmax()]}, PyTorch's {right[off.argmax()]}"
    assert right[-BATCHES:].mean() < 0.9 * right[:BATCHES].mean(), "both of them learn"


@pytest.mark.parametrize("name", SINGLE_PRECISION)
def test_losses_in_single_precision(name: str) -> None:
    """On the native engine, within 1e-3 of PyTorch's."""
    assert_losses_track(SINGLE_PRECISION[name], "native", "float32", 1e-3)


@pytest.mark.parametrize("name", DOUBLE_PRECISION)
def test_losses_in_double_precision(name: str) -> None:
    """On the `numpy` engine, within 1e-6 of PyTorch's."""
    assert_losses_track(DOUBLE_PRECISION[name], "numpy", "float64", 1e-6)
