"""Optimisers: one number at a time, with their state in a dictionary. The formulations are PyTorch's."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.oracles.result import Array, flat, shaped

Scalars = dict[str, float]
Update = Callable[[float, float, Scalars, int], float]
"""(parameter, gradient, its state, step counted from 1) -> new parameter"""


def sgd(lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> Update:
    """v = momentum v + g; w = w - lr v, or w - lr (g + momentum v) with Nesterov; weight decay adds to g."""

    def update(w: float, g: float, state: Scalars, step: int) -> float:
        g = g + weight_decay * w
        state["velocity"] = momentum * state.get("velocity", 0.0) + g
        return w - lr * (g + momentum * state["velocity"] if nesterov else state["velocity"])

    return update


def adam(
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> Update:
    """Means of g and g**2, corrected for their start at 0; weight decay adds to g, or (AdamW) shrinks w."""

    def update(w: float, g: float, state: Scalars, step: int) -> float:
        if decoupled:
            w = w - lr * weight_decay * w
        else:
            g = g + weight_decay * w
        state["mean"] = betas[0] * state.get("mean", 0.0) + (1 - betas[0]) * g
        state["square"] = betas[1] * state.get("square", 0.0) + (1 - betas[1]) * g * g
        mean = state["mean"] / (1 - betas[0] ** step)
        square = state["square"] / (1 - betas[1] ** step)
        return w - lr * mean / (math.sqrt(square) + eps)

    return update


@dataclass
class Optimizer:
    """Applies an update to every number of every parameter and remembers the state of each."""

    update: Update
    step: int = 0
    states: dict[str, list[Scalars]] = field(default_factory=dict)

    def apply(self, parameters: dict[str, Array], gradients: dict[str, Array]) -> dict[str, Array]:
        """The parameters after one step."""
        self.step += 1
        updated = {}
        for name, value in parameters.items():
            states = self.states.setdefault(name, [{} for _ in range(value.size)])
            new = [
                self.update(w, g, state, self.step)
                for w, g, state in zip(flat(value), flat(gradients[name]), states, strict=True)
            ]
            updated[name] = shaped(new, value.shape)
        return updated
