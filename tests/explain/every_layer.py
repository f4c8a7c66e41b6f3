"""A small network around every layer of the library, whose numbers are opened."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import pellucid as pc
from pellucid import layers
from pellucid.explain.values import Question, Source
from pellucid.notation import Program, Tensor

Array = npt.NDArray[Any]
IMAGES, VECTORS, SEQUENCES, TOKENS = (2, 5, 6), (6,), (3, 4), (4,)


@dataclass(frozen=True)
class Case:
    """A network, the shape of one input, and whether it is to behave as while training."""

    model: pc.Graph
    shape: tuple[int, ...]
    training: bool = False
    tokens: bool = False


def images(layer: pc.Layer, channels: int = 2, *, training: bool = False) -> Case:
    return Case(pc.Sequential([layers.Conv2d(2, channels, 2), layer]), IMAGES, training)


def vectors(layer: pc.Layer) -> Case:
    return Case(pc.Sequential([layers.Linear(6, 4), layer]), VECTORS)


def joined(layer: pc.Layer) -> Case:
    graph = pc.Graph()
    graph.add("left", layers.Conv2d(2, 2, 2), "input")
    graph.add("right", layers.Conv2d(2, 2, 2), "input")
    graph.add("join", layer, "left", "right")
    return Case(graph, IMAGES)


CASES: dict[str, Callable[[], Case]] = {
    "conv2d": lambda: images(layers.Conv2d(4, 2, 3, stride=2, padding=1, groups=2), 4),
    "maxpool2d": lambda: images(layers.MaxPool2d(3, 2, 1)),
    "avgpool2d": lambda: images(layers.AvgPool2d(2, 1, 1, count_include_pad=False)),
    "globalmaxpool2d": lambda: images(layers.GlobalMaxPool2d()),
    "globalavgpool2d": lambda: images(layers.GlobalAvgPool2d()),
    "adaptiveavgpool2d": lambda: images(layers.AdaptiveAvgPool2d((3, 2))),
    "subsampling2d": lambda: images(layers.Subsampling2d(2, 2)),
    "upsample": lambda: images(layers.Upsample(scale_factor=2, mode="bilinear", align_corners=False)),
    "linear": lambda: vectors(layers.Linear(4, 3)),
    "flatten": lambda: images(layers.Flatten()),
    "embedding": lambda: Case(pc.Sequential([layers.Embedding(7, 3, padding_idx=0)]), TOKENS, tokens=True),
    "rnn": lambda: Case(pc.Sequential([layers.RNN(4, 3)]), SEQUENCES),
    "lstm": lambda: Case(pc.Sequential([layers.LSTM(4, 2)]), SEQUENCES),
    "gru": lambda: Case(pc.Sequential([layers.GRU(4, 2)]), SEQUENCES),
    "selectstep": lambda: Case(pc.Sequential([layers.RNN(4, 3), layers.SelectStep()]), SEQUENCES),
    "batchnorm2d": lambda: images(layers.BatchNorm2d(2), training=True),
    "localresponsenorm": lambda: images(layers.LocalResponseNorm(3, alpha=0.5), 4),
    "add": lambda: joined(layers.Add()),
    "concat": lambda: joined(layers.Concat()),
    "paddedshortcut": lambda: images(layers.PaddedShortcut(4, stride=2)),
    "relu": lambda: images(layers.ReLU()),
    "leakyrelu": lambda: images(layers.LeakyReLU(0.1)),
    "elu": lambda: images(layers.ELU()),
    "softplus": lambda: images(layers.Softplus()),
    "silu": lambda: images(layers.SiLU()),
    "hardswish": lambda: images(layers.Hardswish()),
    "gelu": lambda: images(layers.GELU()),
    "sigmoid": lambda: images(layers.Sigmoid()),
    "tanh": lambda: images(layers.Tanh()),
    "scaledtanh": lambda: images(layers.ScaledTanh()),
    "softmax": lambda: vectors(layers.Softmax()),
    "logsoftmax": lambda: vectors(layers.LogSoftmax()),
    "dropout": lambda: images(layers.Dropout(0.4), training=True),
    "fixedfilter2d": lambda: images(layers.FixedFilter2d("gaussian")),
    "convtranspose2d": lambda: images(layers.ConvTranspose2d(2, 3, 3, stride=2)),
    "addchannel": lambda: Case(pc.Sequential([layers.Embedding(5, 3), layers.AddChannel()]), TOKENS, tokens=True),
    "tableconv2d": lambda: images(layers.TableConv2d(3, ((0, 1), (1, 2), (0, 1, 2)), 2), 3),
    "codedistance": lambda: vectors(layers.CodeDistance([[1, -1, 1, -1], [-1, -1, 1, 1]])),
}


class Opened:
    """A case with a batch and targets, its numbers as the engine computes them, and its explanations."""

    def __init__(self, name: str, *, whole: bool = False) -> None:
        case, generator = CASES[name](), np.random.default_rng(sum(map(ord, name)))
        self.model, self.training = case.model.init(1), case.training
        shape = (2, *case.shape)
        self.x: Array = generator.normal(size=shape).astype(np.float32)
        if case.tokens:
            self.x = generator.integers(0, 5, size=shape)
        if whole:
            self.x = generator.integers(-3, 4, size=shape) if not case.tokens else self.x
            new = {n: generator.integers(-3, 4, size=v.shape) for n, v in self.model.parameters.items()}
            self.model.load({**self.model.states, **{n: v.astype(np.float32) for n, v in new.items()}})
        self.target = generator.normal(size=pc.predict(self.model, self.x, engine="numpy").shape)

    def source(self) -> Source:
        loss, sgd = pc.losses.get("mse"), pc.optim.SGD(0.1)
        return Source(Question(self.model, self.x, self.target, loss, self.training, 5, 2, sgd))

    def arrays(self) -> dict[str, Array]:
        """All tensors of the forward and backward pass by name, computed whole by the engine in float64."""
        source = self.source()
        gradients = source.gradients().values()
        program = Program.of([*(t for t in source.forward if t.role == "defined"), *gradients])
        given = {t.name: np.array(source.given(t), _dtype(t)) for t in program.given}
        every = Program(program.equations, tuple(t for t in program.tensors if t.role == "defined"))
        return pc.engines.get("numpy").compile(every, dtype="float64").run(given)

    def explain(self, what: str, **options: Any) -> pc.Explanation:
        return pc.explain(
            self.model, self.x, what, self.target, "mse", training=self.training, seed=5, step=2, **options
        )


def _dtype(tensor: Tensor) -> type[np.generic]:
    return np.int64 if tensor.kind == "int" else np.float64


def places(arrays: dict[str, Array], count: int, seed: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Random elements of random tensors, half of them gradients."""
    generator = np.random.default_rng(seed)
    names = [sorted(n for n in arrays if n.startswith("d ") == backward) for backward in (True, False)]
    for number in range(count):
        name = str(generator.choice(names[number % 2]))
        yield name, tuple(int(generator.integers(extent)) for extent in arrays[name].shape)
