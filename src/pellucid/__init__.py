"""Pellucid: convolutional neural networks you can see through.

Every layer is one equation in index notation; its gradient, its reference value, its machine code and its
explanation are derived from that equation.

    import pellucid as pc

    model = pc.models.create("lenet5")
    y = pc.predict(model, images)
"""

from typing import TYPE_CHECKING, Any

from pellucid import data, engines, errors, initializers, layers, losses, models, notation, optim
from pellucid.derivation import Derivation, derivable_names, derive, derive_by_name
from pellucid.execution import Inference, compile, loss_and_gradient, predict, vjp
from pellucid.explain import Explanation, explain
from pellucid.layers import Layer, Parameter
from pellucid.models import Graph, Sequential
from pellucid.training import TrainingStep, compile_training

if TYPE_CHECKING:
    from pellucid.train import evaluate, fit, load_run

__version__ = "0.1.0"

_LATER = ("evaluate", "fit", "load_run")


def __getattr__(name: str) -> Any:
    """The training loop is imported when it is first asked for: it brings half of the library with it."""
    if name in _LATER:
        from pellucid import train

        return getattr(train, name)
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


__all__ = [
    "Derivation",
    "Explanation",
    "Graph",
    "Inference",
    "Layer",
    "Parameter",
    "Sequential",
    "TrainingStep",
    "compile",
    "compile_training",
    "data",
    "derivable_names",
    "derive",
    "derive_by_name",
    "engines",
    "errors",
    "evaluate",
    "explain",
    "fit",
    "initializers",
    "layers",
    "load_run",
    "loss_and_gradient",
    "losses",
    "models",
    "notation",
    "optim",
    "predict",
    "vjp",
]
