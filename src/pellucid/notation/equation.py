"""One equation: an element of a tensor, at every value of its indices, is an expression."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pellucid.errors import NotationError, ShapeError
from pellucid.notation.expression import Access, Expression, accesses, bound_indices, free_indices, substitute
from pellucid.notation.index import Affine, Index
from pellucid.notation.tensor import Tensor


@dataclass(frozen=True)
class Equation:
    """`tensor[at] = value`, where `at` is affine in the equation's free indices and all extents are known."""

    tensor: Tensor
    at: tuple[Affine, ...]
    value: Expression

    @staticmethod
    def infer(tensor: Tensor, at: tuple[Affine, ...], value: Expression) -> Equation:
        """Find the extent of every index from the tensors it addresses, and check that they agree.

        An index that stands alone in a dimension runs over that dimension. One that appears only in a sum such
        as `s*i + u - p` runs as far as the access stays as near the tensor's end as it starts from its beginning:
        the same padding on both sides, hence the usual output-size formula.
        """
        written = {i for affine in at for i in affine.indices}
        bound = bound_indices(value)
        _check_binding(tensor, written, bound, value)
        known = _declared([*written, *bound])
        if tensor.shape is not None:
            for dimension, affine in enumerate(at):
                _pin(tensor, known, Access(tensor, at), dimension, affine)
        reads = accesses(value)
        for read in reads:
            for dimension, affine in enumerate(read.at):
                _pin(tensor, known, read, dimension, affine)
        for read in reads:
            for dimension, affine in enumerate(read.at):
                _stretch(tensor, known, read, dimension, affine)
        missing = sorted(name for name, index in known.items() if index.extent is None)
        if missing:
            raise NotationError(
                f"{tensor.name}: nothing says how far index {', '.join(missing)} runs; give it an extent"
            )
        table = {i: Affine.of(known[i.name]) for i in (*written, *bound)}
        return Equation(tensor, tuple(a.substitute(table) for a in at), substitute(value, table))

    def check_writes(self, shape: tuple[int, ...]) -> None:
        """Every element written lies inside the tensor."""
        for dimension, affine in enumerate(self.at):
            low, high = affine.bounds
            if low < 0 or high >= shape[dimension]:
                raise ShapeError(
                    f"{self.tensor.name}: {affine} runs from {low} to {high} in dimension {dimension}, "
                    f"which has {shape[dimension]} elements"
                )

    @property
    def indices(self) -> tuple[Index, ...]:
        """The free indices, in the order in which the left-hand side names them."""
        return tuple(dict.fromkeys(i for affine in self.at for i in affine.indices))

    @property
    def left(self) -> Access:
        """The left-hand side as an access."""
        return Access(self.tensor, self.at)

    @property
    def covers(self) -> bool:
        """Whether this one part writes the whole tensor (its left-hand side being one-to-one)."""
        points = 1
        for index in self.indices:
            points *= index.size
        return points == self.tensor.size

    def __str__(self) -> str:
        from pellucid.notation.printing import equation_text

        return equation_text(self)


def _check_binding(tensor: Tensor, written: set[Index], bound: tuple[Index, ...], value: Expression) -> None:
    names = [i.name for i in (*written, *bound)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NotationError(f"{tensor.name}: index {', '.join(twice)} is bound more than once")
    loose = sorted(i.name for i in free_indices(value) if i not in written)
    if loose:
        raise NotationError(
            f"{tensor.name}: index {', '.join(loose)} is neither on the left-hand side nor under a sum or maximum"
        )


def _declared(found: Iterable[Index]) -> dict[str, Index]:
    known: dict[str, Index] = {}
    for index in found:
        if index.extent is not None and index.extent < 1:
            raise ShapeError(f"index {index.name} would run over {index.extent} values; it needs at least one")
        known[index.name] = index
    return known


def _pin(tensor: Tensor, known: dict[str, Index], read: Access, dimension: int, affine: Affine) -> None:
    """An index alone in a dimension takes, or must fit, that dimension's extent."""
    index = affine.single
    if index is None:
        return
    extent = read.tensor.extents[dimension]
    have = known[index.name].extent
    if have is None:
        known[index.name] = Index(index.name, extent)
    elif have > extent or (index.extent is None and have != extent):
        raise ShapeError(
            f"{tensor.name}: index {index.name} runs over {have} values elsewhere, "
            f"but dimension {dimension} of {read.tensor.name} has {extent} (in {read})"
        )


def _stretch(tensor: Tensor, known: dict[str, Index], read: Access, dimension: int, affine: Affine) -> None:
    """The one index of a sum that nothing pinned runs as far as equal padding on both sides lets it."""
    open_terms = [(i, c) for i, c in affine.terms if known[i.name].extent is None]
    if len(open_terms) != 1 or open_terms[0][1] < 1:
        return
    index, step = open_terms[0]
    rest = Affine(tuple((known[i.name], c) for i, c in affine.terms if i != index), affine.constant)
    low, high = rest.bounds
    padding = max(-low, 0)
    extent = read.tensor.extents[dimension]
    reach = extent - 1 + padding - high
    if reach < 0:
        raise ShapeError(
            f"{tensor.name}: {affine} reaches over {high - low + 1} elements, but dimension {dimension} of "
            f"{read.tensor.name} has {extent}{f' and {padding} of padding on each side' if padding else ''} (in {read})"
        )
    known[index.name] = Index(index.name, reach // step + 1)
