"""Indices and the affine expressions in which they address tensors.

`s*i + u - p` is an `Affine`: integer coefficients on indices, plus an integer. Both classes are values: two
indices with the same name and extent are the same index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pellucid.errors import NotationError


@dataclass(frozen=True, slots=True)
class Index:
    """A name that runs over `0 .. extent-1`; an extent of None is inferred from the tensors it addresses."""

    name: str
    extent: int | None = None

    def __add__(self, other: AffineLike) -> Affine:
        return Affine.of(self) + other

    def __radd__(self, other: AffineLike) -> Affine:
        return Affine.of(other) + self

    def __sub__(self, other: AffineLike) -> Affine:
        return Affine.of(self) - other

    def __rsub__(self, other: AffineLike) -> Affine:
        return Affine.of(other) - self

    def __mul__(self, factor: int) -> Affine:
        return Affine.of(self) * factor

    __rmul__ = __mul__

    def __neg__(self) -> Affine:
        return Affine.of(self) * -1

    def __str__(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        """The extent, once it is known."""
        if self.extent is None:
            raise NotationError(f"index {self.name}: its extent is not known yet")
        return self.extent


@dataclass(frozen=True, slots=True)
class Affine:
    """`constant + sum of coefficient * index`, in the order in which it was written; no zero coefficients."""

    terms: tuple[tuple[Index, int], ...] = ()
    constant: int = 0

    @staticmethod
    def of(value: object) -> Affine:
        """An index or an integer as an affine expression; NotationError for anything else."""
        if isinstance(value, Affine):
            return value
        if isinstance(value, Index):
            return Affine(((value, 1),))
        if isinstance(value, int):
            return Affine((), value)
        shown = repr(value) if isinstance(value, str) else value
        raise NotationError(f"a tensor is addressed by indices and integers, not by {shown}")

    @staticmethod
    def combine(terms: Iterable[tuple[Index, int]], constant: int) -> Affine:
        """Collect equal indices and drop those that cancel."""
        total: dict[Index, int] = {}
        for index, coefficient in terms:
            total[index] = total.get(index, 0) + coefficient
        return Affine(tuple((i, c) for i, c in total.items() if c), constant)

    def __add__(self, other: AffineLike) -> Affine:
        if not isinstance(other, _SUMMANDS):
            return NotImplemented  # what is added may know how to take an index as a number
        other = Affine.of(other)
        return Affine.combine(self.terms + other.terms, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: int) -> Affine:
        if isinstance(factor, Affine | Index | float):
            raise NotationError(f"{self} can be multiplied by whole numbers only, not by {factor}")
        if not isinstance(factor, int):
            return NotImplemented  # as above
        return Affine.combine(((i, c * factor) for i, c in self.terms), self.constant * factor)

    __rmul__ = __mul__

    def __neg__(self) -> Affine:
        return self * -1

    def __sub__(self, other: AffineLike) -> Affine:
        if not isinstance(other, _SUMMANDS):
            return NotImplemented  # as above
        return self + Affine.of(other) * -1

    def __rsub__(self, other: AffineLike) -> Affine:
        return Affine.of(other) + self * -1

    @property
    def indices(self) -> tuple[Index, ...]:
        return tuple(i for i, _ in self.terms)

    @property
    def single(self) -> Index | None:
        """The index, when this is one index and nothing else."""
        if self.constant == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0]
        return None

    def coefficient(self, index: Index) -> int:
        return next((c for i, c in self.terms if i == index), 0)

    def substitute(self, values: Mapping[Index, Affine]) -> Affine:
        """Replace indices by affine expressions."""
        terms: list[tuple[Index, int]] = []
        constant = self.constant
        for index, coefficient in self.terms:
            value = values.get(index)
            if value is None:
                terms.append((index, coefficient))
            else:
                terms += [(i, c * coefficient) for i, c in value.terms]
                constant += value.constant * coefficient
        return Affine.combine(terms, constant)

    def evaluate(self, values: Mapping[Index, int]) -> int:
        return self.constant + sum(c * values[i] for i, c in self.terms)

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest value over the whole range of the indices."""
        low = high = self.constant
        for index, coefficient in self.terms:
            reach = coefficient * (index.size - 1)
            low, high = low + min(reach, 0), high + max(reach, 0)
        return low, high

    def __str__(self) -> str:
        text = ""
        for index, coefficient in self.terms:
            size = abs(coefficient)
            sign = ("-" if coefficient < 0 else "") if not text else ("-" if coefficient < 0 else "+")
            text += f"{sign}{'' if size == 1 else f'{size}*'}{index.name}"
        if self.constant or not text:
            text += f"{self.constant:+d}" if text else str(self.constant)
        return text


AffineLike = Affine | Index | int
_SUMMANDS = (Affine, Index, int, float, str)
"""What is added here, or refused here; anything else may know by itself how to add an index."""


def indices(names: str) -> tuple[Index, ...]:
    """Indices with inferred extents: `n, o, i, j = indices("n o i j")`."""
    return tuple(Index(name) for name in names.split())


def box(indices: Iterable[Index]) -> int:
    """The number of points that the indices span together."""
    count = 1
    for index in indices:
        count *= index.size
    return count
