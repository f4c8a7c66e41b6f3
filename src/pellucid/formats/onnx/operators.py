"""The operators that are read, by name, and the layer that one node of a graph becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pellucid.errors import DataError
from pellucid.formats.onnx.equations import linear, norm, parts, pointwise, rearrange, reduce, resize, shape, windows
from pellucid.formats.onnx.folding import FOLDED, fold
from pellucid.formats.onnx.rules import Array, Attributes, Operand, Rule
from pellucid.layers.base import Layer, Parameter, State
from pellucid.notation import Tensor

RULES: dict[str, Rule] = {
    name: rule
    for family in (linear, norm, parts, pointwise, rearrange, reduce, resize, shape, windows)
    for name, rule in family.RULES.items()
}
"""Operators with equations; `folding.FOLDED` has those that are computed when a model is read."""


@dataclass(frozen=True)
class Slot:
    """An operand that another node computes: which of the layer's inputs it is."""

    place: int


Given = Slot | Parameter | State | Array | None
"""An operand as a layer holds it: computed elsewhere, learned, tracked, a constant, or left out."""


class Operator(Layer):
    """One output of one node of an ONNX graph: its equations are those of the operator's rule.

    What is known when the equations are written, such as a shape, is computed there and then.
    """

    op: str = ""

    def __init__(self, attributes: Attributes, operands: Sequence[Given], output: int = 0) -> None:
        self.attributes, self.operands, self.output = attributes, tuple(operands), output
        for place, operand in enumerate(self.operands):
            if isinstance(operand, Parameter | State):
                setattr(self, f"operand{place}", operand)

    def forward(self, *inputs: Tensor) -> Tensor:
        operands = [_operand(operand, place, inputs) for place, operand in enumerate(self.operands)]
        constants = [operand.value for operand in operands if operand is not None and operand.role == "constant"]
        there = [operand for operand in operands if operand is not None]
        if self.op in FOLDED and (self.op in ("Shape", "Size") or len(constants) == len(there)):
            arrays = [None if x is None else x.value if x.value is not None else x.extents for x in operands]
            return folded(fold(self.op, self.attributes, arrays), f"C{self.output}")
        if self.op not in RULES:
            raise DataError(f"{self.op} is read only where its operands are known beforehand")
        outputs = RULES[self.op].equations(self.attributes, operands)
        if self.output >= len(outputs):
            raise DataError(f"{self.op} has no output {self.output} here")
        return outputs[self.output]


_KINDS: dict[str, type[Operator]] = {name: type(name, (Operator,), {"op": name}) for name in {**RULES, **FOLDED}}


def operator(op: str, attributes: Attributes, operands: Sequence[Given], output: int = 0) -> Operator:
    """The layer of one node's output; its class has the operator's name, as messages and summaries show it."""
    return _KINDS[op](attributes, operands, output)


def folded(value: Array, symbol: str) -> Tensor:
    """A tensor of known numbers."""
    kind = "int" if value.dtype.kind in "iub" else "float"
    tensor = Tensor(symbol, value.shape, role="constant", kind=kind, differentiable=False)  # type: ignore[arg-type]
    tensor.value = value
    return tensor


def _operand(operand: Given, place: int, inputs: Sequence[Tensor]) -> Operand:
    if operand is None or isinstance(operand, Tensor):
        return operand
    if isinstance(operand, Slot):
        return inputs[operand.place]
    return folded(operand, f"C{place}")
