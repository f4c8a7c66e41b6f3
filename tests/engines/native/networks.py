"""Whole models for the tests of the native engine: their training steps as programs, with everything they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

import pellucid as pc
from pellucid import optim
from pellucid.engines.native.executable import NativeExecutable
from pellucid.engines.numpy.executable import NumpyEngine, NumpyExecutable
from pellucid.execution import name_parameters
from pellucid.layers import AvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sigmoid, Tanh
from pellucid.layers.base import Randomness
from pellucid.losses import get as loss
from pellucid.notation import Index, Program, Tensor, indices
from pellucid.notation.derive import derive
from pellucid.training import step_program
from tests.engines.native.programs import Array, Arrays, single


class Sum(pc.Layer):
    """The sum of two branches."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        n, c, i, j = indices("n c i j")
        y = Tensor("Y")
        y[n, c, i, j] = a[n, c, i, j] + b[n, c, i, j]
        return y


class Join(pc.Layer):
    """The channels of two branches, one behind the other."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        n, i, j = indices("n i j")
        c, d = Index("c", a.extents[1]), Index("d", b.extents[1])
        y = Tensor("Y", (a.extents[0], a.extents[1] + b.extents[1], *a.extents[2:]))
        y[n, c, i, j] = a[n, c, i, j]
        y[n, d + a.extents[1], i, j] = b[n, d, i, j]
        return y


def branching() -> pc.Graph:
    """A residual sum, two branches side by side, strides, groups, overlapping windows."""
    graph = pc.Graph()
    graph.add("stem", Conv2d(2, 4, 3, padding=1))
    graph.add("relu", ReLU())
    graph.add("main", Conv2d(4, 4, 3, padding=1, groups=2))
    graph.add("sum", Sum(), "main", "relu")
    graph.add("tanh", Tanh())
    graph.add("down", Conv2d(4, 5, 3, stride=2, padding=1), "tanh")
    graph.add("pool", MaxPool2d(3, stride=2, padding=1), "tanh")
    graph.add("join", Join(), "down", "pool")
    graph.add("mean", AvgPool2d(2, stride=1))
    graph.add("flat", Flatten())
    graph.add("fc", Linear(9 * 3 * 3, 5))
    graph.input_shape, graph.classes = (2, 8, 8), 5
    return graph


def with_dropout() -> pc.Graph:
    """Dropout behind a convolution and behind a dense layer."""
    model = pc.Sequential(
        [
            Conv2d(1, 6, 3, padding=1), Sigmoid(), Dropout(0.25), MaxPool2d(2), Flatten(),
            Linear(6 * 4 * 4, 12), ReLU(), Dropout(0.5), Linear(12, 4),
        ]
    )  # fmt: skip
    model.input_shape, model.classes = (1, 8, 8), 4
    return model


def wide() -> pc.Graph:
    """As many channels as make blocks of channels on every target."""
    model = pc.Sequential(
        [Conv2d(3, 32, 3, padding=1), ReLU(), Conv2d(32, 64, 3, stride=2), MaxPool2d(2), Flatten(), Linear(64, 3)]
    )
    model.input_shape, model.classes = (3, 6, 6), 3
    return model


def tiny() -> pc.Graph:
    """As few kernels as a network can have."""
    model = pc.Sequential([Conv2d(1, 2, 2), ReLU(), Flatten(), Linear(2 * 3 * 3, 2)])
    model.input_shape, model.classes = (1, 4, 4), 2
    return model


MODELS: dict[str, Callable[[], pc.Graph]] = {
    "lenet5": lambda: pc.models.create("lenet5"),
    "notes-cnn": lambda: pc.models.create("notes-cnn"),
    "branching": branching,
    "dropout": with_dropout,
    "wide": wide,
}


def training_step(name: str, size: int, optimizer: optim.Optimizer | None = None) -> tuple[Program, Arrays]:
    """A model's training step for batches of this size, and arrays for it (float64, exact in float32)."""
    model = (tiny if name == "tiny" else MODELS[name])().init(seed=1)
    assert model.input_shape is not None and model.classes is not None
    random = np.random.default_rng(size)
    shape, labels = (size, *model.input_shape), random.integers(0, model.classes, size)
    name_parameters(model)
    chosen = optimizer or optim.SGD(0.1, momentum=0.9, weight_decay=0.01)
    step = step_program(model, shape, loss("cross_entropy"), labels, chosen)
    values = model.parameters
    arrays: Arrays = {}
    for tensor in step.program.given:
        if tensor.role == "parameter":
            arrays[tensor.name] = values[tensor.name].astype(np.float64)
        elif tensor.role == "state":
            arrays[tensor.name] = np.zeros(tensor.extents)
    arrays["input"] = random.normal(size=shape).astype(np.float32).astype(np.float64)
    arrays["target"] = labels
    arrays["learning rate"] = np.array(np.float32(0.05), np.float64)
    arrays["random.seed"], arrays["random.step"] = np.array(3), np.array(0)
    return step.program, arrays


def vjp_program(model: pc.Graph, size: int) -> tuple[Program, list[Tensor]]:
    """The model's output and all gradients for an incoming gradient, and the tensors it is given."""
    assert model.input_shape is not None
    name_parameters(model)
    x = Tensor("X", (size, *model.input_shape), role="input", name="input")
    y = model.build((x,), "", Randomness())
    dy = Tensor("dY", y.extents, role="input", name="incoming gradient")
    parameters = [t for t in model.tensors().values() if t.role == "parameter"]
    gradients = derive({y: dy}, [x, *parameters])
    program = Program.of([y, *gradients.values()])
    return program, list(program.given)


def train(
    executable: NativeExecutable | NumpyExecutable, arrays: Mapping[str, Array], steps: int
) -> tuple[list[Arrays], Arrays]:
    """The outputs of some steps on the same batch, and all arrays as they are afterwards."""
    given = single(arrays) if isinstance(executable, NativeExecutable) else {n: a.copy() for n, a in arrays.items()}
    outputs = []
    for step in range(steps):
        given["random.step"][...] = step
        outputs.append(dict(executable.run(given)))
    executable.close()
    return outputs, given


def train_reference(program: Program, arrays: Mapping[str, Array], steps: int) -> tuple[list[Arrays], Arrays]:
    """The same on the reference engine in float64."""
    return train(NumpyEngine().compile(program, dtype="float64"), arrays, steps)
