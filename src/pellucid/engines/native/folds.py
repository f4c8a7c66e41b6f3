"""Running values of reductions: sums, maxima, and the places of maxima."""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from pellucid.engines.native.emit import FLOAT, I32, Emitter, Number, integer, mask


class Fold:
    """The running value of a reduction."""

    start = 0.0

    def __init__(self, emitter: Emitter, width: int | None) -> None:
        self.emitter, self.width = emitter, width
        self.kind = FLOAT if width is None else ir.VectorType(FLOAT, width)
        self.slot = emitter.slot(self.kind)
        self._set(self.slot, self.kind, self.start)

    def _set(self, slot: ir.Value, kind: ir.Type, value: float) -> None:
        number = ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)
        self.emitter.builder.store(number, slot)

    def add(self, value: ir.Value, place: Number, active: int | None) -> None:
        """Take in one value; of a vector of summed lanes only the first `active`."""
        e, build = self.emitter, self.emitter.builder
        if active is not None and self.width is not None and active < self.width:
            neutral = ir.Constant(self.kind, [self.start] * self.width)
            value = build.select(mask(self.width, active), value, neutral)
        have = build.load(self.slot, typ=self.kind)
        e.builder.store(self.join(have, value), self.slot)

    def join(self, have: ir.Value, value: ir.Value) -> ir.Value:
        return self.emitter.builder.fadd(have, value)

    def result(self, across: bool) -> ir.Value:
        total = self.emitter.builder.load(self.slot, typ=self.kind)
        return self.across(total) if across else total

    def across(self, vector: ir.Value) -> ir.Value:
        return self.emitter.sum_lanes(vector)


class _Maximum(Fold):
    start = -math.inf

    def join(self, have: ir.Value, value: ir.Value) -> ir.Value:
        from pellucid.engines.native.mathematics import Mathematics

        return Mathematics(self.emitter).maximum(have, value)

    def across(self, vector: ir.Value) -> ir.Value:
        build = self.emitter.builder
        best = build.extract_element(vector, ir.Constant(I32, 0))
        for lane in range(1, vector.type.count):
            best = self.join(best, build.extract_element(vector, ir.Constant(I32, lane)))
        return best


class _Argument(Fold):
    """The place of the first maximum; of the first not-a-number if there is one, as in the reference."""

    start = -math.inf

    def __init__(self, emitter: Emitter, width: int | None) -> None:
        super().__init__(emitter, width)
        self.where_kind = I32 if width is None else ir.VectorType(I32, width)
        self.where = emitter.slot(self.where_kind)
        zero = ir.Constant(self.where_kind, 0 if width is None else [0] * width)
        emitter.builder.store(zero, self.where)

    def add(self, value: ir.Value, place: Number, active: int | None) -> None:
        build = self.emitter.builder
        have = build.load(self.slot, typ=self.kind)
        first = build.and_(build.fcmp_unordered("uno", value, value), build.fcmp_ordered("ord", have, have))
        wins = build.or_(build.fcmp_ordered(">", value, have), first)
        number = build.trunc(integer(place), I32)
        if self.width is not None:
            number = self.emitter.splat(number, self.width)
        build.store(build.select(wins, value, have), self.slot)
        build.store(build.select(wins, number, build.load(self.where, typ=self.where_kind)), self.where)

    def result(self, across: bool) -> ir.Value:
        return self.emitter.builder.load(self.where, typ=self.where_kind)


FOLDS: dict[str, Callable[[Emitter, int | None], Fold]] = {
    "sum": Fold,
    "max": _Maximum,
    "argmax": _Argument,
}
