"""Small networks with a batch and targets, whose numbers are opened."""

from typing import Any

import numpy as np
import numpy.typing as npt

import pellucid as pc
from pellucid.explain import explain
from pellucid.explain.values import Question, Source
from pellucid.layers import (
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
)
from pellucid.notation import Program, Tensor, indices

NAMES = ("notes-mlp", "notes-cnn", "lenet5", "strided", "dilated", "pooled", "residual")


class Add(pc.Layer):
    """The sum of two branches."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:  # type: ignore[override]
        every = indices("n c i j")
        y = Tensor("Y")
        y[every] = left[every] + right[every]
        return y


def residual() -> pc.Graph:
    """A graph whose input is read by three layers: two convolutions and a sum."""
    graph = pc.Graph()
    graph.add("conv1", Conv2d(2, 2, 3, padding=1))
    graph.add("conv2", Conv2d(2, 2, 3, padding=1), "input")
    graph.add("sum1", Add(), "conv1", "conv2")
    graph.add("sum2", Add(), "sum1", "input")
    graph.add("relu", ReLU())
    graph.add("gap", GlobalAvgPool2d())
    return graph


def make(name: str) -> tuple[pc.Graph, tuple[int, ...], str]:
    """A model, its input shape and a loss that fits it."""
    match name:
        case "strided":
            conv = Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
            return pc.Sequential([conv, LeakyReLU(0.1), GlobalAvgPool2d()]), (2, 9, 8), "cross_entropy"
        case "dilated":
            conv = Conv2d(1, 3, 3, padding=2, dilation=2, flip=True)
            pool = MaxPool2d(3, 2, 1, ties="all")
            return (
                pc.Sequential([conv, pool, Sigmoid(), Flatten(), Linear(48, 5), Softmax()]),
                (1, 7, 8),
                "mse",
            )
        case "pooled":
            pool_of_image = AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)
            rest = [ReLU(), Dropout(0.3), Flatten(), Linear(32, 4)]
            return pc.Sequential([pool_of_image, *rest]), (2, 7, 7), "cross_entropy"
        case "residual":
            return residual(), (2, 5, 6), "cross_entropy"
        case "lenet5":
            lenet = pc.models.create("lenet5", pooling="max", activation="scaled_tanh")
            return lenet, (1, 28, 28), "cross_entropy"
        case "notes-cnn":
            return pc.models.create("notes-cnn"), (1, 28, 28), "cross_entropy"
    return pc.models.create("notes-mlp"), (3,), "output_cross_entropy"


class Network:
    """A model with a batch of two images and their targets."""

    def __init__(self, name: str, *, whole: bool = False) -> None:
        self.model, shape, self.loss = make(name)
        self.model.init(3)
        generator = np.random.default_rng(len(name))
        self.x = generator.normal(size=(2, *shape)).astype(np.float32)
        if whole:
            self.x = generator.integers(-3, 4, size=(2, *shape)).astype(np.float32)
            values = {n: generator.integers(-3, 4, size=v.shape) for n, v in self.model.parameters.items()}
            self.model.load({n: v.astype(np.float32) for n, v in values.items()})
        classes = pc.predict(self.model, self.x, engine="numpy").shape[1]
        self.target: npt.NDArray[np.generic] = generator.integers(0, classes, size=2)
        if self.loss == "mse":
            self.target = generator.normal(size=(2, classes))
        self.training = name == "pooled"

    def source(self) -> Source:
        loss, sgd = pc.losses.get(self.loss), pc.optim.SGD(0.1)
        return Source(Question(self.model, self.x, self.target, loss, self.training, 5, 2, sgd))

    def values(self, name: str) -> tuple[Tensor, dict[str, npt.NDArray[np.generic]]]:
        """A tensor, and all arrays of the program behind it, which the engine computes whole, in float64."""
        source = self.source()
        tensor = source.find(name)
        program = Program.of([tensor])
        given = {t.name: source.given(t) for t in program.given}
        arrays = {t.name: np.array(given[t.name], np.int64 if t.kind == "int" else np.float64) for t in program.given}
        every = Program(program.equations, program.tensors)
        return tensor, pc.engines.get("numpy").compile(every, dtype="float64").run(arrays)

    def explain(self, what: str, *, full: bool = False, proof: bool = False, **options: Any) -> pc.Explanation:
        return explain(
            self.model,
            self.x,
            what,
            self.target,
            self.loss,
            full=full,
            proof=proof,
            optimizer=pc.optim.SGD(0.1),
            **options,
            training=self.training,
            seed=5,
            step=2,
        )

    def tensors(self) -> list[str]:
        """The names of everything computed: forward, loss and backward."""
        program = Program.of([self.source().find("d input")])
        parameters = [f"d {name}" for name in self.model.parameters]
        computed = [t.name for t in program.tensors if t.role == "defined"]
        return [*computed, *parameters, "loss"]


def coordinates(shape: tuple[int, ...], generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(generator.integers(extent)) for extent in shape)


def what(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{','.join(map(str, place))}]" if place else name
