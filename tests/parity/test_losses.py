"""Losses and optimisers against PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import pellucid as pc
from tests.losses.table import LOSS_CASES, LossCase, loss_inputs
from tests.losses.test_losses import build
from tests.oracles.compare import assert_close, assert_close_in_norm
from tests.oracles.losses import one_hot

pytestmark = pytest.mark.parity


def output_cross_entropy(z: Tensor, target: Tensor, _: LossCase) -> Tensor:
    """Summed over the outputs, the mean over the batch."""
    return functional.binary_cross_entropy(z, target, reduction="sum") / z.shape[0]


LOSSES: dict[str, Callable[[Tensor, Tensor, LossCase], Any]] = {
    "cross_entropy": lambda z, target, case: functional.cross_entropy(z, target, label_smoothing=case.label_smoothing),
    "output_cross_entropy": output_cross_entropy,
    "mean_squared_error": lambda z, target, _: functional.mse_loss(z, target),
}


@pytest.mark.parametrize("case", LOSS_CASES, ids=lambda case: case.id)
def test_losses_agree(case: LossCase, engine: str, repro: str) -> None:
    z, target = loss_inputs(case)
    z, target = z.astype(np.float32), target if target.ndim == 1 else target.astype(np.float32)
    value, dz = pc.loss_and_gradient(build(case), z, target, engine=engine, dtype="float32")
    if target.ndim == 1 and case.kind != "cross_entropy":
        target = one_hot(target.astype(np.int64), case.classes).astype(np.float32)
    leaf = torch.tensor(z, requires_grad=True)
    expected = LOSSES[case.kind](leaf, torch.tensor(target), case)
    torch.autograd.backward(expected)
    assert leaf.grad is not None
    assert_close("loss", np.array([value]), np.array([expected.item()]), rtol=1e-5, repro=repro)
    assert_close_in_norm("d z", dz, leaf.grad.numpy(), rtol=1e-5, repro=repro)
