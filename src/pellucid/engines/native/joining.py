"""Parts of a concatenation, written where they belong in the first place.

    X[n,c,i,j] = f(...);  Y[n, c+64, i, j] = X[n,c,i,j]     becomes     Y[n, c+64, i, j] = f(...)

and whatever else reads X reads that part of Y. The copy, and the memory for X, are saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pellucid.notation import Affine, Equation, Expression, Program, Tensor
from pellucid.notation.expression import Access, accesses, transform


@dataclass(frozen=True)
class _Part:
    """A part of a tensor: what lies there, and how far from the tensor's beginning in each dimension."""

    whole: Tensor
    shift: tuple[int, ...]

    def at(self, at: Sequence[Affine]) -> tuple[Affine, ...]:
        return tuple(affine + offset for affine, offset in zip(at, self.shift, strict=True))


def joined_in_place(program: Program) -> Program:
    """The program without copies into parts of a tensor, where the part can be written at once.

    What is joined may itself be a part of something larger: then the inner joint is undone first.
    """
    while parts := _parts(program):
        program = _moved(program, parts)
    return program


def _parts(program: Program) -> dict[Tensor, _Part]:
    """The tensors that can be written as parts of others, none of which is moved itself."""
    readers: dict[Tensor, list[int]] = {}
    defined: dict[Tensor, list[int]] = {}
    for number, equation in enumerate(program.equations):
        defined.setdefault(equation.tensor, []).append(number)
        for tensor in dict.fromkeys(a.tensor for a in accesses(equation.value)):
            readers.setdefault(tensor, []).append(number)
    kept = {*program.outputs, *(t for pair in program.updates for t in pair)}
    found: dict[Tensor, _Part] = {}
    for number, equation in enumerate(program.equations):
        part = _copied(equation)
        if part is None or len(defined[part.whole]) == 1:
            continue
        assert isinstance(equation.value, Access)
        tensor = equation.value.tensor
        if tensor in kept or tensor in found or tensor not in defined or part.whole in found:
            continue
        # Whoever reads it must come after all of the whole: kernels wait for tensors, not for parts of them.
        later = all(k == number or k > defined[part.whole][-1] for k in readers[tensor])
        others = (a for k in readers[tensor] if k != number for a in accesses(program.equations[k].value))
        if later and all(_stays_inside(a, part, part.whole in kept) for a in others if a.tensor == tensor):
            found[tensor] = part
    return {t: part for t, part in found.items() if part.whole not in found}


def _copied(equation: Equation) -> _Part | None:
    """The part that a whole tensor is copied to by this equation, if that is all it does."""
    value = equation.value
    if not isinstance(value, Access) or value.tensor.kind != equation.tensor.kind or len(value.at) != len(equation.at):
        return None
    singles = [affine.single for affine in value.at]
    whole = all(i is not None and i.size == e for i, e in zip(singles, value.tensor.extents, strict=True))
    if not whole or len(set(singles)) < len(singles):
        return None
    shift = []
    for here, there in zip(equation.at, value.at, strict=True):
        offset = here - there
        if offset.terms:
            return None
        shift.append(offset.constant)
    return _Part(equation.tensor, tuple(shift))


def _stays_inside(read: Access, part: _Part, kept: bool) -> bool:
    """Whether a read beyond the tensor's edges finds the same there, around the whole."""
    return all(
        (affine.bounds[0] >= 0 and affine.bounds[1] < extent) or (extent == whole and not kept)
        for affine, extent, whole in zip(read.at, read.tensor.extents, part.whole.extents, strict=True)
    )


def _moved(program: Program, parts: dict[Tensor, _Part]) -> Program:
    def rule(node: Expression) -> Expression:
        if isinstance(node, Access) and node.tensor in parts:
            part = parts[node.tensor]
            return Access(part.whole, part.at(node.at), node.outside)
        return node

    equations = []
    for equation in program:
        tensor, at, value = equation.tensor, equation.at, transform(equation.value, rule)
        if tensor in parts:
            tensor, at = parts[tensor].whole, parts[tensor].at(at)
        if value != Access(tensor, at):  # what was a copy is now there already
            equations.append(Equation(tensor, at, value))
    return Program(tuple(equations), program.outputs, program.updates)
