"""PyTorch's side of a measurement: the same workload with the same weights and data, in each way it can run.

This is the only module of Pellucid that knows PyTorch, and it imports it only when a measurement asks for it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pellucid import layers
from pellucid.bench.ours import Side
from pellucid.bench.programs import LEARNING_RATE, MOMENTUM
from pellucid.bench.workloads import Convolution, Network, Values, Workload
from pellucid.errors import MissingExtraError, UsageError
from pellucid.layers.base import Layer
from pellucid.models.graph import Graph

MODES = ("eager", "channels_last", "compile")


def installed() -> bool:
    """Whether PyTorch can be imported; it is not imported to find out."""
    return importlib.util.find_spec("torch") is not None


def require() -> None:
    """Raise MissingExtraError, with what to install, where PyTorch is missing."""
    if not installed():
        raise MissingExtraError(
            "the comparison needs PyTorch, which is not installed here: pip install torch. "
            "Without --against torch, Pellucid is measured alone and checked against its reference."
        )


def start(threads: int) -> str:
    """Import PyTorch, set its threads, flush denormals as Pellucid does; returns its version."""
    require()
    torch = _torch()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return str(torch.__version__)


def _torch() -> Any:
    return importlib.import_module("torch")


def prepare(workload: Workload, mode: str, *, results: bool = True) -> Side:
    """The workload in one of the modes, run once, with copies of its `results`.

    Raises whatever PyTorch raises where the mode does not work.
    """
    if isinstance(workload, Convolution):
        return _convolution(workload, mode)
    return _training(workload, mode, results) if workload.training else _inference(workload, mode)


# ---- networks


def _training(workload: Network, mode: str, results: bool) -> Side:
    torch = _torch()
    source = workload.build()
    model = _in_format(_with_weights(mirror(source), source), mode).train()
    x, y = _in_format(torch.from_numpy(workload.images()), mode), torch.from_numpy(workload.labels())
    # The fused update is PyTorch's fastest on processors.
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
    kept: list[Any] = []

    shares = source.auxiliary

    def forward(images: Any, labels: Any) -> Any:
        output, *auxiliary = model(images)
        loss = torch.nn.functional.cross_entropy(output, labels)
        for other, share in zip(auxiliary, shares.values(), strict=True):
            loss = loss + share * torch.nn.functional.cross_entropy(other, labels)
        return loss, output

    compute = torch.compile(forward) if mode == "compile" else forward

    def run() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss, output = compute(x, y)
        loss.backward()
        optimizer.step()
        kept[:] = [output]
        return float(loss.item())

    first = {"loss": np.array(run()), "output": kept[0].detach().numpy().copy()}
    for name, p in model.named_parameters() if results else ():
        momentum = optimizer.state[p]["momentum_buffer"].detach().contiguous().numpy()
        first[f"d {name}"] = _turned(source, name, momentum).copy()
    return Side(mode, run, first, _nothing)


def _inference(workload: Network, mode: str) -> Side:
    torch = _torch()
    source = workload.build()
    model = _in_format(_with_weights(mirror(source), source), mode).eval()
    x = _in_format(torch.from_numpy(workload.images()), mode)
    compute = torch.compile(model) if mode == "compile" else model

    def run() -> Any:
        with torch.inference_mode():
            return compute(x)[0]

    return Side(mode, run, {"output": run().numpy().copy()}, _nothing)


def _in_format(thing: Any, mode: str) -> Any:
    return thing.to(memory_format=_torch().channels_last) if mode == "channels_last" else thing


def _nothing() -> None:
    """PyTorch keeps its threads; there is nothing to give back."""


# ---- single convolutions


def _convolution(workload: Convolution, mode: str) -> Side:
    torch = _torch()
    x = _in_format(torch.from_numpy(workload.images()), mode)
    weight = _in_format(torch.from_numpy(workload.build().parameters["weight"]), mode)
    stride, padding = [workload.stride] * 2, [workload.padding] * 2
    if workload.direction == "forward":

        def compute() -> Any:
            return torch.nn.functional.conv2d(x, weight, stride=stride, padding=padding)
    else:
        incoming = _in_format(torch.from_numpy(workload.incoming()), mode)
        wanted = [workload.direction == "input gradient", workload.direction == "weight gradient", False]
        backward = torch.ops.aten.convolution_backward
        position = wanted.index(True)

        def compute() -> Any:
            settings = (None, stride, padding, [1, 1], False, [0, 0], 1, wanted)
            return backward(incoming, x, weight, *settings)[position]

    called = torch.compile(compute) if mode == "compile" else compute

    def run() -> Any:
        with torch.no_grad():
            return called()

    return Side(mode, run, {workload.what: run().contiguous().numpy().copy()}, _nothing)


# ---- the same model in PyTorch


def mirror(model: Layer) -> Any:
    """A PyTorch module like the model, uninitialised, its parameters under the same names.

    It returns a tuple: the output and, while training, the auxiliary outputs. Raises UsageError for a layer without a
    counterpart.
    """
    torch = _torch()
    if not isinstance(model, Graph):
        raise UsageError(f"{type(model).__name__} is no graph of layers")
    wiring = [(name, node.inputs) for name, node in model.nodes.items()]
    last, auxiliary = model.output, tuple(model.auxiliary)

    class Mirror(torch.nn.Module):  # type: ignore[misc, name-defined]  # known only when PyTorch is there
        def forward(self, x: Any) -> Any:
            values = {"input": x}
            for name, inputs in wiring:
                if self.training or name not in auxiliary:
                    result = getattr(self, name)(*(values[i] for i in inputs))
                    values[name] = result[0] if isinstance(result, tuple) else result
            return values[last], *(values[name] for name in auxiliary if name in values)

    made = Mirror()
    for name, node in model.nodes.items():
        made.add_module(name, mirror(node.layer) if isinstance(node.layer, Graph) else _counterpart(node.layer))
    return made


def _joining(join: Callable[[Any], Any]) -> Any:
    """A module that joins its inputs."""

    class Join(_torch().nn.Module):  # type: ignore[misc]  # known only when PyTorch is there
        def forward(self, *inputs: Any) -> Any:
            return join(inputs)

    return Join()


def _padded(layer: layers.PaddedShortcut, x: Any) -> Any:
    """Every so many rows and columns, channels of zeros added."""
    cut = x[:, :, :: layer.stride, :: layer.stride]
    return _torch().nn.functional.pad(cut, (0, 0, 0, 0, 0, layer.out_channels - x.shape[1]))


def _counterpart(layer: Layer) -> Any:
    nn = _torch().nn
    table: Mapping[type[Layer], Callable[[Any], Any]] = {
        layers.Conv2d: lambda a: nn.Conv2d(
            a.in_channels, a.out_channels, a.kernel_size, a.stride, a.padding, a.dilation, a.groups, a.bias is not None
        ),
        layers.Linear: lambda a: nn.Linear(a.in_features, a.out_features, a.bias is not None),
        layers.MaxPool2d: lambda a: nn.MaxPool2d(a.kernel_size, a.stride, a.padding, a.dilation, ceil_mode=a.ceil_mode),
        layers.AvgPool2d: lambda a: nn.AvgPool2d(a.kernel_size, a.stride, a.padding, a.ceil_mode, a.count_include_pad),
        layers.GlobalAvgPool2d: lambda a: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        layers.ReLU: lambda a: nn.ReLU(),
        layers.LeakyReLU: lambda a: nn.LeakyReLU(a.negative_slope),
        layers.Sigmoid: lambda a: nn.Sigmoid(),
        layers.Tanh: lambda a: nn.Tanh(),
        layers.Softmax: lambda a: nn.Softmax(dim=1),
        layers.LogSoftmax: lambda a: nn.LogSoftmax(dim=1),
        layers.Flatten: lambda a: nn.Flatten(),
        layers.Dropout: lambda a: nn.Dropout(a.p),
        layers.BatchNorm2d: lambda a: nn.BatchNorm2d(a.num_features, a.eps, a.momentum),
        layers.LocalResponseNorm: lambda a: nn.LocalResponseNorm(a.size, a.alpha, a.beta, a.k),
        layers.AdaptiveAvgPool2d: lambda a: nn.AdaptiveAvgPool2d(a.output_size),
        layers.Add: lambda a: _joining(sum),
        layers.Concat: lambda a: _joining(lambda inputs: _torch().cat(inputs, a.dim)),
        layers.PaddedShortcut: lambda a: _joining(lambda inputs: _padded(a, inputs[0])),
    }
    make = table.get(type(layer))
    if make is None:
        raise UsageError(f"{type(layer).__name__} has no counterpart in PyTorch; measure it with --against nothing")
    return make(layer)


def _with_weights(module: Any, source: Layer) -> Any:
    """The module with the source's weights, those of a true convolution turned by half a circle."""
    torch = _torch()
    own = {name: _turned(source, name, values) for name, values in (source.parameters | source.states).items()}
    # PyTorch also counts the batches that a normalisation has seen.
    counters = {name: value for name, value in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in own.items()} | counters)
    return module


def _turned(source: Layer, name: str, values: Values) -> Values:
    """Weights (or their gradient) of `Conv2d(flip=True)` as PyTorch's cross-correlation holds them, and back."""
    layer = source
    *path, _ = name.split(".")
    for part in path:
        assert isinstance(layer, Graph)
        layer = layer[part]
    turns = isinstance(layer, layers.Conv2d) and layer.flip and values.ndim == 4
    return values[:, :, ::-1, ::-1] if turns else values
