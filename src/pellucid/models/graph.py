"""Models: layers joined into a graph, which is itself a layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, Parameter, Randomness, State
from pellucid.notation import Tensor

if TYPE_CHECKING:
    from pellucid.models.summary import Summary

Spec = dict[str, Any]


@dataclass(frozen=True)
class Node:
    """A layer and the names of what it reads."""

    layer: Layer
    inputs: tuple[str, ...]


class Graph(Layer):
    """Layers that branch and join: each reads the input or the outputs of layers before it.

        graph = Graph()
        graph.add("conv1", Conv2d(1, 6, 5))                     # reads the layer before it, here the input
        graph.add("branch", Conv2d(6, 6, 1), "conv1")           # reads the layers it names
        graph.add("relu", ReLU(), "conv1")

    The output is that of the last layer, `auxiliary` ones aside: these are outputs that help to train, each with the
    weight of its loss. Inference does not compute them.

        graph.add("aux", Linear(6, 10), "branch")
        graph.auxiliary["aux"] = 0.3                            # loss + 0.3 * loss of "aux"

    A graph may stand inside another graph; its layers' names are then
    `outer.inner`, as in PyTorch.

    `input_shape` (C, H, W) and `classes` say what a model was made for, where it says; `spec` how to make it again.
    """

    def __init__(self, layers: Iterable[Layer | tuple[str, Layer]] = ()) -> None:
        self.nodes: dict[str, Node] = {}
        self.auxiliary: dict[str, float] = {}
        self.input_shape: tuple[int, ...] | None = None
        self.classes: int | None = None
        self.spec: Spec | None = None
        for item in layers:
            name, layer = item if isinstance(item, tuple) else (self.free_name(item), item)
            self.add(name, layer)

    def add(self, name: str, layer: Layer, *inputs: str) -> str:
        """Add a layer under a name of its own; returns the name.

        Raises UsageError for a name that is taken or not a name, or an input that does not exist yet.
        """
        if not re.fullmatch(r"\w+", name) or name == "input":
            raise UsageError(
                f"a layer's name is made of letters, digits and underscores, and is not 'input'; got {name!r}"
            )
        if name in self.nodes:
            raise UsageError(f"the model already has a layer {name!r}")
        if not isinstance(layer, Layer):
            raise UsageError(f"{name}: a model is made of layers; got {layer!r}")
        unknown = [i for i in inputs if i != "input" and i not in self.nodes]
        if unknown:
            raise UsageError(f"{name} reads {unknown[0]!r}, but no layer before it has that name")
        self.nodes[name] = Node(layer, inputs or (next(reversed(self.nodes), "input"),))
        self._name_tensors("")
        return name

    def free_name(self, layer: Layer) -> str:
        """conv1, conv2, pool1, ...: the kind of layer and a number."""
        kind = type(layer).__name__
        short = {"Linear": "fc", "GlobalAvgPool2d": "gap", "FixedFilter2d": "filter"}.get(kind)
        short = short or re.sub(r"^(Max|Avg)Pool2d$", "pool", re.sub(r"^Conv2d$", "conv", kind)).lower()
        number = 1
        while f"{short}{number}" in self.nodes:
            number += 1
        return f"{short}{number}"

    def _name_tensors(self, prefix: str) -> None:
        for name, tensor in self.tensors().items():
            tensor.name = prefix + name

    def tensors(self) -> dict[str, Parameter | State]:
        """The parameters and states of all layers, by `layer.name`; one that is shared goes by its first name."""
        found: dict[str, Parameter | State] = {}
        seen: set[Tensor] = set()
        for path, node in self.nodes.items():
            for name, tensor in node.layer.tensors().items():
                if tensor not in seen:
                    seen.add(tensor)
                    found[f"{path}.{name}"] = tensor
        return found

    @property
    def vocabulary(self) -> int | None:
        """The smallest one of the layers that read the input."""
        found = [node.layer.vocabulary for node in self.nodes.values() if "input" in node.inputs]
        return min((size for size in found if size is not None), default=None)

    @property
    def output(self) -> str:
        """The name of the layer whose output is the model's."""
        name = next((name for name in reversed(self.nodes) if name not in self.auxiliary), None)
        if name is None:
            raise UsageError("the model has no layers: add some")
        return name

    def build(self, inputs: tuple[Tensor, ...], path: str, random: Randomness | None) -> Tensor:
        return self.values(inputs, path, random)[self.output]

    def values(
        self, inputs: tuple[Tensor, ...], path: str, random: Randomness | None, *, auxiliary: bool = False
    ) -> dict[str, Tensor]:
        """The output of every layer by its name; of auxiliary ones while training, or if they are asked for."""
        if len(inputs) != 1:
            raise UsageError(f"a graph takes one input, not {len(inputs)}")
        self._check_auxiliary()
        if not path:
            self._name_tensors("")
        values = {"input": inputs[0]}
        for name, node in self.nodes.items():
            if name in self.auxiliary and random is None and not auxiliary:
                continue
            place = f"{path}.{name}" if path else name
            try:
                values[name] = node.layer.build(tuple(values[i] for i in node.inputs), place, random)
            except ShapeError as error:
                raise ShapeError(f"{error}{self._advice(inputs[0])}") from None
        return values

    def _check_auxiliary(self) -> None:
        for name in self.auxiliary:
            if name not in self.nodes:
                raise UsageError(f"the model has no layer {name!r}, which is named as an auxiliary output")
            reader = next((r for r, node in self.nodes.items() if name in node.inputs), None)
            if reader is not None:
                raise UsageError(f"{reader} reads {name!r}, but inference does not compute auxiliary outputs")

    def _advice(self, x: Tensor) -> str:
        if self.input_shape is None or x.extents[1:] == self.input_shape:
            return ""
        if len(self.input_shape) != 3:
            return ""
        channels, height, width = self.input_shape
        if len(x.extents) == 4 and x.extents[1] != channels:
            return f"; the model was made for images of {channels} channel{'s' if channels > 1 else ''}"
        return f", or resize the images to {height}x{width}"

    def forward(self, x: Tensor) -> Tensor:
        return self.build((x,), "", None)

    def summary(self, input_shape: tuple[int, ...] | None = None) -> Summary:
        """Shapes, parameters and costs layer by layer, for one image of the shape (C, H, W).

        Raises UsageError when no shape is given and the model was not made for one, ShapeError when it does not fit.
        """
        from pellucid.models.summary import summarize

        shape = input_shape or self.input_shape
        if shape is None:
            raise UsageError("summary: say for which input_shape (C, H, W)")
        return summarize(self, tuple(shape))

    def init(self, seed: int = 0) -> Graph:
        super().init(seed)
        return self

    def load(self, values: Mapping[str, Any]) -> Graph:
        super().load(values)
        return self

    def __getitem__(self, name: str) -> Layer:
        if name not in self.nodes:
            raise UsageError(f"the model has no layer {name!r}; it has {', '.join(self.nodes)}")
        return self.nodes[name].layer

    def __repr__(self) -> str:
        rows = (f"  {name}: {node.layer!r}" for name, node in self.nodes.items())
        return f"{type(self).__name__}(\n" + "\n".join(rows) + "\n)"


class Sequential(Graph):
    """Layers one after another, named by kind and number (conv1, relu1, pool1, fc1, ...) unless named in pairs.

    >>> from pellucid.layers import Conv2d, ReLU
    >>> list(Sequential([Conv2d(1, 6, 5), ReLU(), Conv2d(6, 16, 5)]).parameters)
    ['conv1.weight', 'conv1.bias', 'conv2.weight', 'conv2.bias']
    """
