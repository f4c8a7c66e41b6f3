"""Rewritings that make a program faster and leave its values as they are, but for the order of long sums.

Each takes a program in its layout and returns another that means the same; `rewritten` applies all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.engines.native.batch import BLOCK
from pellucid.engines.native.folding import known_first
from pellucid.engines.native.joining import joined_in_place
from pellucid.engines.native.product import sum_of_products
from pellucid.notation import Affine, Equation, Expression, Index, Program, Tensor
from pellucid.notation.expression import Access, Bracket, Call, Const, Reduce, accesses, substitute, transform
from pellucid.notation.index import box
from pellucid.notation.selection import scattered, selection

OWN_SUMS = 16
"""A sum is split into partial sums only where each adds up at least this many values."""

LONG = 1024
"""From this many values on a sum without reuse is split: for the threads' sake, and because long sums round badly."""

ROWS = 64
"""Into about so many partial sums; their number does not depend on the threads, so neither does the result."""


def rewritten(program: Program) -> Program:
    """The program with every rewriting applied."""
    shorter = direct_copies(partial_sums(bare_scatters(turned_factors(kept_masks(program)))))
    return known_first(joined_in_place(shorter))


def successors(program: Program) -> Program:
    """Give each updated state a successor that can be computed in the state's own place: a copy where it could not."""
    equations, updates = list(program.equations), []
    taken: set[Tensor] = set(program.outputs)
    for old, new in program.updates:
        if new.role == "defined" and new not in taken and any(e.covers for e in program.definition(new)):
            taken.add(new)
            updates.append((old, new))
            continue
        at = tuple(Affine.of(Index(f"x{d + 1}", extent)) for d, extent in enumerate(old.extents))
        copy = Tensor(old.symbol, old.extents, kind=old.kind, name=f"next {old.name}")
        equations.append(Equation(copy, at, Access(new, at)))
        updates.append((old, copy))
    return Program(tuple(equations), program.outputs, tuple(updates))


def kept_masks(program: Program) -> Program:
    """Let a ReLU's gradient look at its result instead of its argument: one is positive where the other is.

    The result is kept for the next layer anyway; the argument then need not be.
    """
    kept: dict[Tensor, Tensor] = {}

    def rule(node: Expression) -> Expression:
        match node:
            case Bracket(Access(argument, at, outside), ">", Const(0)) if argument in kept:
                return Bracket(Access(kept[argument], at, outside), ">", Const(0))
        return node

    equations: list[Equation] = []
    for equation in program:
        equations.append(Equation(equation.tensor, equation.at, transform(equation.value, rule)))
        match equation.value:
            case Call("maximum", (Access(argument, at), Const(0))) if at == equation.at and equation.covers:
                if argument.extents == equation.tensor.extents and len(program.definition(equation.tensor)) == 1:
                    kept.setdefault(argument, equation.tensor)
    return Program(tuple(equations), program.outputs, program.updates)


def direct_copies(program: Program) -> Program:
    """Let copies of a copy read the original, where only copies read the one between: it is then not made."""
    readers: dict[Tensor, list[Equation]] = {}
    for equation in program:
        for access in accesses(equation.value):
            readers.setdefault(access.tensor, []).append(equation)
    kept = {*program.outputs, *(t for pair in program.updates for t in pair)}
    between = {
        e.tensor: e
        for e in program
        if e.tensor not in kept and _is_copy(e) and all(_is_copy(r) and _inside(r) for r in readers.get(e.tensor, ()))
    }
    equations = []
    for equation in program:
        while isinstance(equation.value, Access) and equation.value.tensor in between:
            first = between[equation.value.tensor]
            table = {mine.single: at for mine, at in zip(first.at, equation.value.at, strict=True) if mine.single}
            equation = Equation(equation.tensor, equation.at, substitute(first.value, table))
        if equation.tensor not in between:
            equations.append(equation)
    return Program(tuple(equations), program.outputs, program.updates)


def _is_copy(equation: Equation) -> bool:
    """Whether it writes its whole tensor, each element as it is read."""
    singles = [a.single for a in equation.at]
    whole = equation.covers and None not in singles and len(set(singles)) == len(singles)
    return whole and isinstance(equation.value, Access) and equation.value.tensor.kind == equation.tensor.kind


def _inside(equation: Equation) -> bool:
    """Whether all it reads lies inside its tensors."""
    return all(
        a.bounds[0] >= 0 and a.bounds[1] < extent
        for access in accesses(equation.value)
        for a, extent in zip(access.at, access.tensor.extents, strict=True)
    )


def partial_sums(program: Program) -> Program:
    """Split sums that threads could not share, or that would round badly, into partial sums and the sum of these."""
    equations: list[Equation] = []
    for equation in program:
        sums = [n for n in equation.value.walk() if isinstance(n, Reduce) and n.kind == "sum"]
        parts = _parts(equation, sums[0]) if len(sums) == 1 and selection(sums[0]) is None else ()
        equations += _split_sum(equation, sums[0], parts) if parts else [equation]
    return Program(tuple(equations), program.outputs, program.updates)


def _parts(equation: Equation, total: Reduce) -> tuple[Index, ...]:
    """The indices that get a partial sum for each of their values; none where the sum should stay whole.

    Of a sum over blocks of images every block gets its own, which is then finished while the block is hot. Of a long
    sum that uses nothing twice, such as a batch's mean, every image gets its own, or every row.
    """
    over = total.indices
    block = next((i for i in over if i.name == BLOCK), None)
    if block is not None:
        inner = [i for i in over[:-1] if i != block]
        return (block,) if block.size > 1 and box(inner) >= OWN_SUMS else ()
    if box(over) < LONG or not _without_reuse(equation, total):
        return ()
    count = 1
    while count < len(over) and box(over[:count]) < ROWS:
        count += 1
    while count and box(over[count:]) < OWN_SUMS:
        count -= 1
    return over[:count] if box(over[:count]) > 1 else ()


def _without_reuse(equation: Equation, total: Reduce) -> bool:
    """Whether all that is summed up is different for every element of the result."""
    results = set(equation.indices)
    for access in accesses(total.body):
        used = {i for a in access.at for i in a.indices}
        if used & set(total.indices) and not results <= used:
            return False
    return True


def _split_sum(equation: Equation, total: Reduce, parts: Sequence[Index]) -> list[Equation]:
    places = (*parts, *equation.indices)
    partial = Tensor("P", tuple(i.size for i in places), name=f"{equation.tensor.name} in parts")
    at = tuple(map(Affine.of, places))
    own = Equation(partial, at, Reduce("sum", tuple(i for i in total.indices if i not in parts), total.body))
    joined = Reduce("sum", tuple(parts), Access(partial, at))
    value = transform(equation.value, lambda node: joined if node == total else node)
    return [own, Equation(equation.tensor, equation.at, value)]


def bare_scatters(program: Program) -> Program:
    """Let a scatter be all that its equation computes: what is done to its result comes after."""
    equations: list[Equation] = []
    for equation in program:
        sums = [n for n in equation.value.walk() if scattered(n)]
        if len(sums) == 1 and equation.value != sums[0]:
            at = tuple(map(Affine.of, equation.indices))
            bare = Tensor("S", tuple(i.size for i in equation.indices), name=f"{equation.tensor.name} as scattered")
            equations.append(Equation(bare, at, sums[0]))
            equation = _reading(equation, sums[0], Access(bare, at))
        equations.append(equation)
    return Program(tuple(equations), program.outputs, program.updates)


def turned_factors(program: Program) -> Program:
    """In the batch layout, let weight gradients of dense layers run their lanes over features instead of images.

    `dW[o,k] = sum(B,n) dY[B,o,n] * X[B,k,n]` sums so few products for each weight that adding up the lanes would cost
    more than the products. With a copy `X[B,n,k]` neighbouring weights share a vector.
    """
    copies: dict[Tensor, Tensor] = {}
    equations: list[Equation] = []
    for equation in program:
        product = sum_of_products(equation)
        factor = None if product is None else _dense_factor(equation, product)
        if product is None or factor is None:
            equations.append(equation)
            continue
        if factor.tensor not in copies:
            copies[factor.tensor] = _turned(factor.tensor)
            equations += copies[factor.tensor].definition
        block, feature, image = factor.at
        turned = Access(copies[factor.tensor], (block, image, feature))
        equations.append(_reading(equation, factor, turned))
    return Program(tuple(equations), program.outputs, program.updates)


def _reading(equation: Equation, old: Expression, new: Access) -> Equation:
    """The equation with an access in an expression's place."""
    value = transform(equation.value, lambda node: new if node == old else node)
    return Equation(equation.tensor, equation.at, value)


def _dense_factor(equation: Equation, product: Reduce) -> Access | None:
    """The factor with the features that the result's last dimension counts, if only images are summed over."""
    images = [i for i in product.indices if i.name != BLOCK]
    if len(images) != 1 or len(images) == len(product.indices) or not equation.at:
        return None
    last = equation.at[-1].single
    for access in accesses(product.body):
        if len(access.at) == 3 and access.at[1].single == last is not None and access.at[2].single == images[0]:
            return access
    return None


def _turned(tensor: Tensor) -> Tensor:
    block, features, lanes = tensor.extents
    copy = Tensor(tensor.symbol, (block, lanes, features), name=f"{tensor.name} turned")
    b, n, k = Index(BLOCK, block), Index("n", lanes), Index("k", features)
    at = tuple(map(Affine.of, (b, n, k)))
    copy.definition = [Equation(copy, at, Access(tensor, (at[0], at[2], at[1])))]
    return copy
