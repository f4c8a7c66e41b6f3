"""What a model is made of, layer by layer, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pellucid.layers.base import Layer, Parameter, input_tensor
from pellucid.models.graph import Graph
from pellucid.notation import Equation, Program, Tensor
from pellucid.notation.counting import floating_point_operations, multiply_adds


@dataclass(frozen=True)
class Row:
    """One layer: its output shape for one image, its parameters, and its cost for one image.

    An `auxiliary` layer is computed only while training.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    flops: int
    auxiliary: bool = False


@dataclass(frozen=True)
class Summary:
    """The rows of a model for one input shape (C, H, W); costs are for one image, at inference."""

    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """Numbers that training changes."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Products that are summed up (MACs); torchvision prints these under the name of GFLOPS."""
        return sum(row.multiply_adds for row in self.rows if not row.auxiliary)

    @property
    def flops(self) -> int:
        """All arithmetic operations, a multiply-add counting as two."""
        return sum(row.flops for row in self.rows if not row.auxiliary)

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "input_shape": list(self.input_shape),
            "layers": [asdict(row) for row in self.rows],
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "flops": self.flops,
        }

    def __str__(self) -> str:
        head = ("layer", "kind", "output shape", "parameters", "multiply-adds", "FLOPs")
        table = [
            (f"{r.name} *" if r.auxiliary else r.name, r.kind, _extents(r.output_shape), *_counts(r)) for r in self.rows
        ]
        total = ("total", "", "", *_counts(self))
        widths = [max(len(row[k]) for row in (head, *table, total)) for k in range(len(head))]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [_line(head, widths), rule, *(_line(row, widths) for row in table), rule, _line(total, widths)]
        if any(row.auxiliary for row in self.rows):
            lines.append("* computed only while training: the total has their parameters, not their cost")
        return "\n".join([f"input {_extents(self.input_shape)}, one image", *lines])


def _counts(counted: Row | Summary) -> tuple[str, str, str]:
    return f"{counted.parameters:,}", f"{counted.multiply_adds:,}", f"{counted.flops:,}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    aligned = (c.ljust(w) if k < 3 else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True)))
    return "  ".join(aligned).rstrip()


def _extents(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def summarize(model: Graph, input_shape: tuple[int, ...]) -> Summary:
    """Build the model for one image and count; ShapeError when the shape does not fit.

    >>> from pellucid.layers import Conv2d
    >>> from pellucid.models.graph import Sequential
    >>> summarize(Sequential([Conv2d(1, 6, 5)]), (1, 28, 28)).parameters
    156
    """
    x = input_tensor(model, (1, *input_shape))
    values = model.values((x,), "", None, auxiliary=True)
    program = Program.of([values[model.output], *(values[name] for name in model.auxiliary)])
    tensors = {t.name: t for t in program.tensors}
    computed: dict[str, list[Equation]] = {}
    for equation in program:
        for path in _prefixes(equation.tensor.name):
            computed.setdefault(path, []).append(equation)
    rows, counted = [], set[Tensor]()
    shapes = {"input": x.extents}
    for name, inputs, layer in leaves(model):
        equations = computed.get(name, [])
        own = [t for t in layer.tensors().values() if isinstance(t, Parameter) and t not in counted]
        counted.update(own)
        shapes[name] = tensors[name].extents if name in tensors else shapes[inputs[0]]
        rows.append(
            Row(
                name,
                type(layer).__name__,
                shapes[name][1:],
                sum(t.size for t in own),
                sum(map(multiply_adds, equations)),
                sum(map(floating_point_operations, equations)),
                name.split(".")[0] in model.auxiliary,
            )
        )
    return Summary(tuple(input_shape), tuple(rows))


def leaves(model: Graph, prefix: str = "", source: str = "input") -> Iterator[tuple[str, tuple[str, ...], Layer]]:
    """The layers that are no graphs, by their paths, each with the paths of the layers it reads, or "input"."""
    results = {"input": source}  # a graph inside stands for its last layer
    for name, node in model.nodes.items():
        path = f"{prefix}{name}"
        inputs = tuple(results[i] for i in node.inputs)
        results[name] = path
        if isinstance(node.layer, Graph):
            for inner in leaves(node.layer, f"{path}.", inputs[0]):
                results[name] = inner[0]
                yield inner
        else:
            yield path, inputs, node.layer


def _prefixes(name: str) -> Iterator[str]:
    """a.b.c, a.b, a: the paths of the layers that a tensor may belong to."""
    while name:
        yield name
        name = name.rpartition(".")[0]
