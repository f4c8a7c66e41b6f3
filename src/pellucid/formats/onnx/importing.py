"""From the message in an ONNX file to a graph of layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import DataError, PellucidError
from pellucid.formats.onnx.fitting import free_batch, let_train
from pellucid.formats.onnx.folding import FOLDED, fold
from pellucid.formats.onnx.graph import Input, OnnxGraph
from pellucid.formats.onnx.operators import RULES, Given, Slot, operator
from pellucid.formats.onnx.reading import array_of, read_model, require_onnx
from pellucid.formats.onnx.rules import Array, Attributes, product
from pellucid.formats.onnx.soundness import in_order, refuse_unsound, version_of
from pellucid.layers.base import Parameter, State

VALUE_LIMIT = 1 << 30
"""Elements of one value of the graph, at the shapes that the file declares."""

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
    version = version_of(model)
    refuse_unsound(model.graph)
    builder = _Builder(model.graph, version, folder, constants or {})
    for node in in_order(model.graph.node, builder.known()):
        try:
            builder.add(node)
        except PellucidError as error:
            where = f'{node.op_type} "{node.name or ", ".join(node.output)!s:.80}"'
            raise type(error)(f"{where}: {error}") from None
    return builder.finish()


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
            free_batch(made, tensors)
        let_train(made, tensors)
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
