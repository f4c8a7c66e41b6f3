"""Small ONNX models for the tests, made with the package's own helpers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    """A node that reads and gives values named in words: node("Add", "a b", "c"); "-" leaves an operand out."""
    return helper.make_node(op, ["" if i == "-" else i for i in inputs.split()], outputs.split(), **attributes)


def model(
    nodes: Sequence[Any],
    *,
    inputs: Mapping[str, Sequence[int | str]] | None = None,
    weights: Mapping[str, Array] | None = None,
    outputs: str = "y",
    opset: int = 20,
    ir_version: int = 9,
) -> Any:
    """A model of float inputs of these shapes; the shapes of its outputs are left open."""
    given = {"x": (2, 3)} if inputs is None else inputs
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in given.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def reference(message: Any, arrays: Mapping[str, Array]) -> list[Array]:
    """What onnx's own evaluator computes."""
    from onnx.reference import ReferenceEvaluator

    return [np.asarray(value) for value in ReferenceEvaluator(message).run(None, dict(arrays))]


def convolutional(classes: int = 3) -> Any:
    """A small network as PyTorch exports one: batch left open, statistics, a flattening by Shape, Gather and Concat."""
    generator = np.random.default_rng(0)

    def drawn(*shape: int) -> Array:
        return generator.normal(size=shape).astype(np.float32)

    weights = {
        "conv.weight": drawn(4, 1, 3, 3), "conv.bias": drawn(4),
        "norm.weight": drawn(4), "norm.bias": drawn(4), "norm.running_mean": drawn(4),
        "norm.running_var": np.abs(drawn(4)) + 0.5,
        "fc.weight": drawn(classes, 36), "fc.bias": drawn(classes),
        "zero": np.array(0), "last": np.array([-1]),
    }  # fmt: skip
    nodes = [
        node("Conv", "x conv.weight conv.bias", "a", pads=[1, 1, 1, 1], kernel_shape=[3, 3], name="/conv/Conv"),
        node("BatchNormalization", "a norm.weight norm.bias norm.running_mean norm.running_var", "b", momentum=0.9),
        node("Relu", "b", "c"),
        node("MaxPool", "c", "d", kernel_shape=[2, 2], strides=[2, 2]),
        node("Dropout", "d", "e"),
        node("Shape", "e", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Constant", "", "axes", value=numpy_helper.from_array(np.array([0]))),
        node("Unsqueeze", "n axes", "m"),
        node("Concat", "m last", "t", axis=0),
        node("Reshape", "e t", "f"),
        node("Gemm", "f fc.weight fc.bias", "y", transB=1, name="/fc/Gemm"),
    ]
    return model(nodes, inputs={"x": ["N", 1, 6, 6]}, weights=weights, opset=18)


__all__ = ["Array", "convolutional", "model", "node", "onnx", "reference"]
