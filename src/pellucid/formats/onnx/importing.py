"""From the message in an ONNX file to a graph of layers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import DataError, PellucidError
from pellucid.formats.onnx.folding import FOLDED, fold
from pellucid.formats.onnx.graph import Input, OnnxGraph
from pellucid.formats.onnx.operators import RULES, Given, Operator, Slot, operator
from pellucid.formats.onnx.reading import array_of, read_model, require_onnx
from pellucid.formats.onnx.rules import Array, Attributes, product
from pellucid.layers import BatchNorm2d, Dropout
from pellucid.layers.base import Layer, Parameter, State
from pellucid.models.graph import Node
from pellucid.notation import Tensor

OLDEST = 7
"""The first operator set that is read; the newest is that of the installed package."""

VALUE_LIMIT = 1 << 30
"""Elements of one value of the graph, at the shapes that the file declares."""

_DOMAINS = ("", "ai.onnx")
_KINDS = {1: "float", 10: "float", 11: "float", 16: "float", **dict.fromkeys((2, 3, 4, 5, 6, 7, 9, 12, 13), "int")}


def import_onnx(path: str | Path, *, constants: Mapping[str, Array] | None = None) -> OnnxGraph:
    """The model in an ONNX file, as a graph of layers that are equations.

    Weights become parameters, by the file's names. `constants` gives the numbers of inputs that decide about shapes;
    they are no inputs then. A dimension that the file leaves open, usually the batch, may be anything.

    Raises DataError for a file that is damaged, hostile, or has operators that are not read, all of them listed;
    ShapeError and UsageError for equations that do not fit; MissingExtraError without the package onnx.
    """
    return graph_of(read_model(path), folder=Path(path).absolute().parent, constants=constants)


def graph_of(model: Any, *, folder: Path | None = None, constants: Mapping[str, Array] | None = None) -> OnnxGraph:
    """The same for a ModelProto; `folder` is where files that it names may lie."""
    version = _version(model)
    _refuse_damaged_names(model.graph)
    _refuse_unknown(model.graph)
    builder = _Builder(model.graph, version, folder, constants or {})
    for node in in_order(model.graph.node, builder.known()):
        try:
            builder.add(node)
        except PellucidError as error:
            where = f'{node.op_type} "{node.name or ", ".join(node.output)!s:.80}"'
            raise type(error)(f"{where}: {error}") from None
    return builder.finish()


def _version(model: Any) -> int:
    newest = require_onnx().defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    if not versions or not OLDEST <= versions[0] <= newest:
        found = f"operator set {versions[0]}" if versions else "no operator set of ONNX itself"
        raise DataError(f"The model uses {found}; sets {OLDEST} to {newest} are read.")
    return int(versions[0])


def _refuse_damaged_names(graph: Any) -> None:
    """Protobuf gives a text that is not in UTF-8 as bytes."""
    names = [value.name for values in (graph.input, graph.output, graph.initializer) for value in values]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(name, str) for name in names):
        raise DataError("The graph is damaged: a name in it is no text.")


def _refuse_unknown(graph: Any) -> None:
    """One message for all operators that are not read."""
    unknown = Counter(
        node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
        for node in graph.node
        if node.domain not in _DOMAINS or (node.op_type not in RULES and node.op_type not in FOLDED)
    )
    if unknown:
        names = ", ".join(f"{name:.60} ({count})" for name, count in sorted(unknown.items())[:50])
        raise DataError(f"The model has operators that are not read: {names}. docs/onnx.md lists those that are.")
    if graph.sparse_initializer:
        raise DataError("The model has sparse tensors, which are not read.")


def in_order(nodes: Sequence[Any], known: set[str]) -> list[Any]:
    """The nodes, each after those it reads; DataError for a cycle or a value that nothing gives."""
    made = {name for node in nodes for name in node.output if name}
    missing = {name for node in nodes for name in node.input if name and name not in made and name not in known}
    if missing:
        raise DataError(f"The graph is damaged: nothing gives {_list(missing)}.")
    readers: dict[str, list[int]] = {}
    waiting = []
    for number, node in enumerate(nodes):
        reads = {name for name in node.input if name in made and name not in known}
        waiting.append(len(reads))
        for name in reads:
            readers.setdefault(name, []).append(number)
    ready = [number for number, count in enumerate(waiting) if not count]
    ordered = []
    for number in ready:
        ordered.append(nodes[number])
        for name in dict.fromkeys(nodes[number].output):
            for reader in readers.get(name, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
    if len(ordered) < len(nodes):
        circle = {name for node, count in zip(nodes, waiting, strict=True) if count for name in node.output if name}
        raise DataError(f"The graph is damaged: there is a cycle among {_list(circle)}.")
    return ordered


def _list(names: set[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in sorted(names)[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown


class _Builder:
    """The graph being made: which names of the file are known numbers, and which are values of the graph."""

    def __init__(self, graph: Any, version: int, folder: Path | None, constants: Mapping[str, Array]) -> None:
        self._graph, self._version, self._folder = graph, version, folder
        self._made = OnnxGraph()
        self._constants: dict[str, Array] = {}
        self._literals: set[str] = set()  # constants that stand in the graph as such, and are never learned
        self._values: dict[str, str] = {}
        self._wanted = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
        for tensor in graph.initializer:
            self._define(tensor.name)
            self._constants[tensor.name] = array_of(tensor, folder)
        for name, array in constants.items():
            self._constants[name] = np.asarray(array)
            self._literals.add(name)
        for value in graph.input:
            if value.name not in self._constants:
                self._define(value.name)
                self._input(value)

    def known(self) -> set[str]:
        return set(self._constants) | set(self._values)

    def _define(self, name: str) -> None:
        if not name or name in self._constants or name in self._values:
            raise DataError(f"The graph is damaged: {name[:60]!r} is given twice or has no name.")

    def _input(self, value: Any) -> None:
        if value.name not in self._wanted:
            return  # the light models of ONNX carry inputs that nothing reads
        kind = _KINDS.get(value.type.tensor_type.elem_type)
        if not value.type.HasField("tensor_type") or kind is None:
            raise DataError(f"The input {value.name[:60]!r} is no tensor of numbers.")
        if not value.type.tensor_type.HasField("shape"):
            raise DataError(f"The input {value.name[:60]!r} does not say how many dimensions it has.")
        shape = tuple(d.dim_value if d.dim_value > 0 else 1 for d in value.type.tensor_type.shape.dim)
        name = "input" if not self._made.given else self._free(value.name)
        self._made.add_input(name, Input(value.name, shape, kind))
        self._values[value.name] = name

    def _free(self, wished: str) -> str:
        """A name within the graph, made of letters, digits and underscores, that nothing else has."""
        base = re.sub(r"\W+", "_", wished).strip("_")[:80] or "node"
        taken = {*self._made.nodes, *self._made.given, *self._made.named, "input"}
        name, number = base, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        return name

    def add(self, node: Any) -> None:
        """Add one node: what is known is computed now, everything else becomes layers, one for each output."""
        attributes = self._attributes(node)
        for name in node.output:
            if name:
                self._define(name)
        if node.op_type in FOLDED and all(not name or name in self._constants for name in node.input):
            self._constants[node.output[0]] = fold(
                node.op_type, attributes, [self._constants[name] if name else None for name in node.input]
            )
            if node.op_type == "Constant" or (node.input and all(n in self._literals for n in node.input)):
                self._literals.add(node.output[0])
            return
        inputs: list[str] = []
        operands = [self._operand(node.op_type, place, name, inputs) for place, name in enumerate(node.input)]
        for place, name in enumerate(node.output):
            if name and name in self._wanted:
                own = self._free(node.name or name if place == 0 else name)
                self._made.add_node(own, operator(node.op_type, attributes, operands, place), tuple(inputs))
                self._values[name] = own

    def _attributes(self, node: Any) -> Attributes:
        onnx = require_onnx()
        values: dict[str, Any] = {"outputs of the node": len(node.output)}
        for attribute in node.attribute:
            if attribute.HasField("t"):
                values[attribute.name] = array_of(attribute.t, self._folder)
            elif (
                attribute.HasField("g") or attribute.graphs or attribute.tensors or attribute.HasField("sparse_tensor")
            ):
                raise DataError(f"the attribute {attribute.name[:60]!r} is of a kind that is not read")
            else:
                values[attribute.name] = onnx.helper.get_attribute_value(attribute)
        return Attributes(values, self._version)

    def _operand(self, op: str, place: int, name: str, inputs: list[str]) -> Given:
        if not name:
            return None
        if name not in self._constants:
            inputs.append(self._values[name])
            return Slot(len(inputs) - 1)
        array = self._constants[name]
        rule = RULES.get(op)
        if rule is None or array.dtype.kind != "f":
            return array
        begins = "ones" if place in rule.scales else "he_uniform" if array.ndim > 1 else "zeros"
        if place in rule.learned and self._is_learned(op, name):
            return self._parameter(name, array, Parameter, begins)
        return self._parameter(name, array, State, begins) if place in rule.states else array

    def _is_learned(self, op: str, name: str) -> bool:
        array = self._constants[name]
        several = array.size > 1 or op in ("Conv", "ConvTranspose", "Gemm", "BatchNormalization")
        return several and array.size > 0 and name not in self._literals

    def _parameter(
        self, name: str, array: Array, kind: type[Parameter] | type[State], begins: str
    ) -> Parameter | State:
        found = self._made.named.get(name)
        if found is None:
            found = kind("W" if array.ndim > 1 else "b", array.shape, begins)
            found.value = array.astype(np.float32)
            self._made.named[name] = found
        return found

    def finish(self) -> OnnxGraph:
        """The graph with its outputs, its equations written once to see that they fit."""
        made = self._made
        if not self._graph.output:
            raise DataError("The graph is damaged: it has no outputs.")
        for output in self._graph.output:
            if output.name not in self._constants and output.name not in self._values:
                raise DataError(f"The graph is damaged: nothing gives the output {output.name[:60]!r}.")
            made.results[self._result(output.name)] = output.name
        tensors = made.values(made.declared(), "", None)
        for name, tensor in tensors.items():
            if product(tensor.extents) > VALUE_LIMIT:
                raise DataError(
                    f"{name} would have the shape {tensor.extents!s:.80}, more than {VALUE_LIMIT:,} elements"
                )
        if made.given:
            self._free_batch(tensors)
        self._let_train(tensors)
        return made

    def _result(self, name: str) -> str:
        """The node that gives an output; one that copies it where it is a constant or an input."""
        own = self._values.get(name)
        if own is not None and own in self._made.nodes and own not in self._made.results:
            return own
        copy = self._free(f"{name}_result")
        given: Given = Slot(0) if own is not None else self._constants[name]
        layer = operator("Expand", Attributes({}, self._version), [given, np.zeros(0, np.int64)])
        self._made.add_node(copy, layer, (own,) if own is not None else ())
        return copy

    def _let_train(self, tensors: Mapping[str, Tensor]) -> None:
        """Put the layers that behave otherwise while training in place of those that are as at inference."""
        for name, node in self._made.nodes.items():
            layer = node.layer
            if isinstance(layer, Operator) and layer.output == 0 and not layer.attributes.integer("training_mode", 0):
                other = _TRAINED.get(layer.op)
                trained = other(layer, tensors[node.inputs[0]]) if other and len(node.inputs) == 1 else None
                self._made.nodes[name] = Node(trained or layer, node.inputs)

    def _free_batch(self, tensors: Mapping[str, Tensor]) -> None:
        """Let reshapes whose first extent is the batch, written as a number, keep whatever batch comes."""
        first = next(iter(self._made.given.values()))
        batch = first.shape[0] if first.shape else 0
        for node in self._made.nodes.values():
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
