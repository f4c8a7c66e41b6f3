"""Lowering: from equations to kernels.

Each sum of products becomes a contraction, everything else a loop nest. Pointwise equations join the kernel that
computes what they read, so that it need not travel through memory. In the batch layout, kernels that treat every
block of images by itself are marked: threads then keep their blocks from kernel to kernel without waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from heapq import heappop, heappush

from pellucid.engines.native.batch import BLOCK
from pellucid.engines.native.memory import Buffer, margins
from pellucid.engines.native.nest import Nest
from pellucid.engines.native.product import Product, chainable, sum_of_products
from pellucid.engines.native.scatter import Scatter
from pellucid.notation import Affine, Equation, Index, Program, Tensor
from pellucid.notation.expression import (
    Access,
    Const,
    Mul,
    Reduce,
    accesses,
    bound_indices,
    substitute,
    transform,
)
from pellucid.notation.selection import scattered

Kernel = Nest | Product


def buffers_of(program: Program, outside: Iterable[Tensor]) -> dict[Tensor, Buffer]:
    """A buffer for every tensor; those the caller owns have no margin and lie in the caller's arrays."""
    around = margins(program.equations)
    theirs = set(outside)
    return {
        t: Buffer(
            t, ((0, 0),) * len(t.extents) if t in theirs else around.get(t, ((0, 0),) * len(t.extents)), t in theirs
        )
        for t in program.tensors
    }


def lower(program: Program, buffers: Mapping[Tensor, Buffer], apart: Set[Tensor] = frozenset()) -> list[Kernel]:
    """The kernels of a program, in order; the tensors `apart` join no kernel that computes others."""
    readers: dict[Tensor, list[Equation]] = {}
    places: dict[Tensor, list[int]] = {}
    for number, equation in enumerate(program.equations):
        for tensor in dict.fromkeys(a.tensor for a in accesses(equation.value)):
            readers.setdefault(tensor, []).append(equation)
            places.setdefault(tensor, []).append(number)
    defined: dict[Tensor, list[int]] = {}
    for number, equation in enumerate(program.equations):
        defined.setdefault(equation.tensor, []).append(number)
    kept = {*program.outputs, *(t for pair in program.updates for t in pair)}
    kernels: list[Kernel] = []
    done: set[int] = set()
    for number in range(len(program.equations)):
        if number not in done:
            chain = _chain(program, number, done, places, defined, apart)
            done.update(chain)
            kernels.append(_kernel(chain, program, readers, kept, buffers))
    return kernels


def _chain(
    program: Program,
    first: int,
    done: set[int],
    readers: Mapping[Tensor, list[int]],
    defined: Mapping[Tensor, list[int]],
    apart: Set[Tensor],
) -> dict[int, Equation]:
    """The equation and the later ones that can be computed with it, place by place, under its index names.

    Only equations that read one of the chain's tensors can join it: `readers` and `defined` say which those are.
    """
    equations = program.equations
    head = equations[first]
    chain = {first: head}
    if not head.covers or scattered(head.value):
        return chain
    product = _contracts(head)
    inside = {head.tensor: head.at}
    waiting = sorted(readers.get(head.tensor, ()))
    while waiting:
        number = heappop(waiting)
        if number <= first or number in done or number in chain or not _whole(equations[number]):
            continue
        if (equations[number].tensor in apart) != (head.tensor in apart):
            continue
        candidate = _under_names_of(head, equations[number])
        if candidate is None or not _fits(candidate, head, inside):
            continue
        reads = {a.tensor for a in accesses(candidate.value)} - inside.keys()
        if any(a.tensor == candidate.tensor for e in (*chain.values(), candidate) for a in accesses(e.value)):
            continue  # another part of what it writes
        # Everything else it reads must be computed before the chain's first equation.
        if any(k > first and k not in done for tensor in reads for k in defined.get(tensor, ())):
            continue
        if any(isinstance(n, Reduce) for n in candidate.value.walk()):
            continue
        if product and (candidate.tensor.kind != "float" or not chainable(candidate.value)):
            continue
        chain[number] = candidate
        inside[candidate.tensor] = candidate.at
        for reader in readers.get(candidate.tensor, ()):
            if reader > number:
                heappush(waiting, reader)
    return chain


def _under_names_of(head: Equation, candidate: Equation) -> Equation | None:
    """The equation with the head's indices in place of its own, if they run equally far.

    It may write a part of a larger tensor: places that lie some way from the head's.
    """
    if len(candidate.at) != len(head.at) or bound_indices(candidate.value):
        return None
    table: dict[Index, Affine] = {}
    for mine, theirs in zip(candidate.at, head.at, strict=True):
        old = (mine - mine.constant).single
        # The head may write a dimension in blocks, as 32*O+o; a slice of that dimension is another range.
        if old is None or old.size != theirs.bounds[1] + 1:
            return None
        table[old] = theirs
    at = tuple(mine.substitute(table) for mine in candidate.at)
    return Equation(candidate.tensor, at, substitute(candidate.value, table))


def _contracts(equation: Equation) -> bool:
    return sum_of_products(equation) is not None


def _whole(equation: Equation) -> bool:
    """One index for each dimension: its elements are independent of each other."""
    singles = [(a - a.constant).single for a in equation.at]
    return None not in singles and len(set(singles)) == len(singles)


def _fits(candidate: Equation, head: Equation, inside: Mapping[Tensor, tuple[Affine, ...]]) -> bool:
    """Whether an equation reads the chain's tensors only where the chain writes them, over the same indices."""
    if candidate.indices != head.indices or candidate.tensor in inside:
        return False
    reads = [a for a in accesses(candidate.value) if a.tensor in inside]
    return bool(reads) and all(a.at == inside[a.tensor] for a in reads)


def _kernel(
    numbered: Mapping[int, Equation],
    program: Program,
    readers: Mapping[Tensor, list[Equation]],
    kept: set[Tensor],
    buffers: Mapping[Tensor, Buffer],
) -> Kernel:
    chain = list(numbered.values())
    members = {id(program.equations[k]) for k in numbered}
    stored = tuple(
        e.tensor for e in chain
        if e is chain[-1] or e.tensor in kept or any(id(r) not in members for r in readers.get(e.tensor, []))
    )  # fmt: skip
    if scattered(chain[0].value):
        return Scatter(tuple(chain), stored, buffers)
    block = _block(chain)
    product = sum_of_products(chain[0])
    if product is not None and _readable(chain, product, buffers):
        return Product(tuple(chain), stored, buffers, block)
    return Nest(tuple(chain), stored, buffers, block)


def _readable(chain: list[Equation], product: Reduce, buffers: Mapping[Tensor, Buffer]) -> bool:
    """Whether all that a contraction reads lies inside its buffers, and its epilogue can be written."""
    assert isinstance(product.body, Mul)
    inside = all(buffers[a.tensor].covers(a) for e in chain for a in accesses(e.value))
    factors = all(isinstance(f, Access) and f.outside == 0 for f in product.body.factors)
    rest = [e.value for e in chain[1:]]
    floats = all(e.tensor.kind == "float" for e in chain)
    return inside and factors and floats and all(map(chainable, rest)) and _plain_around(chain[0], product)


def _plain_around(head: Equation, product: Reduce) -> bool:
    return chainable(transform(head.value, lambda node: Const(0) if node == product else node))


def _block(chain: list[Equation]) -> Index | None:
    """The block index, if every tensor of blocks is read and written at one block at a time."""
    head = chain[0]
    first = next((i for a in head.at[:1] for i in a.indices if i.name == BLOCK), None)
    if first is None:
        return None
    for equation in chain:
        for access in accesses(equation.value):
            # The caller's arrays are not in blocks: what a block reads of them nobody else writes meanwhile.
            inner = access.at[1:] if access.at and access.at[0].single == first else access.at
            if access.tensor.role == "defined" and any(i.name == BLOCK for a in inner for i in a.indices):
                return None
    return first


def describe(kernels: Iterable[Kernel]) -> str:
    """The kernels as text, one equation a line."""
    lines = []
    for number, kernel in enumerate(kernels):
        kind = "product" if isinstance(kernel, Product) else "nest"
        lines.append(f"{number:3d} {kind}{' of each block' if kernel.block is not None else ''}")
        lines += [f"      {e}{'' if e.tensor in kernel.stored else '   (not stored)'}" for e in kernel.equations]
    return "\n".join(lines)
