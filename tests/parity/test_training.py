"""Optimisers, and the options and predictions of the small models, against PyTorch with the same weights."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import pellucid as pc
from tests.optim.table import OPTIMIZER_CASES, OptimizerCase
from tests.oracles.compare import assert_close, assert_close_in_norm
from tests.parity.classics import LeNet5, NotesCNN, scaled_tanh

pytestmark = pytest.mark.parity
Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]

TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


MODELS: dict[str, tuple[str, Mapping[str, Any], Callable[[], nn.Module]]] = {
    "lenet5": ("lenet5", {}, LeNet5),
    "lenet5-max-relu": (
        "lenet5",
        {"activation": "relu", "pooling": "max"},
        lambda: LeNet5(torch.relu, "max"),
    ),
    "lenet5-sigmoid": ("lenet5", {"activation": "sigmoid"}, lambda: LeNet5(torch.sigmoid)),
    "lenet5-scaled-tanh": (
        "lenet5",
        {"activation": "scaled_tanh", "image_size": 32},
        lambda: LeNet5(scaled_tanh, padding=0),
    ),
    "notes-cnn": ("notes-cnn", {}, NotesCNN),
}
every_model = pytest.mark.parametrize("name", MODELS)


def twins(name: str) -> tuple[pc.Graph, nn.Module]:
    """The product's model and PyTorch's with the same weights."""
    registered, options, make = MODELS[name]
    model = pc.models.create(registered, **options).init(seed=5)
    twin = make()
    generator = np.random.default_rng(5)
    weights = {
        # Biases start at zero; a little noise shows whether they are used.
        key: value + 0.1 * generator.normal(size=value.shape).astype(np.float32) * key.endswith("bias")
        for key, value in model.parameters.items()
    }
    model.load(weights)
    twin.load_state_dict({key: torch.tensor(value) for key, value in weights.items()}, strict=True)
    return model, twin


def batches(model: pc.Graph, count: int, size: int = 16) -> list[Batch]:
    """Images in the range of real ones, and labels that depend on them: there is something to learn."""
    generator = np.random.default_rng(7)
    assert model.input_shape is not None
    patterns = generator.uniform(size=(10, *model.input_shape))
    made = []
    for _ in range(count):
        labels = generator.integers(10, size=size)
        images = 0.7 * patterns[labels] + 0.3 * generator.uniform(size=(size, *model.input_shape))
        made.append((images.astype(np.float32), labels))
    return made


@every_model
def test_models_agree(name: str, engine: str, repro: str) -> None:
    """Output, gradient by the images, gradient by every parameter."""
    model, twin = twins(name)
    x, _ = batches(model, 1, size=8)[0]
    dy = np.random.default_rng(9).normal(size=(8, 10)).astype(np.float32)
    y, dx, gradients = pc.vjp(model, x, dy, engine=engine, training=True)
    leaf = torch.tensor(x, requires_grad=True)
    expected = twin(leaf)
    torch.autograd.backward(expected, torch.tensor(dy))
    assert leaf.grad is not None
    assert_close_in_norm("y", y, expected.detach().numpy(), rtol=1e-5, repro=repro)
    assert_close_in_norm("d x", dx, leaf.grad.numpy(), rtol=1e-5, repro=repro)
    named = dict(twin.named_parameters())
    assert set(gradients) == set(named)
    for key, parameter in named.items():
        assert parameter.grad is not None
        assert_close_in_norm(f"d {key}", gradients[key], parameter.grad.numpy(), rtol=1e-5, repro=repro)


@every_model
def test_predictions_agree(name: str, engine: str, repro: str) -> None:
    model, twin = twins(name)
    x, _ = batches(model, 1, size=70)[0]
    with torch.no_grad():
        expected = twin(torch.tensor(x)).numpy()
    assert_close_in_norm("y", pc.predict(model, x, engine=engine), expected, rtol=1e-5, repro=repro)


def torch_step(twin: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor) -> float:
    """One step of PyTorch's training; its loss."""
    optimizer.zero_grad()
    loss = functional.cross_entropy(twin(x), labels)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case.id)
def test_optimizers_agree(case: OptimizerCase, double_engine: str, repro: str) -> None:
    """Five steps in double precision, so that nothing but the rule can differ."""
    model, twin = twins("notes-cnn")
    twin = twin.double()
    assert model.input_shape is not None
    step = pc.compile_training(
        model,
        batch_size=16,
        input_shape=model.input_shape,
        loss="cross_entropy",
        optimizer=pc.optim.get(case.kind, **case.options),
        engine=double_engine,
        dtype="float64",
    )
    options = {"lr": 1e-3, **case.options}
    optimizer = TORCH[case.kind](twin.parameters(), **options)
    for number, (x, labels) in enumerate(batches(model, 5)):
        expected = torch_step(twin, optimizer, torch.tensor(x).double(), torch.tensor(labels))
        assert_close(f"loss {number}", np.array([step(x, labels)]), np.array([expected]), rtol=1e-7, repro=repro)
    for key, parameter in twin.named_parameters():
        wanted = parameter.detach().numpy()
        assert_close(key, step.parameters[key], wanted, rtol=1e-5, atol=1e-9, repro=repro)
