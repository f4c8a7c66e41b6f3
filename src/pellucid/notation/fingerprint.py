"""A program's fingerprint: equal for programs that are equal in everything that computing depends on, and in names.

Tensors are numbered in the order in which they are met, so that two programs built alike, from tensors that are other
objects, have one fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Bracket, Call, Const, Expression, Position, Reduce
from pellucid.notation.index import Affine
from pellucid.notation.program import Program, order
from pellucid.notation.tensor import Tensor


def fingerprint(program: Program, *, derivable: bool = False) -> str:
    """64 hexadecimal digits; with `derivable` also what only the derivation looks at: companions of tensors."""
    return _Printer(derivable).program(program)


class _Printer:
    def __init__(self, derivable: bool) -> None:
        self.derivable = derivable
        self.numbers: dict[Tensor, int] = {}
        self.digest = hashlib.sha256()

    def program(self, program: Program) -> str:
        for equation in program:
            self.equation(equation)
        self.line("outputs", *map(self.number, program.outputs))
        self.line("updates", *(self.number(t) for pair in program.updates for t in pair))
        if self.derivable:
            self.companions()
        return self.digest.hexdigest()

    def line(self, *parts: object) -> None:
        self.digest.update(("|".join(map(str, parts)) + "\n").encode())

    def number(self, tensor: Tensor) -> int:
        """The tensor's number; what it is, when it is met for the first time."""
        if tensor not in self.numbers:
            self.numbers[tensor] = len(self.numbers)
            self.line(
                "tensor", tensor.symbol, tensor.name, tensor.extents, tensor.role, tensor.kind, tensor.differentiable,
                tensor.simplex,
            )  # fmt: skip
            if tensor.role == "constant" and tensor.value is not None:
                value = np.ascontiguousarray(tensor.value)
                self.line(value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest())
        return self.numbers[tensor]

    def equation(self, equation: Equation) -> None:
        value = self.expression(equation.value)
        self.line(self.number(equation.tensor), self.places(equation.at), value)

    def companions(self) -> None:
        """The definitions that the derivation may name things by, of all tensors met."""
        found: list[Tensor] = [c for t in list(self.numbers) for c in t.companions]
        for tensor in order(found):
            if tensor not in self.numbers:
                for equation in tensor.definition:
                    self.equation(equation)
        for tensor in list(self.numbers):
            if tensor.companions:
                self.line("companions", self.number(tensor), *map(self.number, tensor.companions))

    def expression(self, node: Expression) -> str:
        match node:
            case Const(value):
                return f"{type(value).__name__}{value!r}"
            case Position(affine):
                return f"<{_affine(affine)}>"
            case Access(tensor, at, outside):
                return f"{self.number(tensor)}[{self.places(at)}]{outside!r}"
        below = ",".join(map(self.expression, node.children))
        match node:
            case Call(function):
                return f"{function}({below})"
            case Bracket(_, relation):
                return f"[{relation}]({below})"
            case Reduce(kind, over, _, ties):
                return f"{kind}{ties}({' '.join(f'{i.name}<{i.extent}' for i in over)})({below})"
        return f"{type(node).__name__}({below})"

    def places(self, at: Iterable[Affine]) -> str:
        return ",".join(map(_affine, at))


def _affine(affine: Affine) -> str:
    terms = "".join(f"{coefficient:+d}{index.name}<{index.extent}" for index, coefficient in affine.terms)
    return f"{terms}{affine.constant:+d}"
