"""Why a number is NaN or infinite: the first operation whose operands are finite and whose result is not."""

from __future__ import annotations

import math

import numpy as np

from pellucid.look.chain import Chain, Reason, follow, inside, start
from pellucid.look.record import Record, in_words
from pellucid.notation import Expression, Tensor
from pellucid.notation.expression import Access, Add, Call, Const, Div, Mul, Pow, Reduce, substitute
from pellucid.notation.printing import text


def why_nan(known: Record, tensor: Tensor, coordinates: tuple[int, ...] = ()) -> Chain:
    """The chain from an element, or the first of its tensor, that is NaN or infinite, to where that begins.

    A NaN made of infinities, such as inf - inf, is followed on to the first infinity.

    Raises UsageError if the number is finite, ShapeError for coordinates outside the tensor.
    """
    faulty = ~np.isfinite(known.arrays[tensor.name])
    return follow(known, tensor, start(known, tensor, coordinates, faulty, "NaN or infinite"), _why)


def _why(known: Record, node: Expression) -> Reason:
    match node:
        case Access():
            if inside(node):
                return Reason(f"{in_words(node)} is {known.number(node):g}", node)
            return Reason("a maximum over a window outside its tensor is -inf", cause="padding")
        case Const(value):
            return Reason(f"the equation says {value}", cause="constant")
        case Reduce():
            return _of_terms(known, node)
    values = [known.number(child) for child in node.children]
    for child, value in zip(node.children, values, strict=True):
        if math.isnan(value):
            return _why(known, child)
    infinite = [child for child, value in zip(node.children, values, strict=True) if math.isinf(value)]
    value = known.number(node)
    arithmetic = f"{_in_numbers(node, values)} is {value:g}"
    if infinite:
        reason = _why(known, infinite[0])
        return reason.after(arithmetic) if math.isnan(value) else reason
    return Reason(arithmetic + _hint(known, node), cause=_kind(node, values, value))


def _of_terms(known: Record, node: Reduce) -> Reason:
    """A sum or a maximum: the first term that is NaN, or else infinite."""
    terms = known.terms(node)
    for chosen in (np.isnan(terms), np.isinf(terms)):
        if chosen.any():
            number = int(chosen.argmax())
            point = dict(zip(node.indices, np.unravel_index(number, [i.size for i in node.indices]), strict=True))
            at = " ".join(f"{index.name}={int(k)}" for index, k in point.items())
            body = substitute(node.body, {index: int(k) for index, k in point.items()})
            reason = _why(known, body).after(f"in the term {at}")
            made = np.isposinf(terms).any() and np.isneginf(terms).any() and not np.isnan(terms).any()
            return reason.after("inf - inf is NaN") if made and node.kind == "sum" else reason
    return Reason(f"the sum of {terms.size:,} finite terms exceeds {_largest(known)}", cause="overflow")


def _in_numbers(node: Expression, values: list[float | int]) -> str:
    return text(node.rebuild(tuple(Const(value) for value in values)))


def _kind(node: Expression, values: list[float | int], value: float) -> str:
    """The name of an operation that makes something not finite of finite operands."""
    match node:
        case Div() if values[1] == 0:
            return "0 / 0" if values[0] == 0 else "division by zero"
        case Call(function) if function in ("log", "log1p", "sqrt"):
            return f"{function} of {values[0]:g}"
        case Pow() if values[0] == 0:
            return "division by zero"
        case Add() | Mul() | Call() | Div() | Pow() if math.isinf(value):
            return "overflow"
    return "undefined"


def _hint(known: Record, node: Expression) -> str:
    """Which element a zero divisor or a function's argument is, or what is exceeded."""
    match node:
        case Div(_, Access() as denominator) if known.number(denominator) == 0:
            return f", and {in_words(denominator)} is the 0"
        case Call(function, (argument,)) if function in ("log", "log1p", "sqrt"):
            return f", of {in_words(argument)}"
        case Call() | Add() | Mul() if math.isinf(known.number(node)):
            return f": more than {_largest(known)}"
    return ""


def _largest(known: Record) -> str:
    return f"the largest {known.dtype.name}, {np.finfo(known.dtype).max:.3g}"
