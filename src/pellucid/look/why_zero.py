"""Why a number is 0: the first operation that gives 0 although its operands do not, or the number that itself is 0."""

from __future__ import annotations

import math

import numpy as np

from pellucid.look.chain import Chain, Reason, follow, inside, start
from pellucid.look.record import Record, element, in_words
from pellucid.notation import Expression, Tensor
from pellucid.notation.expression import (
    Access,
    Add,
    Bracket,
    Call,
    Const,
    Div,
    Mul,
    Position,
    Pow,
    Reduce,
    accesses,
    substitute,
)
from pellucid.notation.printing import text

ODD = ("tanh", "erf", "expm1", "log1p", "sqrt", "constant")
"""Functions that are 0 where their argument is 0, and nowhere else."""


def why_zero(known: Record, tensor: Tensor, coordinates: tuple[int, ...] = ()) -> Chain:
    """The chain from an element, or the first of its tensor, that is 0 to what makes it 0.

    Raises UsageError if the number is not 0, ShapeError for coordinates outside the tensor.
    """
    faulty = known.arrays[tensor.name] == 0
    return follow(known, tensor, start(known, tensor, coordinates, faulty, "0"), _why)


def _why(known: Record, node: Expression) -> Reason:
    match node:
        case Access():
            return _read(node)
        case Const():
            return Reason("the equation says 0", cause="constant")
        case Position():
            return Reason("it is the position 0", cause="position")
        case Bracket():
            return _bracket(known, node)
        case Reduce("sum"):
            return _sum(known, node)
        case Reduce("max"):
            return _largest(known, node)
        case Add(terms):
            return _all_or_cancel(known, node, terms)
        case Mul(factors):
            return _product(known, node, factors)
        case Div(numerator, denominator):
            if known.number(numerator) == 0:
                return _why(known, numerator)
            infinite = math.isinf(known.number(denominator))
            return Reason(f"{in_words(denominator)} is infinite", cause="infinity") if infinite else _small(known, node)
        case Pow(base, _):
            return _why(known, base) if known.number(base) == 0 else _small(known, node)
        case Call():
            return _function(known, node)
    return Reason("it is 0", cause="constant")


def _read(access: Access) -> Reason:
    if inside(access):
        return Reason(f"{in_words(access)} is 0", access)
    return Reason(f"{in_words(access)} lies outside its tensor: padding reads 0", cause="padding")


def _function(known: Record, node: Call) -> Reason:
    if node.function in ("maximum", "minimum"):
        chosen = next(a for a in node.args if known.number(a) == 0)
        other = next((a for a in node.args if a is not chosen), chosen)
        if isinstance(chosen, Const) and known.number(other) != 0:
            return Reason(f"ReLU: {in_words(other)} is {known.number(other):.6g}, not above 0", cause="relu")
        return _why(known, other if isinstance(chosen, Const) else chosen)
    if node.function in ODD and known.number(node.args[0]) == 0:
        return _why(known, node.args[0])
    if node.function == "log":
        return Reason(f"{in_words(node.args[0])} is 1, whose logarithm is 0", cause="log of 1")
    return _small(known, node)


def _small(known: Record, node: Expression) -> Reason:
    numbers = text(node.rebuild(tuple(Const(known.number(child)) for child in node.children)))
    least = np.finfo(known.dtype).smallest_subnormal
    return Reason(f"{numbers} is less than the least {known.dtype.name}, {least:.3g}", cause="underflow")


def _product(known: Record, node: Expression, factors: tuple[Expression, ...]) -> Reason:
    """A false bracket before anything else, because it makes the product 0 whatever else there is."""
    for factor in sorted(factors, key=lambda f: not isinstance(f, Bracket)):
        if known.number(factor) == 0:
            return _why(known, factor)
    return _small(known, node)


def _all_or_cancel(known: Record, node: Expression, terms: tuple[Expression, ...]) -> Reason:
    if any(known.number(term) for term in terms):
        numbers = text(node.rebuild(tuple(Const(known.number(term)) for term in terms)))
        return Reason(f"the terms cancel: {numbers}", cause="cancellation")
    rest = f"all {len(terms)} terms are 0, the first of them:" if len(terms) > 1 else ""
    return _joined(rest, _why(known, terms[0]))


def _joined(sentence: str, reason: Reason) -> Reason:
    return Reason(f"{sentence} {reason.sentence}".strip(), reason.follow, reason.cause)


def _largest(known: Record, node: Reduce) -> Reason:
    terms = known.terms(node)
    at, body = _term(node, int(terms.argmax()))
    return _joined(f"the largest of {terms.size:,} values, at {at}, is 0:", _why(known, body))


def _sum(known: Record, node: Reduce) -> Reason:
    """Terms that cancel, or zeros: how many of them have which factor 0, and the first of the most frequent kind."""
    terms = known.terms(node)
    if terms.any():
        return Reason(f"{np.count_nonzero(terms):,} terms that are not 0 cancel", cause="cancellation")
    factors = node.body.factors if isinstance(node.body, Mul) else (node.body,)
    zeros = [(f, known.numbers(f, node.indices) == 0) for f in factors]
    counts = ", ".join(f"{_short(f)} is 0 in {int(z.sum()):,}" for f, z in zeros if z.any())
    factor, places = max(zeros, key=lambda pair: int(pair[1].sum()))
    if not places.any():
        at, body = _term(node, 0)
        return _joined(f"in all {terms.size:,} terms, such as {at},", _why(known, body))
    at, _ = _term(node, int(places.argmax()))
    _, value = _term(Reduce(node.kind, node.indices, factor), int(places.argmax()))
    return _joined(f"all {terms.size:,} terms are 0 ({counts}); at {at},", _why(known, value))


def _short(factor: Expression) -> str:
    return factor.tensor.name if isinstance(factor, Access) else in_words(factor)


def _term(node: Reduce, number: int) -> tuple[str, Expression]:
    """The indices' values of a term, and what stands there."""
    point = {
        i: int(k) for i, k in zip(node.indices, np.unravel_index(number, [i.size for i in node.indices]), strict=True)
    }
    return " ".join(f"{i.name}={k}" for i, k in point.items()), substitute(node.body, point)


def _bracket(known: Record, node: Bracket) -> Reason:
    """A false bracket: a closed ReLU, a cell that max pooling did not take, a dropped value, or a position."""
    left, right = known.number(node.left), known.number(node.right)
    shown = f"{in_words(node)} does not hold: it is {left:.6g} {node.relation} {right:.6g}"
    reads = accesses(node)
    if any(isinstance(part, Call) and part.function == "uniform" for part in node.walk()):
        return Reason(f"dropout: the random number {left:.6g} is below {right:.6g}", cause="dropout")
    routed = next((read for read in reads if read.tensor.name.endswith(" argument")), None)
    if routed is not None:
        pool = element(routed.tensor.name.removesuffix(" argument"), routed.at)
        return Reason(
            f"max pooling: {pool} takes the cell {left} of its window, and this one is {right}", cause="max pooling"
        )
    if node.relation == ">" and node.right == Const(0) and reads:
        return Reason(f"ReLU: {in_words(node.left)} is {left:.6g}, not above 0", cause="relu")
    return Reason(shown, cause="condition" if reads else "position")
