"""Reductions along axes, and what is built from them: softmax, log-softmax, hardmax, cumulative sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pellucid.errors import DataError
from pellucid.formats.onnx.rules import (
    Attributes,
    Operand,
    Rule,
    axes_of,
    axis,
    known,
    number,
    places,
    product,
    required,
)
from pellucid.notation import Access, Expression, Index, Tensor, bracket, exp, log, max_over, maximum, sqrt, sum_over
from pellucid.notation.expression import Reduce


class Axes:
    """The indices of a tensor, and which of them are reduced."""

    def __init__(self, x: Tensor, over: Sequence[int], keep: bool) -> None:
        self.every = places(x.extents)
        self.over = [self.every[d] for d in over]
        self.count = product([index.size for index in self.over])
        self.left: tuple[Index | int, ...] = tuple(
            0 if index in self.over else index for index in self.every if keep or index not in self.over
        )
        self.shape = tuple(1 if isinstance(place, int) else place.size for place in self.left)

    def result(self, symbol: str, value: Expression, differentiable: bool = True) -> Tensor:
        """A tensor over what is left."""
        y = Tensor(symbol, self.shape, differentiable=differentiable)
        y[self.left] = value
        return y


def _chosen(attributes: Attributes, operands: Sequence[Operand]) -> list[int] | None:
    """The axes that are reduced; None where nothing is to be done."""
    rank = len(required(operands, 0).extents)
    chosen = axes_of(attributes, operands)
    if not chosen:
        return None if attributes.integer("noop_with_empty_axes", 0) else list(range(rank))
    return sorted({axis(number, rank) for number in chosen})


def reduction(
    before: Callable[[Access], Expression], after: Callable[[Expression, int], Expression] = lambda value, count: value
) -> Rule:
    """A sum over axes of a function of the values, and a function of the sum and how many were summed."""

    def equations(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
        x, chosen = required(operands, 0), _chosen(attributes, operands)
        axes = Axes(x, chosen or (), bool(attributes.integer("keepdims", 1)))
        value = before(x[axes.every])
        return [axes.result("Y", after(sum_over(axes.over, value) if axes.over else value, axes.count))]

    return Rule(equations, static=(1,))


def _extreme(sign: int) -> Rule:
    def equations(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
        x, chosen = required(operands, 0), _chosen(attributes, operands)
        if chosen is None or not x.extents:
            return [x]
        axes = Axes(x, chosen, bool(attributes.integer("keepdims", 1)))
        if sign > 0:
            return [axes.result("Y", max_over(axes.over, x[axes.every]))]
        opposite = axes.result("M", max_over(axes.over, -x[axes.every]))
        y, every = Tensor("Y"), places(opposite.extents)
        y[every] = -opposite[every]
        return [y]

    return Rule(equations, static=(1,))


def _log_sum_exp(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """log(sum(k) exp(X - M)) + M with M the maximum, which is subtracted against overflow."""
    x, chosen = required(operands, 0), _chosen(attributes, operands)
    if chosen is None:
        return [x]
    axes = Axes(x, chosen, bool(attributes.integer("keepdims", 1)))
    m = axes.result("M", max_over(axes.over, x[axes.every]), differentiable=False)
    s = axes.result("S", sum_over(axes.over, exp(x[axes.every] - m[axes.left])))
    return [axes.result("Y", log(s[axes.left]) + m[axes.left])]


def _argument(sign: int) -> Rule:
    """The place of the largest value along one axis, the first of equals, or the last if asked for."""

    def equations(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
        x = required(operands, 0)
        along = axis(attributes.integer("axis", 0), len(x.extents))
        axes = Axes(x, [along], bool(attributes.integer("keepdims", 1)))
        (k,) = axes.over
        last = attributes.integer("select_last_index", 0)
        at = [(k.size - 1) - index if last and index == k else index for index in axes.every]
        value = x[tuple(at)]
        place = Reduce("argmax", (k,), value if sign > 0 else -value)
        y = Tensor("Y", axes.shape, kind="int")
        if not last:
            y[axes.left] = place
            return [y]
        a = Tensor("A", axes.shape, kind="int")
        a[axes.left] = place
        y[axes.left] = (k.size - 1) - a[axes.left]
        return [y]

    return Rule(equations)


def _softmax_axes(attributes: Attributes, x: Tensor) -> Axes:
    """One axis since set 13; before that all from one axis on, taken together."""
    rank = len(x.extents)
    if attributes.version >= 13:
        return Axes(x, [axis(attributes.integer("axis", -1), rank)], False)
    return Axes(x, range(axis(attributes.integer("axis", 1), rank), rank), False)


def _softmax(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """P = exp(X - M) / sum(k) exp(X - M) with M the maximum."""
    x = required(operands, 0)
    axes = _softmax_axes(attributes, x)
    m = axes.result("M", max_over(axes.over, x[axes.every]), differentiable=False)
    e, y = Tensor("E"), Tensor("P")
    e[axes.every] = exp(x[axes.every] - m[axes.left])
    s = axes.result("S", sum_over(axes.over, e[axes.every]))
    y[axes.every] = e[axes.every] / s[axes.left]
    return [y]


def _log_softmax(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y = X - M - log(sum(k) exp(X - M)) with M the maximum."""
    x = required(operands, 0)
    axes = _softmax_axes(attributes, x)
    m = axes.result("M", max_over(axes.over, x[axes.every]), differentiable=False)
    s = axes.result("S", sum_over(axes.over, exp(x[axes.every] - m[axes.left])))
    y = Tensor("Y")
    y[axes.every] = x[axes.every] - m[axes.left] - log(s[axes.left])
    return [y]


def _hardmax(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """1 at the first largest value, 0 elsewhere."""
    x = required(operands, 0)
    axes = _softmax_axes(attributes, x)
    if len(axes.over) != 1:
        raise DataError("Hardmax is read along one axis")
    a = Tensor("A", axes.shape, kind="int")
    a[axes.left] = Reduce("argmax", tuple(axes.over), x[axes.every])
    y = Tensor("Y")
    y[axes.every] = bracket(a[axes.left], "==", axes.over[0])
    return [y]


def _cumulative_sum(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[i] = sum(k) [k <= i] * X[k]; `exclusive` leaves out X[i], `reverse` sums from the end."""
    x, where = required(operands, 0), known(operands, 1)
    d = axis(int(number(where)) if where is not None else 0, len(x.extents))
    every, y = places(x.extents), Tensor("Y")
    k = Index("t", x.extents[d])
    forwards = "<" if attributes.integer("exclusive", 0) else "<="
    backwards = ">" if attributes.integer("exclusive", 0) else ">="
    relation = backwards if attributes.integer("reverse", 0) else forwards
    y[every] = sum_over([k], bracket(k, relation, every[d]) * x[(*every[:d], k, *every[d + 1 :])])
    return [y]


RULES = {
    "ArgMax": _argument(1),
    "ArgMin": _argument(-1),
    "CumSum": Rule(_cumulative_sum, static=(1,)),
    "Hardmax": Rule(_hardmax),
    "LogSoftmax": Rule(_log_softmax),
    "ReduceL1": reduction(lambda x: maximum(x, -x)),
    "ReduceL2": reduction(lambda x: x * x, lambda total, count: sqrt(total)),
    "ReduceLogSum": reduction(lambda x: x, lambda total, count: log(total)),
    "ReduceLogSumExp": Rule(_log_sum_exp, static=(1,)),
    "ReduceMax": _extreme(1),
    "ReduceMean": reduction(lambda x: x, lambda total, count: total / count),
    "ReduceMin": _extreme(-1),
    "ReduceSum": reduction(lambda x: x),
    "ReduceSumSquare": reduction(lambda x: x * x),
    "Softmax": Rule(_softmax),
}
