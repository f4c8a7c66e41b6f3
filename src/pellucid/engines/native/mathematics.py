"""The pointwise functions in float32, written with multiply-adds so that they work on whole vectors.

Polynomials and ranges: S. L. Moshier's Cephes library (single precision), where each is within two units in the
last place of the true value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from llvmlite import ir

from pellucid.engines.native.emit import FLOAT, I32, Emitter

LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
EXP_LOWEST, EXP_HIGHEST = -103.97, 88.7228391
LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
# tanh(x) / x as P(x^2) / Q(x^2) for |x| <= 8: a least-squares fit with relative error below 2e-9 before rounding.
TANH_TOP = (
    -1.1564764122364528e-13, 6.365701351832537e-11, -2.2315000433195673e-08, 1.1642525851291015e-05,
    3.149372556575734e-03, 0.13124356792854341, 1.0,
)  # fmt: skip
TANH_BOTTOM = (2.6129856651918083e-04, 0.0246750316255002, 0.46457688299797356, 1.0)
TANH_LARGEST = 8.0
# erf(x) / x as a polynomial in x^2 for |x| <= 1, and -log(1 - erf(x)) as one in x from there on: least-squares fits
# with relative errors of erf below 4e-9 before rounding. Beyond 4.2 the result is 1 to within a rounding.
ERF_NEAR = (
    7.84725913e-05, -8.00818932e-04, 5.18809889e-03, -2.68536911e-02, 1.12835822e-01, -3.76126256e-01, 1.12837917e00,
)  # fmt: skip
ERF_FAR = (
    -1.58860182e-04, 2.68651922e-03, -2.08272155e-02, 1.01062156e-01, 6.40425845e-01, 1.12575714e00, 6.59940017e-04,
)  # fmt: skip
ERF_LARGEST = 4.2
WHOLE = 1 << 16
"""Whole exponents up to here are multiplied out; negative numbers have such powers too."""


class Mathematics:
    """Writes functions of float values, scalar or vector, at an emitter's cursor."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    # ---- constants and elementary steps, in the shape of an operand

    def like(self, x: ir.Value, value: float) -> ir.Constant:
        """The number as a constant of x's shape."""
        if isinstance(x.type, ir.VectorType):
            return ir.Constant(ir.VectorType(FLOAT, x.type.count), [value] * x.type.count)
        return ir.Constant(FLOAT, value)

    def words(self, x: ir.Value, value: int) -> ir.Constant:
        """The 32-bit integer as a constant of x's shape."""
        if isinstance(x.type, ir.VectorType):
            return ir.Constant(ir.VectorType(I32, x.type.count), [value] * x.type.count)
        return ir.Constant(I32, value)

    def word_type(self, x: ir.Value) -> ir.Type:
        return ir.VectorType(I32, x.type.count) if isinstance(x.type, ir.VectorType) else I32

    def polynomial(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """Horner's scheme, the highest power first."""
        total: ir.Value = self.like(x, coefficients[0])
        for coefficient in coefficients[1:]:
            total = self.emitter.multiply_add(total, x, self.like(x, coefficient))
        return total

    def _intrinsic(self, name: str, x: ir.Value) -> ir.Value:
        suffix = f"v{x.type.count}f32" if isinstance(x.type, ir.VectorType) else "f32"
        function = self.emitter.intrinsic(f"llvm.{name}.{suffix}", x.type, [x.type])
        return self.emitter.builder.call(function, [x])

    def absolute(self, x: ir.Value) -> ir.Value:
        return self._intrinsic("fabs", x)

    def sqrt(self, x: ir.Value) -> ir.Value:
        return self._intrinsic("sqrt", x)

    def maximum(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """The larger; not-a-number if either is."""
        return self._extreme(">", x, y)

    def minimum(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """The smaller; not-a-number if either is."""
        return self._extreme("<", x, y)

    def _extreme(self, relation: str, x: ir.Value, y: ir.Value) -> ir.Value:
        build = self.emitter.builder
        if isinstance(y, ir.Constant):
            return build.select(build.fcmp_unordered(relation, x, y), x, y)
        first = build.or_(build.fcmp_ordered(relation, x, y), build.fcmp_unordered("uno", x, x))
        return build.select(first, x, y)

    # ---- exponentials

    def exp(self, x: ir.Value) -> ir.Value:
        """e^x = 2^n * e^r with |r| <= ln(2)/2; 0 and infinity beyond the range, not-a-number for itself."""
        build, e = self.emitter.builder, self.emitter
        low, high = self.like(x, EXP_LOWEST), self.like(x, EXP_HIGHEST)
        within = build.select(build.fcmp_ordered("<", x, high), x, high)
        within = build.select(build.fcmp_ordered(">", within, low), within, low)
        n = self._intrinsic("rint", build.fmul(within, self.like(x, LOG2_E)))
        r = e.multiply_add(n, self.like(x, -LN2_HIGH), within)
        r = e.multiply_add(n, self.like(x, -LN2_LOW), r)
        series = e.multiply_add(self.polynomial(r, EXP), build.fmul(r, r), build.fadd(r, self.like(x, 1.0)))
        # 2^n in two factors: n alone may leave the exponent's range where the result does not.
        whole = build.fptosi(n, self.word_type(x))
        half = build.ashr(whole, self.words(x, 1))
        scaled = build.fmul(series, self._power_of_two(half, x))
        result = build.fmul(scaled, self._power_of_two(build.sub(whole, half), x))
        result = build.select(build.fcmp_ordered(">", x, high), self.like(x, math.inf), result)
        result = build.select(build.fcmp_ordered("<", x, low), self.like(x, 0.0), result)
        return build.select(build.fcmp_unordered("uno", x, x), x, result)

    def _power_of_two(self, exponent: ir.Value, like: ir.Value) -> ir.Value:
        build = self.emitter.builder
        biased = build.shl(build.add(exponent, self.words(like, 127)), self.words(like, 23))
        return build.bitcast(biased, like.type)

    def expm1(self, x: ir.Value) -> ir.Value:
        """e^x - 1 without cancellation: (u - 1) * x / log(u) with u = e^x rounded (Kahan)."""
        build = self.emitter.builder
        one = self.like(x, 1.0)
        u = self.exp(x)
        less = build.fsub(u, one)
        value = build.fdiv(build.fmul(less, x), self.log(u))
        plain = build.or_(build.fcmp_ordered("==", less, self.like(x, -1.0)), build.fcmp_ordered(">", x, one))
        value = build.select(plain, less, value)
        return build.select(build.fcmp_ordered("==", u, one), x, value)

    def sigmoid(self, x: ir.Value) -> ir.Value:
        """1 / (1 + e^-|x|), or that times e^-|x| for negative x."""
        build = self.emitter.builder
        one = self.like(x, 1.0)
        small = self.exp(build.fneg(self.absolute(x)))
        top = build.select(build.fcmp_unordered(">=", x, self.like(x, 0.0)), one, small)
        return build.fdiv(top, build.fadd(one, small))

    def tanh(self, x: ir.Value) -> ir.Value:
        """A quotient of polynomials in x^2, times x; beyond 8 it is 1 or -1 to within a rounding."""
        build = self.emitter.builder
        square = build.fmul(x, x)
        top = build.fmul(x, self.polynomial(square, TANH_TOP))
        quotient = build.fdiv(top, self.polynomial(square, TANH_BOTTOM))
        sign = build.select(build.fcmp_ordered("<", x, self.like(x, 0.0)), self.like(x, -1.0), self.like(x, 1.0))
        # The unordered comparison lets not-a-number through.
        near = build.fcmp_unordered("<", self.absolute(x), self.like(x, TANH_LARGEST))
        return build.select(near, quotient, sign)

    def erf(self, x: ir.Value) -> ir.Value:
        """A polynomial in x^2, times x, for |x| <= 1; from there on 1 - e^-p(|x|) with the sign of x."""
        build = self.emitter.builder
        one, size = self.like(x, 1.0), self.absolute(x)
        near = build.fmul(x, self.polynomial(build.fmul(x, x), ERF_NEAR))
        largest = self.like(x, ERF_LARGEST)
        # The unordered comparison lets not-a-number through.
        within = build.select(build.fcmp_unordered("<", size, largest), size, largest)
        far = build.fsub(one, self.exp(build.fneg(self.polynomial(within, ERF_FAR))))
        far = build.select(build.fcmp_ordered("<", x, self.like(x, 0.0)), build.fneg(far), far)
        return build.select(build.fcmp_ordered("<", size, one), near, far)

    # ---- logarithm and powers

    def log(self, x: ir.Value) -> ir.Value:
        """log(m * 2^n) = n * ln(2) + log(m) with m near 1; -infinity at 0, not-a-number below."""
        build, e = self.emitter.builder, self.emitter
        bits = build.bitcast(x, self.word_type(x))
        # Subtracting the bits of sqrt(1/2) before splitting leaves the mantissa between sqrt(1/2) and sqrt(2).
        shifted = build.sub(bits, self.words(x, 0x3F3504F3))
        n = build.sitofp(build.ashr(shifted, self.words(x, 23)), x.type)
        mantissa = build.add(build.and_(shifted, self.words(x, 0x007FFFFF)), self.words(x, 0x3F3504F3))
        f = build.fsub(build.bitcast(mantissa, x.type), self.like(x, 1.0))
        square = build.fmul(f, f)
        y = build.fmul(build.fmul(f, square), self.polynomial(f, LOG))
        y = e.multiply_add(n, self.like(x, LN2_LOW), y)
        y = e.multiply_add(square, self.like(x, -0.5), y)
        result = e.multiply_add(n, self.like(x, LN2_HIGH), build.fadd(f, y))
        zero, infinite = self.like(x, 0.0), self.like(x, math.inf)
        result = build.select(build.fcmp_ordered("==", x, infinite), infinite, result)
        result = build.select(build.fcmp_ordered("==", x, zero), self.like(x, -math.inf), result)
        return build.select(build.fcmp_unordered("<", x, zero), self.like(x, math.nan), result)

    def log1p(self, x: ir.Value) -> ir.Value:
        """log(1 + x) without cancellation: log(u) * x / (u - 1) with u = 1 + x rounded (Kahan)."""
        build = self.emitter.builder
        one = self.like(x, 1.0)
        u = build.fadd(one, x)
        logarithm = self.log(u)
        value = build.fmul(logarithm, build.fdiv(x, build.fsub(u, one)))
        value = build.select(build.fcmp_ordered("==", u, self.like(x, math.inf)), logarithm, value)
        return build.select(build.fcmp_ordered("==", u, one), x, value)

    def power(self, x: ir.Value, exponent: float) -> ir.Value:
        """x to a constant power: by multiplication for whole exponents, by square root for 1/2, else e^(p log x)."""
        build = self.emitter.builder
        if exponent == int(exponent) and abs(exponent) <= WHOLE:
            # The reciprocal first: a small number's power would vanish where the quotient need not be infinite.
            base = build.fdiv(self.like(x, 1.0), x) if exponent < 0 else x
            return self._repeated(base, abs(int(exponent)))
        if exponent == 0.5:
            return self.sqrt(x)
        return self.exp(build.fmul(self.log(x), self.like(x, exponent)))

    def _repeated(self, x: ir.Value, times: int) -> ir.Value:
        build = self.emitter.builder
        if times == 0:
            return self.like(x, 1.0)
        if times == 1:
            return x
        half = self._repeated(x, times // 2)
        square = build.fmul(half, half)
        return build.fmul(square, x) if times % 2 else square

    # ---- random numbers

    def uniform(self, seed: ir.Value, stream: ir.Value, step: ir.Value, position: ir.Value) -> ir.Value:
        """Threefry-2x32 with 20 rounds on 32-bit words; the first word's upper 24 bits as a number in [0, 1)."""
        from pellucid.notation.random import PARITY, ROTATIONS

        build = self.emitter.builder
        keys = (seed, stream, build.xor(build.xor(seed, stream), self.words(seed, PARITY)))
        x0, x1 = build.add(step, keys[0]), build.add(position, keys[1])
        for group in range(5):
            for rotation in ROTATIONS[:4] if group % 2 == 0 else ROTATIONS[4:]:
                x0 = build.add(x0, x1)
                left = build.shl(x1, self.words(x1, rotation))
                x1 = build.xor(build.or_(left, build.lshr(x1, self.words(x1, 32 - rotation))), x0)
            x0 = build.add(x0, keys[(group + 1) % 3])
            x1 = build.add(build.add(x1, keys[(group + 2) % 3]), self.words(x1, group + 1))
        upper = build.lshr(x0, self.words(x0, 8))
        kind = ir.VectorType(FLOAT, x0.type.count) if isinstance(x0.type, ir.VectorType) else FLOAT
        value = build.uitofp(upper, kind)
        return build.fmul(value, self.like(value, 2.0**-24))

    @property
    def functions(self) -> dict[str, Callable[..., ir.Value]]:
        """The functions of `pellucid.notation.functions` by name."""
        return {
            "exp": self.exp,
            "erf": self.erf,
            "expm1": self.expm1,
            "log1p": self.log1p,
            "log": self.log,
            "sqrt": self.sqrt,
            "tanh": self.tanh,
            "sigmoid": self.sigmoid,
            "maximum": self.maximum,
            "minimum": self.minimum,
        }
