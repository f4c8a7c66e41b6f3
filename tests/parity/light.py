"""The nine small copies of well-known networks that come with the package onnx, with weights drawn anew.

Their files hold shapes in place of weights, and nodes that fill these with one number. Equal weights make every channel
of a layer alike, so that a mistake in the order of channels would not show; other weights are drawn in their place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

Array = np.ndarray[Any, Any]

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = sorted(path.stem.removeprefix("light_") for path in FOLDER.glob("light_*.onnx"))


def path_of(name: str) -> Path:
    return FOLDER / f"light_{name}.onnx"


def drawn(shape: tuple[int, ...], operator: str, place: int, generator: np.random.Generator) -> Array:
    """Values that keep the activations of a deep network near 1: He's for kernels, near 1 for scales and variances."""
    if len(shape) > 1 and operator in ("Conv", "Gemm"):
        fan_in = int(np.prod(shape[1:]))
        values = generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
    elif (operator, place) in (("BatchNormalization", 1), ("BatchNormalization", 4), ("Mul", 1)):
        values = generator.uniform(0.5, 1.5, shape)
    else:
        values = generator.normal(size=shape) * 0.1
    return values.astype(np.float32, copy=False)


def with_drawn_weights(name: str, seed: int = 0) -> Any:
    """The model with initial values drawn for all its weights."""
    model = onnx.load(path_of(name))
    graph = model.graph
    uses = {value: (node.op_type, place) for node in graph.node for place, value in enumerate(node.input)}
    for node in list(graph.node):
        if node.op_type == "Unsqueeze" and uses.get(node.output[0], ("",))[0] in ("Mul", "Add"):
            uses[node.input[0]] = uses[node.output[0]]
    generator = np.random.default_rng(seed)
    initial = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "ConstantOfShape"]:
        shape = tuple(onnx.numpy_helper.to_array(initial[node.input[0]]).tolist())
        values = drawn(shape, *uses[node.output[0]], generator)
        graph.node.remove(node)
        graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
    used = {value for node in graph.node for value in node.input}
    for tensor in list(initial.values()):
        if tensor.name not in used:
            graph.initializer.remove(tensor)
        elif tensor.data_type == onnx.TensorProto.FLOAT:
            values = drawn(tuple(tensor.dims), *uses[tensor.name], generator)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    weights = {tensor.name for tensor in graph.initializer}
    for value in list(graph.input):
        if value.name in weights or value.name not in used:
            graph.input.remove(value)
    model.ir_version = 8  # since 4, weights need not be inputs, too
    return model


def with_scores(model: Any) -> Any:
    """The same model; what its last softmax reads is an output, too."""
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        model.graph.output.append(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    return model


def published(name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The image that the package's own runner makes, and the output for it that comes with the model."""
    count = int(np.prod(shape))
    x = (np.arange(count, dtype=np.float32) / count).reshape(shape)
    return x, onnx.numpy_helper.to_array(onnx.load_tensor(FOLDER / f"light_{name}_output_0.pb"))
