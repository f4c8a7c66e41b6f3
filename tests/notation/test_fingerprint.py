"""Fingerprints: equal for what is built alike, other where anything that computing depends on is other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import losses, optim, training
from pellucid.notation import Index, Program, Tensor, constant_tensor, max_over, sum_over
from pellucid.notation.fingerprint import fingerprint


def product(**changed: Any) -> Program:
    """A small program with everything in it that may be other."""
    given: dict[str, Any] = {"size": 5, "factor": 2, "shift": 1, "name": "Y", "table": (1.0, 2.0), "ties": "first"}
    given |= {"kind": "float", "out": 1} | changed
    n, k = Index("n", 3), Index("k", given["size"])
    x = Tensor("X", (3, 9), role="input", kind=given["kind"])
    c = constant_tensor("C", np.array(given["table"]))
    y, z = Tensor("Y", name=given["name"]), Tensor("Z")
    y[n] = sum_over([k], x[n, k + given["shift"]] * given["factor"]) + c[0]
    z[n] = max_over([k], x[n, k], ties=given["ties"])
    return Program.of([y, z][: given["out"] + 1])


def test_programs_built_alike_have_one_fingerprint() -> None:
    assert fingerprint(product()) == fingerprint(product())


CHANGES: list[dict[str, Any]] = [
    {"size": 6}, {"factor": 3}, {"factor": 2.0}, {"shift": 0}, {"name": "other"}, {"table": (1.0, 2.5)},
    {"ties": "all"}, {"kind": "int"}, {"out": 0},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_any_difference_gives_another(change: dict[str, Any]) -> None:
    assert fingerprint(product(**change)) != fingerprint(product())


def step_key(
    batch: int = 4,
    loss: str = "cross_entropy",
    optimizer: optim.Optimizer | None = None,
    activation: str = "tanh",
    ema_decay: float = 0.0,
) -> str:
    model = pc.models.create("lenet5", activation=activation)
    target = np.zeros(batch, np.int64) if loss == "cross_entropy" else np.zeros((batch, 10))
    forward = training.forward_pass(model, (batch, 1, 28, 28), losses.get(loss), target)
    return forward.key(optimizer or optim.SGD(0.1, momentum=0.9), ema_decay)


OTHERS: list[Callable[[], str]] = [
    lambda: step_key(5),
    lambda: step_key(activation="relu"),
    lambda: step_key(loss="mse"),
    lambda: step_key(optimizer=optim.SGD(0.1)),
    lambda: step_key(optimizer=optim.SGD(0.1, momentum=0.8)),
    lambda: step_key(optimizer=optim.Adam(0.1)),
    lambda: step_key(ema_decay=0.9),
    lambda: step_key(ema_decay=0.99),
]


def test_a_step_s_key_follows_from_all_that_decides_the_step() -> None:
    keys = [step_key(), *(other() for other in OTHERS)]
    assert len(set(keys)) == len(keys)
    assert step_key() == keys[0]
