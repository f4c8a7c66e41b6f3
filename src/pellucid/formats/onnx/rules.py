"""What an operator of ONNX is to Pellucid: a rule that writes equations for its operands.

A rule gets the operator's attributes and its operands, which are tensors of the notation (None where an optional one is
left out), and returns the tensors of its outputs. An operand whose numbers are known is a constant tensor; operands
that decide about shapes must be constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.notation import Access, Affine, Expression, Index, Tensor
from pellucid.notation.expression import Const

Array = NDArray[Any]
Operand = Tensor | None


@dataclass(frozen=True)
class Attributes:
    """The attributes of one node, and the version of the operator set it belongs to."""

    values: Mapping[str, Any]
    version: int

    def integer(self, name: str, default: int) -> int:
        """A whole number."""
        return int(self._of(int, name, default))

    def real(self, name: str, default: float) -> float:
        """A number."""
        return float(self._of((int, float), name, default))

    def text(self, name: str, default: str) -> str:
        """A word."""
        value = self.values.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Several whole numbers; None where the attribute is left out."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, Sequence) or not all(isinstance(item, int) for item in value):
            raise DataError(f"the attribute {name} must be whole numbers; it is {value!r:.80}")
        return tuple(value)

    def _of(self, kind: Any, name: str, default: float) -> Any:
        value = self.values.get(name, default)
        if not isinstance(value, kind):
            raise DataError(f"the attribute {name} must be a number; it is {value!r:.80}")
        return value


Equations = Callable[[Attributes, Sequence[Operand]], Sequence[Tensor]]


@dataclass(frozen=True)
class Rule:
    """An operator's equations, and what its operands are.

    `learned` are the places of operands that training changes where they are constants, `states` those that it
    updates otherwise, `scales` those among both that begin as ones, `static` those whose numbers must be known.
    `outputs` is how many outputs it can have.
    """

    equations: Equations
    learned: tuple[int, ...] = ()
    scales: tuple[int, ...] = ()
    states: tuple[int, ...] = ()
    static: tuple[int, ...] = ()
    outputs: int = 1


def unary(function: Callable[[Attributes, Access], Expression]) -> Rule:
    """The rule of a function of one value."""

    def equations(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
        (x,) = given(operands, 1)
        y, every = Tensor("Y"), places(x.extents)
        y[every] = function(attributes, x[every])
        return [y]

    return Rule(equations)


def given(operands: Sequence[Operand], least: int) -> list[Tensor]:
    """Operands that must all be there."""
    found = [operand for operand in operands if operand is not None]
    if len(found) < len(operands) or len(found) < least:
        raise DataError(f"it needs {least} operands or more and has {len(found)}")
    return found


def optional(operands: Sequence[Operand], place: int) -> Operand:
    """The operand at a place, None where it is left out."""
    return operands[place] if place < len(operands) else None


def required(operands: Sequence[Operand], place: int) -> Tensor:
    """The operand at a place; DataError where it is left out."""
    operand = optional(operands, place)
    if operand is None:
        raise DataError(f"its operand {place} is missing")
    return operand


def known(operands: Sequence[Operand], place: int) -> Array | None:
    """The numbers of an operand that must be a constant; None where it is left out."""
    operand = optional(operands, place)
    if operand is None:
        return None
    if operand.value is None:
        raise UsageError(
            f'its operand {place}, "{operand.name}", decides about shapes and must be known when the model is read; '
            "give its numbers with `constants`"
        )
    return operand.value


def known_integers(operands: Sequence[Operand], place: int) -> tuple[int, ...] | None:
    """Whole numbers of an operand that must be a constant; None where it is left out."""
    value = known(operands, place)
    if value is None:
        return None
    if value.dtype.kind not in "iu" or value.ndim > 1:
        raise DataError(f"its operand {place} must be a list of whole numbers")
    return tuple(int(item) for item in value.reshape(-1))


def axes_of(attributes: Attributes, operands: Sequence[Operand], place: int = 1) -> tuple[int, ...] | None:
    """The axes an operator works along: an attribute in older sets, an operand in newer ones."""
    return attributes.integers("axes") if "axes" in attributes.values else known_integers(operands, place)


def axis(number: int, rank: int) -> int:
    """An axis counted from the front; ShapeError if there is none of that number."""
    if not -rank <= number < rank:
        raise ShapeError(f"there is no axis {number} among {rank}")
    return number % rank


_NAMES = {1: "k", 2: "nk", 3: "nci", 4: "ncij", 5: "ncijl"}


def places(shape: Sequence[int]) -> tuple[Index, ...]:
    """An index for every dimension: n, c, i, j for images."""
    names = _NAMES.get(len(shape)) or [f"x{d + 1}" for d in range(len(shape))]
    return tuple(Index(name, extent) for name, extent in zip(names, shape, strict=True))


def like(x: Tensor, symbol: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """A tensor for values of x that are moved: whole numbers stay whole."""
    return Tensor(symbol, shape, kind=x.kind)


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that several shapes spread to; ShapeError if they do not fit."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        texts = " and ".join("x".join(map(str, shape)) or "a number" for shape in shapes)
        raise ShapeError(f"shapes that do not fit each other: {texts}") from None


def spread(x: Tensor, every: Sequence[Index]) -> Expression:
    """The element of x at the places of a shape that it spreads to; a single known number is written as itself."""
    if x.value is not None and x.size == 1:
        number = x.value.reshape(-1)[0]
        return Const(int(number) if x.value.dtype.kind in "iub" else float(number))
    last = every[len(every) - len(x.extents) :]
    at: list[Affine | Index | int] = [0 if extent == 1 else k for extent, k in zip(x.extents, last, strict=True)]
    return x[tuple(at)]


def number(value: Array) -> float:
    """A constant operand that is a single number."""
    if value.size != 1:
        raise DataError(f"one of its operands must be a single number; it has the shape {value.shape}")
    return float(value.reshape(-1)[0])


def product(shape: Sequence[int]) -> int:
    """How many elements a shape has."""
    return math.prod(shape)
