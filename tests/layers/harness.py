"""Cases of the table on the product: build the layer, run it forward and backward, hand back the results."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

import pellucid as pc
from tests.cases import Case
from tests.oracles.compare import assert_close, assert_close_in_norm, assert_identical
from tests.oracles.inputs import Inputs
from tests.oracles.result import Result

AnyArray = npt.NDArray[np.generic]

CONSTRUCTORS = {
    "conv2d": pc.layers.Conv2d,
    "conv_transpose2d": pc.layers.ConvTranspose2d,
    "upsample": pc.layers.Upsample,
    "global_max_pool2d": pc.layers.GlobalMaxPool2d,
    "embedding": pc.layers.Embedding,
    "rnn": pc.layers.RNN,
    "lstm": pc.layers.LSTM,
    "gru": pc.layers.GRU,
    "select_step": pc.layers.SelectStep,
    "table_conv2d": pc.layers.TableConv2d,
    "code_distance": pc.layers.CodeDistance,
    "max_pool2d": pc.layers.MaxPool2d,
    "avg_pool2d": pc.layers.AvgPool2d,
    "global_avg_pool2d": pc.layers.GlobalAvgPool2d,
    "adaptive_avg_pool2d": pc.layers.AdaptiveAvgPool2d,
    "subsampling2d": pc.layers.Subsampling2d,
    "batch_norm2d": pc.layers.BatchNorm2d,
    "local_response_norm": pc.layers.LocalResponseNorm,
    "padded_shortcut": pc.layers.PaddedShortcut,
    "add": pc.layers.Add,
    "concat": pc.layers.Concat,
    "linear": pc.layers.Linear,
    "relu": pc.layers.ReLU,
    "leaky_relu": pc.layers.LeakyReLU,
    "sigmoid": pc.layers.Sigmoid,
    "tanh": pc.layers.Tanh,
    "scaled_tanh": pc.layers.ScaledTanh,
    "softmax": pc.layers.Softmax,
    "log_softmax": pc.layers.LogSoftmax,
    "elu": pc.layers.ELU,
    "softplus": pc.layers.Softplus,
    "silu": pc.layers.SiLU,
    "hardswish": pc.layers.Hardswish,
    "gelu": pc.layers.GELU,
    "flatten": pc.layers.Flatten,
    "add_channel": pc.layers.AddChannel,
    "fixed_filter2d": pc.layers.FixedFilter2d,
}


class Channels(pc.layers.Layer):
    """Some neighbouring channels of a tensor: what a joining layer is given in the tests."""

    def __init__(self, first: int, number: int) -> None:
        self.first, self.number = first, number

    def forward(self, x: pc.notation.Tensor) -> pc.notation.Tensor:
        n, i, j = pc.notation.indices("n i j")
        c = pc.notation.Index("c", self.number)
        y = pc.notation.Tensor("Y")
        y[n, c, i, j] = x[n, self.first + c, i, j] * 1
        return y


def joined(layer: pc.layers.Layer, parts: tuple[int, ...]) -> pc.Graph:
    """A graph whose last layer joins parts of the channels, the last channels first."""
    graph = pc.Graph()
    starts = [sum(parts[:k]) for k in range(len(parts))]
    names = [graph.add(f"part{k}", Channels(starts[k], parts[k]), "input") for k in range(len(parts))]
    graph.add("join", layer, *reversed(names))
    return graph


def build(case: Case) -> pc.layers.Layer:
    """The case's layer."""
    options = case.options
    options.pop("training", None)
    if "parts" in options:
        return joined(CONSTRUCTORS[case.kind](), options["parts"])
    if "kernel" in options:
        options["kernel"] = np.array(options["kernel"])
    layer: pc.layers.Layer = CONSTRUCTORS[case.kind](**options)
    return layer


def run(layer: pc.layers.Layer, given: Inputs, *, engine: str, dtype: str) -> Result:
    """Output and all gradients by the product, in the precision asked for."""
    y, dx, gradients = pc.vjp(
        layer,
        given.x.astype(dtype),
        given.dy.astype(dtype),
        engine=engine,
        dtype=dtype,
        training=given.training,
        parameters={name: value.astype(dtype) for name, value in {**given.parameters, **given.states}.items()},
    )
    for name, array in {"y": y, "dx": dx, **gradients}.items():
        assert array.dtype == np.dtype(dtype), f"{name} is {array.dtype}, asked for {dtype}"
    return Result(y, dx, gradients)


def pairs(actual: Result, expected: Result) -> dict[str, tuple[AnyArray, AnyArray]]:
    """What to compare: the output, the input's gradient, the gradient of every parameter."""
    assert set(actual.gradients) == set(expected.gradients)
    gradients: Mapping[str, tuple[AnyArray, AnyArray]] = {
        f"d {name}": (actual.gradients[name], expected.gradients[name]) for name in expected.gradients
    }
    if not expected.dx.size:
        assert not actual.dx.any(), "whole numbers have no gradient"
        return {"y": (actual.y, expected.y), **gradients}
    return {"y": (actual.y, expected.y), "d x": (actual.dx, expected.dx), **gradients}


def assert_results_close(actual: Result, expected: Result, *, rtol: float, atol: float, repro: str) -> None:
    """Output and gradients, element by element."""
    for name, (got, wanted) in pairs(actual, expected).items():
        assert_close(name, got, wanted, rtol=rtol, atol=atol, repro=repro)


def assert_results_close_in_norm(actual: Result, expected: Result, *, rtol: float, repro: str) -> None:
    """Output and gradients, each judged as a whole: for single precision."""
    for name, (got, wanted) in pairs(actual, expected).items():
        assert_close_in_norm(name, got, wanted, rtol=rtol, repro=repro)


def assert_results_identical(actual: Result, expected: Result, *, repro: str) -> None:
    """Output and gradients, exactly."""
    for name, (got, wanted) in pairs(actual, expected).items():
        assert_identical(name, got, wanted, repro)
