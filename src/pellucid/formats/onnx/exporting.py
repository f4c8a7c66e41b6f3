"""From a model to an ONNX file, and how far the file's numbers are from the model's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import PellucidError, UsageError
from pellucid.execution import predict
from pellucid.formats.files import replace_file, resource_errors
from pellucid.formats.onnx.graph import OnnxGraph
from pellucid.formats.onnx.operators import Operator
from pellucid.formats.onnx.reading import FILE_LIMIT, require_onnx
from pellucid.formats.onnx.rules import Array
from pellucid.formats.onnx.writers import writer_of
from pellucid.formats.onnx.writing import OPSET, Writer
from pellucid.layers.base import Layer, input_tensor
from pellucid.models.graph import Graph
from pellucid.models.summary import leaves
from pellucid.notation import Program, Tensor

Leaf = tuple[str, tuple[str, ...], Layer]
"""A layer that is no graph: its path, those of what it reads, and itself."""


@dataclass(frozen=True)
class Difference:
    """The largest difference between two outputs, the largest value among them, and what computed the second."""

    largest: float
    scale: float
    images: int
    judge: str

    def __str__(self) -> str:
        return (
            f"largest difference {self.largest:.1e}, largest value {self.scale:.3g} "
            f"({self.images} images; Pellucid beside {self.judge})"
        )


def export_onnx(model: Graph, path: str | Path, input_shape: tuple[int, ...] | None = None) -> None:
    """Write a model as an ONNX file, for inference, with the batch left open.

    The parameters keep their names. The operator set is 20; a graph that was read is written in the set it came in.
    `input_shape` is that of one image (C, H, W), unless the model was made for one.

    Raises UsageError for layers that cannot be written, all of them listed, ResourceError when the disk refuses, and
    MissingExtraError without the package onnx.
    """
    onnx = require_onnx()
    message = message_of(model, input_shape)
    size = message.ByteSize()
    if size > FILE_LIMIT:
        raise UsageError(f"the model has {size:,} bytes; one ONNX file holds at most {FILE_LIMIT:,}")
    onnx.checker.check_model(message, full_check=True)
    with resource_errors(f"write the model to {path}"):
        replace_file(Path(path), message.SerializeToString())


def message_of(model: Graph, input_shape: tuple[int, ...] | None = None) -> Any:
    """The ModelProto that `export_onnx` writes."""
    onnx, shape = require_onnx(), shape_of(model, input_shape)
    every = _needed(model)
    _refuse_unknown(every)
    names: dict[Tensor, str] = {tensor: name for name, tensor in model.tensors().items()}
    writer = Writer(names, {**model.parameters, **model.states}, _opset(every))
    extents = _shapes(model, shape)
    for name, inputs, layer in every:
        writer.path = name
        writer.shapes = {i: extents[i] for i in inputs}
        _write(writer, name, layer, inputs)
    return writer.model(_inputs(onnx, model, shape), _outputs(onnx, model, extents), "pellucid")


def _needed(model: Graph) -> list[Leaf]:
    """The layers that the results depend on: auxiliary outputs, which only help to train, are left out."""
    every = list(leaves(model))
    wanted = set(_results(model))
    needed = []
    for leaf in reversed(every):
        if leaf[0] in wanted:
            needed.append(leaf)
            wanted.update(leaf[1])
    return needed[::-1]


def _results(model: Graph) -> list[str]:
    """The names of the layers whose outputs are the model's; a graph within stands for its last layer."""
    if isinstance(model, OnnxGraph):
        return list(model.results)
    inside = [name for name, _, _ in leaves(model) if f"{name}.".startswith(f"{model.output}.")]
    return inside[-1:]


def shape_of(model: Graph, input_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one input; UsageError if it is not known."""
    shape = input_shape or getattr(model, "input_shape", None)
    if shape is None:
        raise UsageError("say for which input_shape (C, H, W) the model is to be written")
    return tuple(shape)


def _refuse_unknown(every: list[Leaf]) -> None:
    unknown = sorted({type(layer).__name__ for _, _, layer in every if writer_of(layer) is None})
    if unknown:
        raise UsageError(
            f"these layers have no form in ONNX here: {', '.join(unknown)}. docs/onnx.md lists those that have."
        )


def _opset(every: list[Leaf]) -> int:
    versions = {layer.attributes.version for _, _, layer in every if isinstance(layer, Operator)}
    if len(versions) > 1:
        raise UsageError(f"the model joins graphs of the operator sets {sorted(versions)}, which one file cannot")
    return versions.pop() if versions else OPSET


def _shapes(model: Graph, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shape of every layer's result, for one image."""
    if isinstance(model, OnnxGraph):
        return {name: tensor.extents for name, tensor in model.values(model.declared(), "", None).items()}
    x = input_tensor(model, (1, *shape))
    found = {tensor.name: tensor.extents for tensor in Program.of([model.build((x,), "", None)]).tensors}
    for name, inputs, _ in _needed(model):
        # A layer that passes its input on, such as dropout, has no tensor of its own.
        found.setdefault(name, found[inputs[0]])
    return {**found, "input": x.extents}


def _write(writer: Writer, name: str, layer: Layer, inputs: tuple[str, ...]) -> None:
    """Write one layer; its last node's result takes the layer's name."""
    write = writer_of(layer)
    assert write is not None
    try:
        result = write(writer, layer, inputs)
    except PellucidError as error:
        raise type(error)(f'{type(layer).__name__} "{name}": {error}') from None
    writer.rename(result, name)


def _inputs(onnx: Any, model: Graph, shape: tuple[int, ...]) -> list[Any]:
    make = onnx.helper.make_tensor_value_info
    kinds = {"float": onnx.TensorProto.FLOAT, "int": onnx.TensorProto.INT64}
    if not isinstance(model, OnnxGraph):
        return [make("input", kinds["float" if model.vocabulary is None else "int"], ["N", *shape])]
    batch = ["N"] if model.input_shape is not None else []
    return [make(n, kinds[g.kind], [*batch, *g.shape[len(batch) :]]) for n, g in model.given.items()]


def _outputs(onnx: Any, model: Graph, extents: dict[str, tuple[int, ...]]) -> list[Any]:
    """The results, whose first dimension is the batch."""
    make, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    batch = not isinstance(model, OnnxGraph) or model.input_shape is not None
    found = []
    for name in _results(model):
        shape = extents[name]
        found.append(make(name, kind, ["N", *shape[1:]] if batch and shape else list(shape)))
    return found


def example(model: Graph, shape: tuple[int, ...], count: int) -> Array:
    """Random images of a shape, or random tokens for a model that reads these."""
    generator = np.random.default_rng(0)
    if model.vocabulary is not None:
        return np.asarray(generator.integers(model.vocabulary, size=(count, *shape)))
    return generator.normal(size=(count, *shape)).astype(np.float32)


def difference(model: Graph, path: str | Path, images: Array) -> Difference:
    """How far a file's outputs are from the model's, by onnxruntime or, where that is missing, onnx's evaluator."""
    own = predict(model, images)
    judge, other = _evaluate(path, np.asarray(images, np.float32 if model.vocabulary is None else np.int64))
    scale = float(np.abs(own).max())
    return Difference(float(np.abs(own - other).max()), scale, len(images), judge)


def _evaluate(path: str | Path, images: Array) -> tuple[str, Array]:
    onnx = require_onnx()
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        evaluator: Any = ReferenceEvaluator(str(path))
        outputs = evaluator.run(None, {evaluator.input_names[0]: images})
        judge = f"onnx {onnx.__version__}'s reference"
    else:
        session = onnxruntime.InferenceSession(str(path))
        outputs = session.run(None, {session.get_inputs()[0].name: images})
        judge = f"onnxruntime {onnxruntime.__version__}"
    return judge, np.asarray(outputs[0])
