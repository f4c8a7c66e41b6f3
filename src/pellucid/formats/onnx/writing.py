"""What collects the nodes and weights of an ONNX model while its layers are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.formats.onnx.reading import require_onnx
from pellucid.formats.onnx.rules import Array
from pellucid.notation import Tensor

OPSET = 20
"""The operator set that models are written in: the first with Gelu, read by onnx 1.15 (2023) and later."""

IR_VERSION = 9  # of the file format; the one that set 20 came with


@dataclass
class NodeOf:
    """One node to be."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Writer:
    """The nodes and weights so far. While a layer is written, `path` is its name and `shapes` has what it reads."""

    def __init__(self, names: Mapping[Tensor, str], values: Mapping[str, Array], opset: int) -> None:
        self.opset = opset
        self.path = ""
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.nodes: list[NodeOf] = []
        self.weights: dict[str, Array] = {}
        self._names, self._values = names, values

    def put(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its last output, which is used, as those before it are not."""
        stem = f"{self.path}/{op}_{len(self.nodes)}"
        names = [f"{stem}.{place}" for place in range(outputs - 1)] + [stem]
        self.nodes.append(NodeOf(op, list(inputs), names, attributes))
        return stem

    def tensor(self, tensor: Tensor) -> str:
        """The name of a parameter or state; its values are written once, however many layers share it."""
        name = self._names[tensor]
        self.weights[name] = self._values[name]
        return name

    def constant(self, value: Any, dtype: type[Any] = np.float32) -> str:
        """The name of new numbers that are no parameters of the model."""
        name = f"{self.path}/constant_{len(self.weights)}"
        self.weights[name] = np.asarray(value, dtype)
        return name

    def rename(self, old: str, new: str) -> None:
        """Give the output of the last node another name."""
        self.nodes[-1].outputs = [new if name == old else name for name in self.nodes[-1].outputs]

    def values(self, tensor: Tensor) -> Array:
        """The values of a parameter or state, which are not written by this."""
        return self._values[self._names[tensor]]

    def rotated(self, tensor: Tensor) -> str:
        """The name of a kernel that is written turned by 180 degrees."""
        name = f"{self._names[tensor]}.rotated"
        self.weights[name] = self._values[self._names[tensor]][:, :, ::-1, ::-1]
        return name

    def model(self, inputs: list[Any], outputs: list[Any], name: str) -> Any:
        """The ModelProto."""
        helper = require_onnx().helper
        nodes = [
            helper.make_node(node.op, node.inputs, node.outputs, name=node.outputs[-1], **_plain(node.attributes))
            for node in self.nodes
        ]
        from_array = require_onnx().numpy_helper.from_array
        weights = [from_array(np.array(values, order="C"), name) for name, values in self.weights.items()]
        graph = helper.make_graph(nodes, name, inputs, outputs, weights)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=IR_VERSION if self.opset <= OPSET else require_onnx().IR_VERSION,
            producer_name="pellucid",
        )


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as onnx makes them: arrays become tensors."""
    from_array = require_onnx().numpy_helper.from_array
    return {name: from_array(value) if isinstance(value, np.ndarray) else value for name, value in attributes.items()}
