"""A graph read as at inference and for one batch, made fit for any batch and for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pellucid.formats.onnx.graph import OnnxGraph
from pellucid.formats.onnx.operators import Operator
from pellucid.layers import BatchNorm2d, Dropout
from pellucid.layers.base import Layer, Parameter, State
from pellucid.models.graph import Node
from pellucid.notation import Tensor


def free_batch(made: OnnxGraph, tensors: Mapping[str, Tensor]) -> None:
    """Let reshapes whose first extent is the batch, written as a number, keep whatever batch comes."""
    first = next(iter(made.given.values()))
    batch = first.shape[0] if first.shape else 0
    for node in made.nodes.values():
        layer = node.layer
        if not isinstance(layer, Operator) or layer.op != "Reshape" or layer.attributes.integer("allowzero", 0):
            continue
        target = layer.operands[1] if len(layer.operands) > 1 else None
        source = tensors[node.inputs[0]] if node.inputs else None
        if not isinstance(target, np.ndarray) or target.size < 2 or source is None or not source.extents:
            continue
        if int(target[0]) == batch == source.extents[0]:
            kept = target.copy()
            kept[0] = 0
            layer.operands = (layer.operands[0], kept)


def let_train(made: OnnxGraph, tensors: Mapping[str, Tensor]) -> None:
    """Put the layers that behave otherwise while training in place of those that are as at inference."""
    for name, node in made.nodes.items():
        layer = node.layer
        if isinstance(layer, Operator) and layer.output == 0 and not layer.attributes.integer("training_mode", 0):
            other = _TRAINED.get(layer.op)
            trained = other(layer, tensors[node.inputs[0]]) if other and len(node.inputs) == 1 else None
            made.nodes[name] = Node(trained or layer, node.inputs)


def _batch_norm(layer: Operator, x: Tensor) -> Layer | None:
    """Batch normalisation of images with constants, as the layer of that name, which keeps its statistics up."""
    _, scale, shift, mean, variance = layer.operands
    tensors = (scale, shift, mean, variance)
    if len(x.extents) != 4 or not all(isinstance(tensor, Parameter | State) for tensor in tensors):
        return None
    attributes = layer.attributes
    trained = BatchNorm2d(x.extents[1], attributes.real("epsilon", 1e-5), 1 - attributes.real("momentum", 0.9))
    # The parameters are those of the graph, under the file's names.
    vars(trained).update(weight=scale, bias=shift, running_mean=mean, running_var=variance)
    for tensor, symbol in zip(tensors, "WbRS", strict=True):
        assert isinstance(tensor, Parameter | State)
        tensor.symbol = symbol
    return trained


def _dropout(layer: Operator, x: Tensor) -> Layer | None:
    ratio = layer.operands[1] if len(layer.operands) > 1 else layer.attributes.real("ratio", 0.5)
    if isinstance(ratio, np.ndarray) and ratio.size == 1:
        ratio = float(ratio.reshape(-1)[0])
    return Dropout(ratio) if isinstance(ratio, float) and 0 <= ratio < 1 else None


_TRAINED: dict[str, Callable[[Operator, Tensor], Layer | None]] = {
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
}
