"""Small helpers that write LLVM IR: loops, conditions, addresses, vectors.

An `Emitter` owns one function under construction. It knows nothing of convolutions or schedules; the
generators on top of it (contractions, loop nests, barriers) read like the loops they emit.

Floating-point flags: multiply-adds are emitted as fused operations, one by one, in a fixed order. Nothing may
be reassociated, so a kernel gives the same bits on every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from llvmlite import ir

from pellucid.engines.native.cpu import Target

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
FLOAT = ir.FloatType()
POINTER = ir.PointerType()

Number: TypeAlias = int | ir.Value
"""An integer known while compiling (int) or only while running (an i64 value)."""


def integer(value: Number) -> ir.Value:
    """The i64 value of a Number."""
    return ir.Constant(I64, value) if isinstance(value, int) else value


class Emitter:
    """One function being written, with its cursor (`builder`) and the target it is written for."""

    def __init__(
        self,
        module: ir.Module,
        name: str,
        arguments: Sequence[ir.Type],
        target: Target,
        result: ir.Type | None = None,
    ) -> None:
        self.module = module
        self.target = target
        self.function = ir.Function(module, ir.FunctionType(result or ir.VoidType(), arguments), name)
        # Stack slots are allocated here, in the entry block: only there does LLVM promote them to registers.
        self._entry = ir.IRBuilder(self.function.append_basic_block("entry"))
        self._body = self.function.append_basic_block("body")
        self.builder = ir.IRBuilder(self._body)

    @property
    def arguments(self) -> tuple[ir.Argument, ...]:
        return tuple(self.function.args)

    def finish(self, result: ir.Value | None = None) -> ir.Function:
        """Close the function with a return and hand it over."""
        if result is None:
            self.builder.ret_void()
        else:
            self.builder.ret(result)
        self._entry.branch(self._body)
        return self.function

    def slot(self, kind: ir.Type, count: int = 1) -> ir.Value:
        """A stack slot (promoted to a register by LLVM where it is only loaded and stored)."""
        return self._entry.alloca(kind, size=None if count == 1 else ir.Constant(I32, count))

    # ---- integers: folded while compiling where both sides are known

    def add(self, left: Number, right: Number) -> Number:
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        if isinstance(right, int) and right == 0:
            return left
        if isinstance(left, int) and left == 0:
            return right
        return self.builder.add(integer(left), integer(right))

    def multiply(self, left: Number, right: int) -> Number:
        if isinstance(left, int):
            return left * right
        if right == 0:
            return 0
        return left if right == 1 else self.builder.mul(left, integer(right))

    def divide(self, left: Number, right: int) -> tuple[Number, Number]:
        """Quotient and remainder of a number that is not negative by a positive constant."""
        if isinstance(left, int):
            return divmod(left, right)
        if right == 1:
            return left, 0
        return self.builder.udiv(left, integer(right)), self.builder.urem(left, integer(right))

    def minimum(self, left: Number, right: Number) -> Number:
        if isinstance(left, int) and isinstance(right, int):
            return min(left, right)
        first, second = integer(left), integer(right)
        return self.builder.select(self.builder.icmp_signed("<", first, second), first, second)

    def equal(self, left: Number, right: Number) -> bool | ir.Value:
        if isinstance(left, int) and isinstance(right, int):
            return left == right
        return self.builder.icmp_signed("==", integer(left), integer(right))

    def at_most(self, left: Number, right: Number) -> bool | ir.Value:
        if isinstance(left, int) and isinstance(right, int):
            return left <= right
        return self.builder.icmp_signed("<=", integer(left), integer(right))

    def both(self, left: bool | ir.Value, right: bool | ir.Value) -> bool | ir.Value:
        if isinstance(left, bool):
            return right if left else False
        if isinstance(right, bool):
            return left if right else False
        return self.builder.and_(left, right)

    # ---- control flow

    @contextmanager
    def when(self, condition: ir.Value | bool) -> Iterator[None]:
        """Emit the body for the case that `condition` holds (a condition known to hold costs nothing)."""
        if isinstance(condition, bool):
            if not condition:
                raise ValueError("when: the condition never holds; do not emit the body at all")
            yield
            return
        inside, after = (self.function.append_basic_block(name) for name in ("then", "after"))
        self.builder.cbranch(condition, inside, after)
        self.builder.position_at_end(inside)
        yield
        self.builder.branch(after)
        self.builder.position_at_end(after)

    @contextmanager
    def loop(self, begin: Number, end: Number, step: int = 1) -> Iterator[Number]:
        """Emit `for i in range(begin, end, step)`; a single known iteration becomes straight code."""
        if isinstance(begin, int) and isinstance(end, int) and begin < end <= begin + step:
            yield begin
            return
        # Rotated form (test at the bottom): one branch per iteration, and no pass is needed to get there.
        before = self.builder.block
        body, after = (self.function.append_basic_block(name) for name in ("loop", "done"))
        if isinstance(begin, int) and isinstance(end, int):
            self.builder.branch(body if begin < end else after)
        else:
            self.builder.cbranch(self.builder.icmp_signed("<", integer(begin), integer(end)), body, after)
        self.builder.position_at_end(body)
        index = self.builder.phi(I64)
        index.add_incoming(integer(begin), before)
        yield index
        following = self.builder.add(index, integer(step), flags=["nsw"])
        index.add_incoming(following, self.builder.block)
        self.builder.cbranch(self.builder.icmp_signed("<", following, integer(end)), body, after)
        self.builder.position_at_end(after)

    # ---- memory

    def advance(self, pointer: ir.Value, elements: Number, kind: ir.Type = FLOAT) -> ir.Value:
        """The address `elements` elements after `pointer`."""
        if isinstance(elements, int) and elements == 0:
            return pointer
        return self.builder.gep(pointer, [integer(elements)], source_etype=kind)

    def load(self, pointer: ir.Value, lanes: int, active: int | None = None) -> ir.Value:
        """A vector of consecutive floats; with `active` given only that many are read, the rest are 0."""
        vector = ir.VectorType(FLOAT, lanes)
        if active is None or active == lanes:
            return self.builder.load(pointer, align=4, typ=vector)
        masked = self.intrinsic(
            f"llvm.masked.load.v{lanes}f32.p0", vector, [POINTER, I32, ir.VectorType(I1, lanes), vector]
        )
        zero = ir.Constant(vector, [0.0] * lanes)
        return self.builder.call(masked, [pointer, ir.Constant(I32, 4), mask(lanes, active), zero])

    def store(self, value: ir.Value, pointer: ir.Value, active: int | None = None) -> None:
        """Store a vector of consecutive floats, or only its first `active` lanes."""
        lanes = value.type.count
        if active is None or active == lanes:
            self.builder.store(value, pointer, align=4)
            return
        masked = self.intrinsic(
            f"llvm.masked.store.v{lanes}f32.p0",
            ir.VoidType(),
            [value.type, POINTER, I32, ir.VectorType(I1, lanes)],
        )
        self.builder.call(masked, [value, pointer, ir.Constant(I32, 4), mask(lanes, active)])

    def load_strided(self, pointer: ir.Value, stride: int, lanes: int, active: int) -> ir.Value:
        """A vector of floats that lie `stride` elements apart; only `active` of them are read."""
        value: ir.Value = ir.Constant(ir.VectorType(FLOAT, lanes), [0.0] * lanes)
        for lane in range(active):
            element = self.builder.load(self.advance(pointer, lane * stride), align=4, typ=FLOAT)
            value = self.builder.insert_element(value, element, ir.Constant(I32, lane))
        return value

    def store_strided(self, value: ir.Value, pointer: ir.Value, stride: int, active: int) -> None:
        for lane in range(active):
            element = self.builder.extract_element(value, ir.Constant(I32, lane))
            self.builder.store(element, self.advance(pointer, lane * stride), align=4)

    def prefetch(self, pointer: ir.Value, *, write: bool = False) -> None:
        """Ask for the cache line of an address, to read it or to write to it. It may lie anywhere: nothing is read."""
        ask = self.intrinsic("llvm.prefetch.p0", ir.VoidType(), [POINTER, I32, I32, I32])
        nearest, data = 3, 1
        self.builder.call(ask, [pointer, *(ir.Constant(I32, number) for number in (int(write), nearest, data))])

    def load_scalar(self, pointer: ir.Value) -> ir.Value:
        return self.builder.load(pointer, align=4, typ=FLOAT)

    def store_scalar(self, value: ir.Value, pointer: ir.Value) -> None:
        self.builder.store(value, pointer, align=4)

    # ---- arithmetic

    def zero(self, lanes: int) -> ir.Constant:
        return self.constant(0.0, lanes)

    def constant(self, value: float, lanes: int) -> ir.Constant:
        """The same float in every lane."""
        return ir.Constant(ir.VectorType(FLOAT, lanes), [value] * lanes)

    def splat(self, scalar: ir.Value, lanes: int) -> ir.Value:
        vector = ir.VectorType(scalar.type, lanes)
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(I32, 0))
        everywhere = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return self.builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere)

    def keep(self, vector: ir.Value, active: int) -> ir.Value:
        """The first `active` lanes; zero in the others."""
        lanes = vector.type.count
        if active == lanes:
            return vector
        return self.builder.select(mask(lanes, active), vector, self.zero(lanes))

    def multiply_add(self, left: ir.Value, right: ir.Value, total: ir.Value) -> ir.Value:
        """Left * right + total, rounded once where the target fuses it and twice where it cannot."""
        if not self.target.fused:
            return self.builder.fadd(self.builder.fmul(left, right), total)
        kind = left.type
        suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
        return self.builder.call(self.intrinsic(f"llvm.fma.{suffix}", kind, [kind] * 3), [left, right, total])

    def sum_lanes(self, vector: ir.Value) -> ir.Value:
        """The sum of a vector's lanes, by halves: the order is fixed by the number of lanes."""
        lanes = vector.type.count
        while lanes > 1:
            lanes //= 2
            low, high = (
                self.builder.shuffle_vector(
                    vector,
                    ir.Constant(vector.type, ir.Undefined),
                    ir.Constant(ir.VectorType(I32, lanes), list(range(start, start + lanes))),
                )
                for start in (0, lanes)
            )
            vector = self.builder.fadd(low, high)
        return self.builder.extract_element(vector, ir.Constant(I32, 0))

    def intrinsic(self, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
        """An external function, declared once per module."""
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)


def mask(lanes: int, active: int) -> ir.Constant:
    """The first `active` of `lanes` lanes."""
    return ir.Constant(ir.VectorType(I1, lanes), [int(lane < active) for lane in range(lanes)])
