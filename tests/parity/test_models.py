"""Whole architectures against PyTorch: the same weights and images, outputs and all gradients."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch.nn import functional

import pellucid as pc
from pellucid.models.summary import leaves
from tests.parity.networks import NETWORKS

pytestmark = pytest.mark.parity

Floats = npt.NDArray[np.float32]
CLASSES = 10
SIZES = {
    "resnet18": 64, "resnet50": 64, "resnet20": 32, "plain20": 32, "vgg11": 32, "alexnet": 63, "alexnet-paper": 67,
    "googlenet": 128, "googlenet-paper": 224,
}  # fmt: skip
"""Small images; not so small that GoogLeNet normalises maps of nearly equal values, whose rounding decides a ReLU."""
NORMALISED = ("resnet18", "resnet50", "resnet20", "plain20", "googlenet")
"""Networks that behave otherwise while training."""
MODES = [(name, False) for name in SIZES] + [(name, True) for name in NORMALISED]


def pair(name: str, training: bool) -> tuple[pc.Graph, nn.Module]:
    """The same network twice, with the same random weights, and dropping nothing out."""
    architecture, _, variant = name.partition("-")
    options = {"variant": variant} if variant else {}
    ours = pc.models.create(architecture, classes=CLASSES, **options).init(seed=3)
    for _, _, layer in leaves(ours):
        if isinstance(layer, pc.layers.Dropout):
            layer.p = 0.0
    generator = np.random.default_rng(5)
    for tensor_name, tensor in ours.tensors().items():
        # Normalisation and biases that do nothing would hide mistakes.
        if tensor_name.endswith(("bias", "running_mean")):
            tensor.value = generator.normal(0, 0.1, tensor.extents).astype(np.float32)
        elif len(tensor.extents) == 1:
            tensor.value = generator.uniform(0.5, 1.5, tensor.extents).astype(np.float32)
        elif architecture == "alexnet" or architecture == "googlenet":
            # Deviations of 0.01 let the values die away on the way through so small an image.
            fan_in = int(np.prod(tensor.extents[1:]))
            tensor.value = generator.normal(0, (2 / fan_in) ** 0.5, tensor.extents).astype(np.float32)
    theirs = NETWORKS[name](CLASSES).train(training)
    for module in theirs.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    values = {n: torch.from_numpy(v.copy()) for n, v in {**ours.parameters, **ours.states}.items()}
    missing, unexpected = theirs.load_state_dict(values, strict=False)
    assert not unexpected and all(n.endswith("num_batches_tracked") for n in missing)
    return ours, theirs


def images(name: str, number: int = 2) -> Floats:
    size = SIZES[name]
    return np.random.default_rng(7).normal(size=(number, 3, size, size)).astype(np.float32)


Answer = dict[str, npt.NDArray[np.float64]]


def distances(got: Answer, right: Answer) -> dict[str, float]:
    """How far each array is from the right one, against the right one's length."""
    assert got.keys() == right.keys()
    found = {}
    for name, wanted in right.items():
        assert got[name].shape == wanted.shape, name
        length, off = float(np.linalg.norm(wanted)), float(np.linalg.norm(got[name] - wanted))
        found[name] = off / length if length else off
    return found


def assert_near(name: str, got: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic], limit: float) -> None:
    off = distances({name: got.astype(np.float64)}, {name: wanted.astype(np.float64)})[name]
    assert off <= limit, f"{name}: off by {off:.2e} of its length"


def answer_of_torch(network: nn.Module, x: Floats, dy: Floats, dtype: torch.dtype) -> Answer:
    """Output and all gradients."""
    network.to(dtype).zero_grad()
    given = torch.tensor(x, dtype=dtype, requires_grad=True)
    out = network(given)
    out = out[0] if isinstance(out, tuple) else out
    torch.autograd.backward(out, torch.from_numpy(dy).to(dtype))
    assert given.grad is not None
    found = {"y": out.detach(), "d x": given.grad}
    for name, parameter in network.named_parameters():
        found[f"d {name}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return {name: tensor.numpy().astype(np.float64) for name, tensor in found.items()}


@pytest.mark.parametrize(("name", "training"), MODES, ids=[f"{n}-{'training' if t else 'inference'}" for n, t in MODES])
def test_outputs_and_gradients(name: str, training: bool) -> None:
    """Within 1e-4 and 1e-3 of what double precision gives.

    A batch normalisation of few values magnifies rounding; where PyTorch's own single precision is further off than
    that, three times its distance is allowed.
    """
    ours, theirs = pair(name, training)
    x, dy = images(name), np.random.default_rng(11).normal(size=(2, CLASSES)).astype(np.float32)
    own = distances(
        answer_of_torch(theirs, x, dy, torch.float32), right := answer_of_torch(theirs, x, dy, torch.double)
    )
    y, dx, gradients = pc.vjp(ours, x, dy, engine="native", training=training)
    got = {"y": y, "d x": dx} | {f"d {n}": gradient for n, gradient in gradients.items()}
    for array, off in distances({n: a.astype(np.float64) for n, a in got.items()}, right).items():
        limit = max(1e-4 if array == "y" else 1e-3, 3 * max(own.values()))
        assert off <= limit, f"{array}: off by {off:.2e} of its length"


@pytest.mark.parametrize("name", ["resnet20", "googlenet"])
def test_training_in_double_precision(name: str) -> None:
    """Where rounding does not blur them, the derived gradients are PyTorch's."""
    ours, theirs = pair(name, training=True)
    x, dy = images(name), np.random.default_rng(13).normal(size=(2, CLASSES)).astype(np.float32)
    right = answer_of_torch(theirs, x, dy, torch.double)
    y, dx, gradients = pc.vjp(ours, x, dy, engine="numpy", dtype="float64", training=True)
    got = {"y": y, "d x": dx} | {f"d {n}": gradient for n, gradient in gradients.items()}
    for array, off in distances(got, right).items():
        assert off <= 1e-9, f"{array}: off by {off:.2e} of its length"


def test_auxiliary_losses_and_running_statistics() -> None:
    """One step of GoogLeNet: the loss with 0.3 times each auxiliary one, what it does to every parameter and state."""
    ours, theirs = pair("googlenet", training=True)
    theirs.double()
    x, labels, rate = images("googlenet"), np.array([1, 7]), 0.5
    optimizer = pc.optim.SGD(lr=rate)
    step = pc.compile_training(ours, 2, x.shape[1:], optimizer=optimizer, engine="numpy", dtype="float64")
    loss = step(x, labels)
    targets = torch.from_numpy(labels)
    losses = [functional.cross_entropy(out, targets) for out in theirs(torch.from_numpy(x).double())]
    total = losses[0] + 0.3 * losses[1] + 0.3 * losses[2]
    total.backward()
    assert loss == pytest.approx(float(total.detach()), rel=1e-9)
    after = step.parameters
    step.close()
    before = {name: value.copy() for name, value in ours.parameters.items()}
    for name, parameter in theirs.named_parameters():
        assert parameter.grad is not None
        assert_near(name, (before[name] - after[name]) / rate, parameter.grad.numpy(), 1e-8)
    for name, state in theirs.named_buffers():
        if not name.endswith("num_batches_tracked"):
            assert_near(name, after[name], state.numpy(), 1e-9)


@pytest.mark.parametrize("name", ["resnet20", "plain20"])
def test_losses_of_training_steps(name: str) -> None:
    """Five steps with momentum and weight decay, running statistics included; in double precision.

    In single precision two networks drift apart: without shortcuts each step magnifies the rounding of the last.
    """
    ours, theirs = pair(name, training=True)
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-4}
    theirs.double()
    sgd = pc.optim.SGD(**settings)
    step = pc.compile_training(ours, 8, (3, 32, 32), optimizer=sgd, engine="numpy", dtype="float64")
    optimizer = torch.optim.SGD(theirs.parameters(), **settings)
    x, labels = images(name, 8), np.arange(8) % CLASSES
    for number in range(5):
        loss = functional.cross_entropy(theirs(torch.from_numpy(x).double()), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert step(x, labels) == pytest.approx(float(loss.detach()), rel=1e-7), f"step {number}"
    after = step.parameters
    step.close()
    for state, value in theirs.named_buffers():
        if not state.endswith("num_batches_tracked"):
            assert_near(state, after[state], value.numpy(), 1e-7)
