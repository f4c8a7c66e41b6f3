"""Every family of models against PyTorch: the same weights, a batch of two, output and all gradients.

The reference is always PyTorch in double precision. The `numpy` engine computes in double precision too and must agree
to 1e-10: nothing is left for rounding to explain. The `native` engine computes in single precision and must be within
1e-4 (outputs) and 1e-3 (gradients) of the reference, each array against its own length.

Rounding decides on which side of a ReLU's kink a value falls that is all but 0, which of two all but equal values is
the maximum, and everything where a batch normalisation has a few all but equal values. Images and seeds are such that
single precision suffices; PyTorch's own single precision meets the same limits, which is tested.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

import pellucid as pc
from tests.parity import twins
from tests.parity.twins import FAMILIES, NORMALISED, Answer, distance

pytestmark = pytest.mark.parity

MODES = [(name, False) for name in FAMILIES] + [(name, True) for name in NORMALISED]
IDS = [f"{name}-{'training' if training else 'inference'}" for name, training in MODES]
LARGER = {"googlenet": 96}
"""Images on which single precision suffices while training: on smaller ones too few values are normalised together."""


def assert_near(which: str, got: Answer, right: Answer, of_output: float, of_gradients: float) -> None:
    found = twins.distances(got, right)
    print(f"{which}: y {found['y']:.1e}, gradients up to {max(v for n, v in found.items() if n != 'y'):.1e}")
    for array, off in found.items():
        assert off <= (of_output if array == "y" else of_gradients), (
            f"{which}: {array} is off by {off:.2e} of its length"
        )


@pytest.mark.parametrize(("name", "training"), MODES, ids=IDS)
def test_outputs_and_gradients(name: str, training: bool) -> None:
    family = FAMILIES[name]
    ours, theirs = twins.twins(family, training)
    dy = np.random.default_rng(11).normal(size=(2, family.classes)).astype(np.float32)
    x, _ = twins.batch(family)
    right = twins.answer_of_torch(theirs, x, dy)
    double = twins.answer_of_ours(ours, x, dy, engine="numpy", dtype="float64", training=training)
    assert_near("numpy", double, right, 1e-10, 1e-10)
    if training and name in LARGER:
        x, _ = twins.batch(replace(family, shape=(3, LARGER[name], LARGER[name])))
        right = twins.answer_of_torch(theirs, x, dy)
    single = twins.answer_of_ours(ours, x, dy, engine="native", dtype="float32", training=training)
    assert_near("native", single, right, 1e-4, 1e-3)
    assert_near("PyTorch's single precision", twins.answer_of_torch(theirs, x, dy, torch.float32), right, 1e-4, 1e-3)


AUXILIARY = {
    "googlenet": (64, "numpy", "float64", 1e-8),
    "googlenet-paper": (224, "native", "float32", 1e-3),
}
"""The paper's auxiliary classifiers need maps of 14x14, and thus the whole image; the fast engine takes that."""


@pytest.mark.parametrize("name", AUXILIARY)
def test_auxiliary_losses_and_running_statistics(name: str) -> None:
    """One step of GoogLeNet: the loss with 0.3 times each auxiliary one, what it does to every parameter and state."""
    size, engine, dtype, limit = AUXILIARY[name]
    family = FAMILIES[name]
    ours, theirs = twins.twins(family, training=True)
    theirs.double()
    x = np.random.default_rng(7).normal(size=(2, 3, size, size)).astype(np.float32)
    labels, rate = np.array([1, 7]), 0.5
    optimizer = pc.optim.SGD(lr=rate)
    step = pc.compile_training(ours, 2, x.shape[1:], optimizer=optimizer, engine=engine, dtype=dtype)
    loss = step(x, labels)
    targets = torch.from_numpy(labels)
    losses = [functional.cross_entropy(out, targets) for out in theirs(torch.from_numpy(x).double())]
    total = losses[0] + 0.3 * losses[1] + 0.3 * losses[2]
    total.backward()
    assert loss == pytest.approx(float(total.detach()), rel=min(limit, 1e-4))
    after = step.parameters
    step.close()
    before = {name: value.copy() for name, value in ours.parameters.items()}
    for parameter_name, parameter in theirs.named_parameters():
        assert parameter.grad is not None
        off = distance((before[parameter_name] - after[parameter_name]) / rate, parameter.grad.numpy())
        assert off <= limit, f"{parameter_name} is off by {off:.2e} of its length"
    for state_name, state in theirs.named_buffers():
        if not state_name.endswith("num_batches_tracked"):
            assert distance(after[state_name], state.numpy()) <= limit, state_name
