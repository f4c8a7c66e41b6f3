"""The optimisers' case table: each option alone and in pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.oracles import optimizers


@dataclass(frozen=True)
class OptimizerCase:
    """An optimiser's name and its arguments."""

    kind: str
    arguments: tuple[tuple[str, Any], ...]

    @property
    def options(self) -> Mapping[str, Any]:
        """The constructor's arguments by name."""
        return dict(self.arguments)

    @property
    def id(self) -> str:
        """A name that tells the case apart."""
        return ":".join([self.kind, *(f"{name}={value}" for name, value in self.arguments)]).replace(" ", "")

    def oracle(self) -> optimizers.Optimizer:
        """The same optimiser, one number at a time."""
        makers: dict[str, Callable[..., optimizers.Update]] = {
            "sgd": optimizers.sgd,
            "adam": optimizers.adam,
            "adamw": optimizers.adam,
        }
        options = dict(self.options)
        if self.kind == "adamw":
            options = {"weight_decay": 0.01, "decoupled": True, **options}
        return optimizers.Optimizer(makers[self.kind](**options))


def _cases(kind: str, *options: Mapping[str, Any]) -> tuple[OptimizerCase, ...]:
    return tuple(OptimizerCase(kind, tuple(given.items())) for given in options)


OPTIMIZER_CASES = (
    *_cases(
        "sgd",
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "weight_decay": 0.05},
        {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.05},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
    ),
    *_cases(
        "adam",
        {},
        {"lr": 0.05},
        {"lr": 0.05, "betas": (0.5, 0.9)},
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "betas": (0.0, 0.9), "weight_decay": 0.1},
    ),
    *_cases(
        "adamw",
        {},
        {"lr": 0.05},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "weight_decay": 0.0},
        {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3},
    ),
)
