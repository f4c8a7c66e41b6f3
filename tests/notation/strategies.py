"""Random small equations: affine accesses with strides, dilations, offsets and flips, in sums of products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from pellucid.notation import (
    Access,
    Affine,
    Expression,
    Index,
    Tensor,
    bracket,
    exp,
    max_over,
    maximum,
    sigmoid,
    sum_over,
    tanh,
)

COEFFICIENTS = (1, 1, 1, 1, 2, 3, -1, -1, -2)
Array = npt.NDArray[Any]


@dataclass
class Sample:
    """A random network of equations: what it is given, and its last tensor."""

    given: tuple[Tensor, ...]
    output: Tensor


def given_tensors(draw: Any) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))), role="input")
        for name in ("A", "B")
    )


def affine(draw: Any, scope: Sequence[Index]) -> Affine:
    """A few indices with coefficients, and an offset that may lead outside."""
    chosen = draw(st.lists(st.sampled_from(list(scope)), min_size=1, max_size=2, unique=True))
    terms = tuple((index, draw(st.sampled_from(COEFFICIENTS))) for index in chosen)
    return Affine(terms, draw(st.integers(-2, 3)))


def access(draw: Any, tensor: Tensor, scope: Sequence[Index]) -> Access:
    at = []
    for extent in tensor.extents:
        one = affine(draw, scope)
        # An index that stands alone must fit its dimension; with an offset it may run outside.
        at.append(one + 1 if one.single and one.single.size > extent else one)
    return tensor[tuple(at)]


def factor(draw: Any, tensors: Sequence[Tensor], scope: Sequence[Index]) -> Expression:
    """Something smooth with a finite value wherever it is read."""
    value = access(draw, draw(st.sampled_from(list(tensors))), scope)
    match draw(st.integers(0, 11)):
        case 0:
            return tanh(value)
        case 1:
            return value**2
        case 2:
            return 1 / (2 + value * value)
        case 3:
            return maximum(value, 0.25)
        case 4:
            return bracket(affine(draw, scope), "<", 2) * value
        case 5:
            return sigmoid(value) + affine(draw, scope)
        case 6:
            return exp(value * 0.5) - access(draw, draw(st.sampled_from(list(tensors))), scope)
    return value


def term(draw: Any, tensors: Sequence[Tensor], free: Sequence[Index], names: Sequence[str]) -> Expression:
    """A product, under a sum over some of the named indices."""
    over = [Index(name, draw(st.integers(1, 3))) for name in names[: draw(st.integers(0, len(names)))]]
    scope = [*free, *over]
    product = factor(draw, tensors, scope)
    for _ in range(draw(st.integers(0, 2))):
        other = factor(draw, tensors, scope)
        product = product * other if draw(st.integers(0, 5)) else product / (3 + other * other)
    return sum_over(over, product) if over else product


def pointwise(draw: Any, tensors: Sequence[Tensor], name: str) -> Tensor:
    """A tensor defined by an equation of one or two terms."""
    free = [Index(i, draw(st.integers(1, 3))) for i in ("i", "j")[: draw(st.integers(1, 2))]]
    value = term(draw, tensors, free, ("u", "v"))
    match draw(st.integers(0, 3)):
        case 0:
            value = value + term(draw, tensors, free, ("w",))
        case 1:
            value = value * term(draw, tensors, free, ("x", "y"))
    y = Tensor(name)
    y[tuple(free)] = value
    return y


def largest(draw: Any, tensors: Sequence[Tensor], name: str) -> Tensor:
    """A maximum over a window, all of it inside the tensor."""
    tensor = draw(st.sampled_from(list(tensors)))
    at, over = [], []
    for letter, window, extent in zip("ij", "uv", tensor.extents, strict=False):
        size = draw(st.integers(1, extent))
        stride = draw(st.integers(1, 2))
        at.append(Index(letter, (extent - size) // stride + 1) * stride + Index(window, size))
        over.append(Index(window, size))
    free = [a.indices[0] for a in at]
    y = Tensor(name)
    y[tuple(free)] = max_over(over, tensor[tuple(at)])
    return y


@st.composite
def samples(draw: Any) -> Sample:
    """One to three equations, each reading what was there before."""
    given = given_tensors(draw)
    tensors = list(given)
    for name in ("C", "D", "Y")[draw(st.integers(0, 2)) :]:
        make = largest if draw(st.integers(0, 5)) == 5 else pointwise
        tensors.append(make(draw, tensors[-3:], name))
    return Sample(given, tensors[-1])


def values(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Numbers of moderate size, no two alike."""
    return generator.uniform(-1.5, 1.5, shape)
