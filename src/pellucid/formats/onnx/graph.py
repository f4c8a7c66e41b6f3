"""A graph that was read from an ONNX file: several inputs and outputs, and parameters by the file's own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pellucid import engines
from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.execution import floats, name_parameters, parameter_arrays
from pellucid.formats.onnx.rules import Array
from pellucid.layers.base import Layer, Parameter, Randomness, State
from pellucid.models.graph import Graph, Node
from pellucid.notation import Program, Tensor


@dataclass(frozen=True)
class Input:
    """An input as the file declares it; a dimension that the file leaves open is 1 here."""

    name: str
    shape: tuple[int, ...]
    kind: str


class OnnxGraph(Graph):
    """The layers of an ONNX graph, each named after its node.

    With one input it is used like every model: `predict`, `vjp`, `fit`, `explain`. Its parameters have the names that
    the file gives them. `run` takes several inputs and gives all outputs. `given` and `results` tell for both the name
    within the graph and the one in the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, Input] = {}
        self.results: dict[str, str] = {}
        self.named: dict[str, Parameter | State] = {}

    def add_input(self, name: str, given: Input) -> None:
        """An input under its name within the graph."""
        self.given[name] = given
        single = len(self.given) == 1 and len(given.shape) > 1
        self.input_shape = given.shape[1:] if single else None

    def add_node(self, name: str, layer: Layer, inputs: tuple[str, ...]) -> None:
        """A layer that may read any number of values, also none."""
        self.nodes[name] = Node(layer, inputs)

    def tensors(self) -> dict[str, Parameter | State]:
        return dict(self.named)

    @property
    def output(self) -> str:
        """The first of the graph's results."""
        return next(iter(self.results))

    def values(
        self, inputs: tuple[Tensor, ...], path: str, random: Randomness | None, *, auxiliary: bool = False
    ) -> dict[str, Tensor]:
        """The tensors of all nodes, by name; none of them is auxiliary."""
        if len(inputs) != len(self.given):
            raise UsageError(f"the graph takes {len(self.given)} inputs, not {len(inputs)}: {', '.join(self.given)}")
        if not path:
            self._name_tensors("")
        found = dict(zip(self.given, inputs, strict=True))
        for name, node in self.nodes.items():
            place = f"{path}.{name}" if path else name
            try:
                found[name] = node.layer.build(tuple(found[i] for i in node.inputs), place, random)
            except ShapeError as error:
                raise ShapeError(f"{error}{self._advice(inputs[0]) if inputs else ''}") from None
            except (DataError, UsageError) as error:
                raise type(error)(f'{type(node.layer).__name__} "{name}": {error}') from None
        return found

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.build(inputs, "", None)

    def declared(self) -> tuple[Tensor, ...]:
        """Input tensors of the shapes that the file declares."""
        return tuple(self._input(name, given.shape) for name, given in self.given.items())

    def _input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        kind = "int" if self.given[name].kind == "int" else "float"
        return Tensor("X", shape, role="input", kind=kind, name=name)  # type: ignore[arg-type]

    def run(
        self, arrays: Mapping[str, Array], *, engine: str | None = None, dtype: str = "float32"
    ) -> dict[str, Array]:
        """All outputs for inputs by the file's names, on an engine.

        Raises UsageError for inputs that are missing, ShapeError for those that do not fit.
        """
        missing = [given.name for given in self.given.values() if given.name not in arrays]
        if missing:
            raise UsageError(f"the graph needs the input {missing[0]!r}")
        name_parameters(self)
        inputs, ready = [], {}
        for name, given in self.given.items():
            array = np.asarray(arrays[given.name])
            ready[name] = np.array(array, np.int64 if given.kind == "int" else floats(dtype), order="C")
            inputs.append(self._input(name, array.shape))
        values = self.values(tuple(inputs), "", None)
        outputs = {file: values[name] for name, file in self.results.items() if file}
        program = Program.of(outputs.values())
        executable = engines.get(engine, dtype).compile(program, dtype=dtype)
        try:
            found = executable.run({**parameter_arrays(self, floats(dtype)), **ready})
        finally:
            executable.close()
        return {file: found[tensor.name] for file, tensor in outputs.items()}
