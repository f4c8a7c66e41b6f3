"""Matrix products: Gemm, MatMul, Einsum."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pellucid.errors import DataError, ShapeError
from pellucid.formats.onnx.rules import (
    Attributes,
    Operand,
    Rule,
    broadcast,
    given,
    optional,
    places,
    required,
    spread,
)
from pellucid.notation import Expression, Index, Tensor, sum_over
from pellucid.notation.expression import Mul


def _gemm(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[n,o] = alpha * sum(k) A[n,k] * B[k,o] + beta * C[n,o], either factor transposed if asked for."""
    a, b, c = required(operands, 0), required(operands, 1), optional(operands, 2)
    if len(a.extents) != 2 or len(b.extents) != 2:
        raise ShapeError("Gemm multiplies two matrices")
    across, down = attributes.integer("transA", 0), attributes.integer("transB", 0)
    rows, inner = a.extents[::-1] if across else a.extents
    inner_too, columns = b.extents[::-1] if down else b.extents
    if inner != inner_too:
        raise ShapeError(f'the factors do not fit: "{a.name}" gives {inner} inner values, "{b.name}" {inner_too}')
    n, o, k = Index("n", rows), Index("o", columns), Index("k", inner)
    value: Expression = sum_over([k], (a[k, n] if across else a[n, k]) * (b[o, k] if down else b[k, o]))
    alpha, beta = attributes.real("alpha", 1.0), attributes.real("beta", 1.0)
    if alpha != 1:
        value = value * alpha
    if c is not None:
        broadcast([(rows, columns), c.extents])
        value = value + (spread(c, (n, o)) if beta == 1 else spread(c, (n, o)) * beta)
    y = Tensor("Y")
    y[n, o] = value
    return [y]


def _matmul(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[...,n,o] = sum(k) A[...,n,k] * B[...,k,o]; a vector loses the dimension it was given."""
    a, b = given(operands, 2)
    if not a.extents or not b.extents:
        raise ShapeError("MatMul multiplies matrices and vectors, not single numbers")
    lead = places(broadcast([a.extents[:-2], b.extents[:-2]]))
    lead = tuple(Index(f"b{d}", index.size) for d, index in enumerate(lead))
    inner = a.extents[-1]
    if b.extents[max(len(b.extents) - 2, 0)] != inner:
        raise ShapeError(f'the factors do not fit: "{a.name}" has {inner} columns, "{b.name}" another number of rows')
    k = Index("k", inner)
    n = (Index("n", a.extents[-2]),) if len(a.extents) > 1 else ()
    o = (Index("o", b.extents[-1]),) if len(b.extents) > 1 else ()
    left = _matrix(a, lead, (*n, k))
    right = _matrix(b, lead, (k, *o))
    y = Tensor("Y", tuple(index.size for index in (*lead, *n, *o)))
    y[(*lead, *n, *o)] = sum_over([k], left * right)
    return [y]


def _matrix(x: Tensor, lead: tuple[Index, ...], own: tuple[Index, ...]) -> Expression:
    """One element of a stack of matrices; the stack spreads, the matrices do not."""
    extents = x.extents[: len(x.extents) - len(own)]
    outer = lead[len(lead) - len(extents) :]
    at = [index if extent > 1 else 0 for extent, index in zip(extents, outer, strict=True)]
    return x[(*at, *own)]


def _einsum(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """A sum of products in the notation's own form: what is named on the left only is summed over."""
    tensors = given(operands, 1)
    left, arrow, right = attributes.text("equation", "").replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors) or not all(re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", term) for term in terms):
        raise DataError(f"Einsum cannot read the equation {attributes.text('equation', '')!r:.80}")
    ellipsis = max((len(x.extents) - len(t.replace("...", "")) for t, x in zip(terms, tensors, strict=True)), default=0)
    spread_names = [f"b{d}" for d in range(max(ellipsis, 0))]
    named = [_names(term, len(x.extents), spread_names) for term, x in zip(terms, tensors, strict=True)]
    sizes: dict[str, int] = {}
    for names, x in zip(named, tensors, strict=True):
        for name, extent in zip(names, x.extents, strict=True):
            if sizes.setdefault(name, extent) not in (extent, 1) and extent != 1:
                raise ShapeError(f"index {name} runs over {sizes[name]} and over {extent} values")
            sizes[name] = max(sizes[name], extent)
    letters = [name for names in named for name in names]
    if arrow:
        out = _names(right, len(right.replace("...", "")) + (len(spread_names) if "..." in right else 0), spread_names)
    else:
        out = spread_names + sorted(n for n in set(letters) if letters.count(n) == 1 and n not in spread_names)
    index = {name: Index(name, size) for name, size in sizes.items()}
    if any(name not in index for name in out) or len(set(out)) < len(out):
        raise DataError(f"Einsum cannot read the equation {attributes.text('equation', '')!r:.80}")
    factors = [
        x[tuple(index[name] if extent > 1 else 0 for name, extent in zip(names, x.extents, strict=True))]
        for names, x in zip(named, tensors, strict=True)
    ]
    value: Expression = factors[0] if len(factors) == 1 else Mul(tuple(factors))
    over = [index[name] for name in dict.fromkeys(letters) if name not in out]
    y = Tensor("Y", tuple(sizes[name] for name in out))
    y[tuple(index[name] for name in out)] = sum_over(over, value) if over else value
    return [y]


def _names(term: str, rank: int, spread_names: list[str]) -> list[str]:
    """The index of every dimension; three dots stand for those that are not named."""
    before, dots, after = term.partition("...")
    unnamed = rank - len(before) - len(after)
    if unnamed < 0 or (unnamed and not dots):
        raise ShapeError(f"Einsum names {len(before + after)} dimensions where there are {rank}")
    return [*before, *spread_names[len(spread_names) - unnamed :], *after] if unnamed else [*before, *after]


RULES = {
    "Einsum": Rule(_einsum),
    "Gemm": Rule(_gemm, learned=(1, 2)),
    "MatMul": Rule(_matmul, learned=(0, 1)),
}
