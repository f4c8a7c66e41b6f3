"""Normalisation by known statistics, folded into the kernel before it.

    H[n,c,i,j] = (X[n,c,i,j] - R[c]) / D[c];  Y[n,c,i,j] = W[c] * H[n,c,i,j] + b[c]
becomes
    A[c] = W[c] / D[c];  B[c] = b[c] - R[c] * A[c];  Y[n,c,i,j] = A[c] * X[n,c,i,j] + B[c]

wherever nobody else reads H, and W, b, R and D follow from parameters and states alone: at inference, that is. What
follows from these is computed first, so that the kernel of a convolution can do the multiply-add before it stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pellucid.notation import Affine, Equation, Expression, Index, Program, Tensor
from pellucid.notation.expression import (
    Access,
    Add,
    Const,
    Div,
    Mul,
    accesses,
    bound_indices,
    free_indices,
    substitute,
    transform,
)

Line = tuple[Expression, Expression]
"""Factor and summand of a straight line."""


def known(program: Program) -> set[Tensor]:
    """The tensors that follow from parameters, states and constants alone."""
    found = {t for t in program.given if t.role != "input"}
    for tensor in dict.fromkeys(e.tensor for e in program):
        parts = program.definition(tensor)
        if all(_follows(e, found) for e in parts):
            found.add(tensor)
    return found


def _follows(equation: Equation, found: set[Tensor]) -> bool:
    reads = accesses(equation.value)
    return bool(reads) and all(a.tensor in found for a in reads)


def known_first(program: Program) -> Program:
    """The program with what follows from parameters and states ahead of everything else."""
    early = known(program)
    equations = sorted(program, key=lambda e: e.tensor not in early)
    return Program(tuple(equations), program.outputs, program.updates)


def folded(program: Program) -> Program:
    """The program with normalisations by known statistics as one multiply-add each."""
    fixed, readers = known(program), _readers(program)
    kept = {*program.outputs, *(t for pair in program.updates for t in pair)}
    inner = {
        t: program.definition(t)[0]
        for t, number in readers.items()
        if number == 1 and t not in kept and t not in fixed and _pointwise(program.definition(t))
    }
    equations: list[Equation] = []
    gone: set[Tensor] = set()
    for equation in program:
        line = _line_of(equation, inner, fixed)
        if line is None:
            equations.append(equation)
        else:
            gone |= line[1]
            equations += line[0]
    return Program(tuple(e for e in equations if e.tensor not in gone), program.outputs, program.updates)


def _readers(program: Program) -> dict[Tensor, int]:
    """How many times each tensor is read."""
    count: dict[Tensor, int] = {}
    for equation in program:
        for access in accesses(equation.value):
            count[access.tensor] = count.get(access.tensor, 0) + 1
    return count


def _pointwise(parts: Sequence[Equation]) -> bool:
    """One part that covers its tensor, without sums, each index by itself."""
    if len(parts) != 1 or not parts[0].covers or bound_indices(parts[0].value):
        return False
    return all(affine.single is not None for affine in parts[0].at)


def _line_of(
    equation: Equation, inner: Mapping[Tensor, Equation], fixed: set[Tensor]
) -> tuple[list[Equation], set[Tensor]] | None:
    """The equation as a straight line with known coefficients, and the tensors that are needed no longer."""
    value, gone = equation.value, set[Tensor]()
    while True:
        open_reads = list(dict.fromkeys(a for a in accesses(value) if a.tensor not in fixed))
        if len(open_reads) != 1 or open_reads[0].outside != 0:
            return None
        read = open_reads[0]
        definition = inner.get(read.tensor)
        if definition is None:
            break
        value = _opened(value, read, definition)
        gone.add(read.tensor)
    if not gone or read.at != equation.at:
        return None
    line = _line(value, read)
    if line is None:
        return None
    coefficients = []
    for part, symbol in zip(line, "AB", strict=True):
        at = tuple(i for i in equation.indices if i in free_indices(part))
        # What differs from image to image, or in all places, is no coefficient.
        if len(at) == len(equation.indices) or equation.indices[0] in at:
            return None
        coefficients.append(_coefficient(equation.tensor, symbol, at, part))
    slope, shift = (Access(c.tensor, c.at) for c in coefficients)
    return [*coefficients, Equation(equation.tensor, equation.at, Add((Mul((slope, read)), shift)))], gone


def _opened(value: Expression, read: Access, definition: Equation) -> Expression:
    """The value with what an element is defined by in its place."""
    table = {mine.single: at for mine, at in zip(definition.at, read.at, strict=True) if mine.single is not None}
    inside = substitute(definition.value, table)
    return transform(value, lambda node: inside if node == read else node)


def _coefficient(tensor: Tensor, symbol: str, at: tuple[Index, ...], value: Expression) -> Equation:
    own = Tensor(symbol, tuple(i.size for i in at), name=f"{tensor.name}.{symbol}")
    return Equation(own, tuple(map(Affine.of, at)), value)


def _line(node: Expression, read: Access) -> Line | None:
    """Factor and summand with which the expression depends on what is read; None where it is no straight line."""
    if node == read:
        return Const(1), Const(0)
    if read not in accesses(node):
        return Const(0), node
    match node:
        case Add(terms):
            lines = [_line(term, read) for term in terms]
            if None in lines:
                return None
            slopes, shifts = zip(*(line for line in lines if line is not None), strict=True)
            return _sum(slopes), _sum(shifts)
        case Mul(factors):
            moving = [f for f in factors if read in accesses(f)]
            line = _line(moving[0], read) if len(moving) == 1 else None
            rest = [f for f in factors if f not in moving]
            return None if line is None else (_product([*rest, line[0]]), _product([*rest, line[1]]))
        case Div(numerator, denominator) if read not in accesses(denominator):
            line = _line(numerator, read)
            return None if line is None else (Div(line[0], denominator), Div(line[1], denominator))
    return None


def _sum(terms: tuple[Expression, ...]) -> Expression:
    rest = tuple(t for t in terms if t != Const(0))
    return Add(rest) if len(rest) > 1 else (*rest, Const(0))[0]


def _product(factors: list[Expression]) -> Expression:
    if Const(0) in factors:
        return Const(0)
    rest = tuple(f for f in factors if f != Const(1))
    return Mul(rest) if len(rest) > 1 else (*rest, Const(1))[0]
