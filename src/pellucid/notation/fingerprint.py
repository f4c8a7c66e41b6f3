"""A program's fingerprint: equal for programs that are equal in everything that computing depends on, and in names.

Tensors are numbered in the order in which they are met, so that two programs built alike, from tensors that are other
objects, have one fingerprint. `structure` tells the same of some equations, whatever their tensors are called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Bracket, Call, Const, Expression, Position, Reduce
from pellucid.notation.index import Affine
from pellucid.notation.program import Program, order
from pellucid.notation.tensor import Tensor


def fingerprint(program: Program, *, derivable: bool = False) -> str:
    """64 hexadecimal digits; with `derivable` also what only the derivation looks at: companions of tensors."""
    digest = hashlib.sha256()
    printer = _Printer(lambda line: digest.update(f"{line}\n".encode()), _all_about, _place)
    for equation in program:
        printer.equation(equation)
    printer.line("outputs", *map(printer.number, program.outputs))
    printer.line("updates", *(printer.number(t) for pair in program.updates for t in pair))
    if derivable:
        printer.companions()
    return digest.hexdigest()


def structure(
    equations: Iterable[Equation],
    tensors: Iterable[Tensor],
    about: Callable[[Tensor], object],
    place: Callable[[Access], object] | None = None,
) -> str:
    """Equations and a list of tensors as text, in which a tensor is a number and what `about` says of it.

    `place` says where an element lies, in place of its indices.
    """
    lines: list[str] = []
    printer = _Printer(lines.append, lambda tensor: (about(tensor),), place or _place)
    for equation in equations:
        printer.equation(equation)
    printer.line("tensors", *map(printer.number, tensors))
    return "\n".join(lines)


def _all_about(tensor: Tensor) -> tuple[object, ...]:
    what = (
        tensor.symbol, tensor.name, tensor.extents, tensor.role, tensor.kind, tensor.differentiable, tensor.simplex,
    )  # fmt: skip
    if tensor.role != "constant" or tensor.value is None:
        return what
    value = np.ascontiguousarray(tensor.value)
    return (*what, value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest())


class _Printer:
    def __init__(
        self,
        write: Callable[[str], object],
        about: Callable[[Tensor], tuple[object, ...]],
        place: Callable[[Access], object],
    ) -> None:
        self.write, self.about, self.place = write, about, place
        self.numbers: dict[Tensor, int] = {}

    def line(self, *parts: object) -> None:
        self.write("|".join(map(str, parts)))

    def number(self, tensor: Tensor) -> int:
        """The tensor's number; what it is, when it is met for the first time."""
        if tensor not in self.numbers:
            self.numbers[tensor] = len(self.numbers)
            self.line("tensor", *self.about(tensor))
        return self.numbers[tensor]

    def equation(self, equation: Equation) -> None:
        value = self.expression(equation.value)
        self.line(self.number(equation.tensor), self.place(equation.left), value)

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
            case Access(tensor, _, outside):
                return f"{self.number(tensor)}[{self.place(node)}]{outside!r}"
        below = ",".join(map(self.expression, node.children))
        match node:
            case Call(function):
                return f"{function}({below})"
            case Bracket(_, relation):
                return f"[{relation}]({below})"
            case Reduce(kind, over, _, ties):
                return f"{kind}{ties}({' '.join(f'{i.name}<{i.extent}' for i in over)})({below})"
        return f"{type(node).__name__}({below})"


def _place(access: Access) -> str:
    return ",".join(map(_affine, access.at))


def _affine(affine: Affine) -> str:
    terms = "".join(f"{coefficient:+d}{index.name}<{index.extent}" for index, coefficient in affine.terms)
    return f"{terms}{affine.constant:+d}"
