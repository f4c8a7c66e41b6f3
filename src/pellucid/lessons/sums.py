"""Sums of products as the notes write them: ``X11*dO11 + X12*dO12``, compared term by term.

Much of the notes is not numbers but letters: which pixel multiplies which gradient. What is true is not
written down a second time: :func:`linear` and :func:`bilinear` ask the product which terms there are, by
letting it compute with a single 1 among zeros.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError

Array = NDArray[np.float64]
Term = tuple[str, ...]

_FACTOR = re.compile(r"[A-Za-z_][A-Za-z_]*\d*|\d+(\.\d+)?")


@dataclass(frozen=True)
class Sum:
    """A sum of products: each term (its names, sorted) with its coefficient; no coefficient is 0."""

    terms: Mapping[Term, float]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and dict(self.terms) == dict(other.terms)

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        written = []
        for term, coefficient in self.terms.items():
            factors = "*".join(term) or "1"
            if coefficient == 1:
                written.append(factors)
            elif coefficient == -1:
                written.append(f"-{factors}")
            else:
                written.append(f"{coefficient:g}*{factors}" if term else f"{coefficient:g}")
        return " + ".join(written).replace("+ -", "- ")

    def difference(self, other: "Sum") -> tuple["Sum", "Sum"]:
        """Give what this sum lacks of ``other``, and what it has too much."""
        lacking = {t: c for t, c in other.terms.items() if self.terms.get(t) != c}
        excess = {t: c for t, c in self.terms.items() if other.terms.get(t) != c}
        return Sum(lacking), Sum(excess)


def parse(text: str) -> Sum:
    """Read a printed sum of products; the order of terms and factors does not matter.

    Raises DataError, quoting the sum, when a part is neither a name, a number nor a product of these.
    """
    terms: dict[Term, float] = {}
    for part in re.findall(r"[+-]?[^+-]+", text.replace(" ", "")):
        coefficient = -1.0 if part.startswith("-") else 1.0
        factors = []
        for factor in part.lstrip("+-").split("*"):
            if not _FACTOR.fullmatch(factor):
                raise DataError(f'"{factor}" in "{text}" must be a name such as X11 or a number.')
            if factor[0].isdigit():
                coefficient *= float(factor)
            else:
                factors.append(factor)
        term = tuple(sorted(factors))
        terms[term] = terms.get(term, 0.0) + coefficient
    return Sum({term: coefficient for term, coefficient in terms.items() if coefficient})


def names(letter: str, shape: Sequence[int]) -> list[str]:
    """Name a matrix's elements as the notes do, row by row: X11, X12, ..."""
    return [letter + "".join(str(i + 1) for i in index) for index in np.ndindex(*shape)]


def linear(function: Callable[[Array], Array], letter: str, shape: Sequence[int]) -> list[Sum]:
    """Ask a linear function which inputs each of its outputs sums, by one 1 among zeros at a time."""
    labels = names(letter, shape)
    columns = [function(unit).ravel() for unit in units(shape)]
    return [
        Sum({(label,): float(column[k]) for label, column in zip(labels, columns, strict=True) if column[k]})
        for k in range(columns[0].size)
    ]


def bilinear(
    function: Callable[[Array, Array], Array],
    first: tuple[str, Sequence[int]],
    second: tuple[str, Sequence[int]],
) -> list[Sum]:
    """Ask a function linear in each of two tensors which products each of its outputs sums."""
    terms: list[dict[Term, float]] = []
    for label_a, unit_a in zip(names(*first), units(first[1]), strict=True):
        for label_b, unit_b in zip(names(*second), units(second[1]), strict=True):
            values = function(unit_a, unit_b).ravel()
            terms = terms or [{} for _ in values]
            for output, value in zip(terms, values, strict=True):
                if value:
                    output[tuple(sorted((label_a, label_b)))] = float(value)
    return [Sum(output) for output in terms]


def units(shape: Sequence[int]) -> list[Array]:
    """Give the tensors of a shape that hold a single 1 among zeros, row by row."""
    size = int(np.prod(shape))
    return [row.reshape(shape) for row in np.eye(size)]
