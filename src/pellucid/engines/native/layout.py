"""Layout: which index lies innermost in memory, expressed as another program.

A layout is a rewriting of the equations, not a property of buffers: in the program that comes out, every tensor
lies in C order. Three layouts are offered for whole programs (`batch.py` and `channels.py` write the last two,
`choice.py` chooses):

* `images`: as written, images one after another (NCHW). Neighbours in memory are neighbours in a row.
* `batch`: blocks of images, the images of a block innermost. Neighbours in memory are the same place of other images.
* `channels`: channels innermost (NHWC). Neighbours in memory are channels of the same place.

What the caller gives and gets stays as written: copies into a layout and out of it are equations too.
"""

from __future__ import annotations

from collections.abc import Mapping

from pellucid.engines.native.batch import BLOCK, BatchLayout
from pellucid.engines.native.channels import ChannelLayout
from pellucid.errors import UsageError
from pellucid.notation import Affine, Equation, Expression, Index, Program, Tensor
from pellucid.notation.expression import (
    Access,
    Position,
    Reduce,
    accesses,
    bound_indices,
    substitute,
    transform,
)


def batched_tensors(program: Program) -> dict[Tensor, int] | None:
    """The tensors whose first dimension is the batch, or None where the batch is not simply passed through.

    The batch is the first dimension of the first input with more than one dimension; it must be addressed by one
    index alone wherever it appears, all of it, and nothing but sums may be taken over it.
    """
    first = next((t for t in program.of_role("input") if len(t.extents) > 1), None)
    if first is None:
        return None
    size = first.extents[0]
    batched = {t: 0 for t in program.of_role("input") if t.extents and t.extents[0] == size}
    batched |= dict.fromkeys(_drawn(program, size), 0)
    for equation in program:
        found = {a.at[0].single for a in accesses(equation.value) if a.tensor in batched}
        if None in found or len(found) > 1:
            return None
        index = next(iter(found), None)
        if index is None:
            continue
        inner = [a for r in accesses(equation.value) for a in (r.at[1:] if r.tensor in batched else r.at)]
        if any(index in a.indices for a in inner):
            return None
        if index in equation.indices:
            if equation.at[0].single != index or any(index in a.indices for a in equation.at[1:]):
                return None
            batched[equation.tensor] = 0
    return batched if all(_passes_through(e, batched, size) for e in program) else None


def _drawn(program: Program, size: int) -> list[Tensor]:
    """Tensors with a number for each image that follow from its place alone, as a dropout's mask does."""
    found = []
    for equation in program:
        first = equation.at[0].single if equation.at else None
        reads = [a for a in accesses(equation.value) if a.tensor.extents]
        if first is not None and first.size == size and not reads and equation.covers:
            places = {i for n in equation.value.walk() if isinstance(n, Position) for i in n.affine.indices}
            if first in places and not any(first in a.indices for a in equation.at[1:]):
                found.append(equation.tensor)
    return found


def _passes_through(equation: Equation, batched: Mapping[Tensor, int], size: int) -> bool:
    """Whether one index runs over the whole batch in all tensors of images that the equation reads and writes."""
    at = {a.at[0].single for a in (equation.left, *accesses(equation.value)) if a.tensor in batched}
    if not at:
        return True
    index = at.pop()
    if at or index is None or index.size != size:
        return False
    return all(n.kind == "sum" for n in equation.value.walk() if isinstance(n, Reduce) and index in n.indices)


LAYOUTS = ("images", "batch", "channels")


def possible(program: Program) -> tuple[str, ...]:
    """The layouts that a program can have."""
    return LAYOUTS if batched_tensors(program) is not None else LAYOUTS[:1]


def apply(program: Program, lanes: int, layout: str) -> Program:
    """The program in the layout of that name; UsageError for one that it cannot have."""
    program = _without_block(program)
    if layout == "images":
        return program
    batched = batched_tensors(program)
    if layout not in LAYOUTS or batched is None:
        raise UsageError(f"layout {layout!r}: this program can have {', '.join(possible(program))}")
    if layout == "channels":
        return ChannelLayout(program, lanes, batched).apply()
    return BatchLayout(program, lanes, batched).apply()


def _without_block(program: Program) -> Program:
    """Leave the name of the block index to the layout: an equation's own index of that name gets another."""

    def renamed(equation: Equation) -> Equation:
        names = {i.name: i for i in (*equation.indices, *bound_indices(equation.value))}
        if BLOCK not in names:
            return equation
        name = BLOCK
        while name in names:
            name += "'"
        table = {names[BLOCK]: Affine.of(Index(name, names[BLOCK].extent))}
        at = tuple(a.substitute(table) for a in equation.at)
        return Equation(equation.tensor, at, substitute(equation.value, table))

    return Program(tuple(map(renamed, program)), program.outputs, program.updates)


def with_room(program: Program) -> Program:
    """Given tensors that are read beyond their edges are copied first, to where there is a margin of zeros."""
    beyond = dict.fromkeys(
        read.tensor
        for equation in program
        for read in accesses(equation.value)
        if read.tensor.role != "defined"
        and read.outside == 0
        and any(a.bounds[0] < 0 or a.bounds[1] >= e for a, e in zip(read.at, read.tensor.extents, strict=True))
    )
    if not beyond:
        return program
    copies: dict[Tensor, Tensor] = {}
    for tensor in beyond:
        copy = Tensor(tensor.symbol, tensor.extents, kind=tensor.kind, name=f"{tensor.name} with room")
        at = tuple(Affine.of(Index(f"x{d + 1}", e)) for d, e in enumerate(tensor.extents))
        copy.definition = [Equation(copy, at, Access(tensor, at))]
        copies[tensor] = copy

    def rule(node: Expression) -> Expression:
        if isinstance(node, Access) and node.tensor in copies:
            return Access(copies[node.tensor], node.at, node.outside)
        return node

    moved = [Equation(e.tensor, e.at, transform(e.value, rule)) for e in program]
    return Program((*(c.definition[0] for c in copies.values()), *moved), program.outputs, program.updates)
