"""Tensors, as an equation names them.

A tensor is either given (input, parameter, state, constant) with a known shape, or defined by the equations
written for it: `Y[n, o] = sum_over([k], X[n, k] * W[o, k]) + b[o]`. Several equations may define one tensor by
parts that do not overlap; an element that no part writes is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pellucid.errors import NotationError, ShapeError
from pellucid.notation.expression import Access, Expression, ExpressionLike
from pellucid.notation.index import Affine, AffineLike

if TYPE_CHECKING:
    from pellucid.notation.equation import Equation

Role = Literal["input", "parameter", "state", "constant", "defined"]
Kind = Literal["float", "int"]


class Tensor:
    """A named array of `float` or `int` elements; two tensors are the same only if they are one object.

    `symbol` is the letter it has on the blackboard, `name` its full name within a model (`conv1.weight`).
    `simplex` says that the elements along the last axis add up to one, as the derivation may then assume.
    """

    def __init__(
        self,
        symbol: str,
        shape: tuple[int, ...] | None = None,
        *,
        role: Role = "defined",
        kind: Kind = "float",
        name: str | None = None,
        differentiable: bool = True,
        simplex: bool = False,
    ) -> None:
        self.symbol = symbol
        self.name = symbol if name is None else name
        self.shape = shape
        self.role: Role = role
        self.kind: Kind = kind
        self.differentiable = differentiable and kind == "float"
        self.simplex = simplex
        self.definition: list[Equation] = []
        self.value: npt.NDArray[np.generic] | None = None  # of a constant
        self.update: Tensor | None = None  # of a state: what replaces it after the step
        self.companions: tuple[Tensor, ...] = ()  # names that the derivation may use beside this tensor

    def __getitem__(self, at: AffineLike | tuple[AffineLike, ...]) -> Access:
        return Access(self, self._address(at))

    def __setitem__(self, at: AffineLike | tuple[AffineLike, ...], value: ExpressionLike) -> None:
        """Define the tensor, or a part of it, by an equation; the shape follows unless it was given."""
        from pellucid.notation.equation import Equation

        if self.role != "defined":
            raise NotationError(f"{self.name} is a given {self.role}: an equation cannot define it")
        equation = Equation.infer(self, self._address(at), Expression.of(value))
        if self.shape is None:
            self.shape = tuple(affine.bounds[1] + 1 for affine in equation.at)
        equation.check_writes(self.shape)
        for earlier in self.definition:
            if earlier.covers or equation.covers:
                raise NotationError(f"{self.name} is defined twice: {earlier}, and {equation}")
        self.definition.append(equation)

    def _address(self, at: AffineLike | tuple[AffineLike, ...]) -> tuple[Affine, ...]:
        address = tuple(Affine.of(a) for a in (at if isinstance(at, tuple) else (at,)))
        if self.shape is not None and len(address) != len(self.shape):
            extents = "x".join(map(str, self.shape)) or "a single number"
            raise ShapeError(
                f"{self.name} has {len(self.shape)} dimensions ({extents}) but is read with {len(address)} indices"
            )
        return address

    @property
    def extents(self) -> tuple[int, ...]:
        """The shape, once it is known."""
        if self.shape is None:
            raise NotationError(f"tensor {self.name} is used before an equation defines it")
        return self.shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.extents, dtype=np.int64))

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, shape={self.shape}, role={self.role!r})"


def constant_tensor(symbol: str, value: npt.ArrayLike) -> Tensor:
    """A tensor whose numbers are part of the equation, such as a fixed filter."""
    array = np.array(value)
    tensor = Tensor(symbol, array.shape, role="constant", differentiable=False)
    tensor.value = array
    return tensor
