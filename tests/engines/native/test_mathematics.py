"""The pointwise functions of the native engine, on dense sweeps of float32 numbers against float64."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from llvmlite import ir

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.emit import I64, POINTER, Emitter
from pellucid.engines.native.mathematics import Mathematics
from pellucid.engines.native.threads import flush_denormals, restore_denormals
from pellucid.notation import Index, Program, Tensor, bracket, erf, exp, expm1, log, log1p, sigmoid, sqrt, tanh, uniform
from pellucid.notation.expression import Const, Position
from pellucid.notation.functions import FUNCTIONS
from pellucid.notation.random import uniform as uniform_reference
from tests.engines.native.programs import DEPTH, TARGETS, native, run_native

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

LIMIT = 3e-7
"""Relative error: two and a half units in the last place at worst."""
UNFUSED = 4e-7
"""The same where a multiplication and an addition are rounded one after the other."""
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)
SPECIAL = np.array(
    [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, LARGEST, -LARGEST, SMALLEST, -SMALLEST, 1e-30, -1e-30, 1e30, -1e30,
     88.0, 88.72283, 88.72284, 89.0, -87.3, -87.34, -88.0, -103.9, -104.0, -200.0, 0.5, 2.0, 1e-7, -1e-7],
    np.float32,
)  # fmt: skip

ways = pytest.mark.parametrize("lanes", ["vector", "scalar"])
targets = pytest.mark.parametrize("target", TARGETS)


def sweep(low: float, high: float, count: int = 200_000) -> Floats:
    """Numbers between two bounds: evenly spaced, and evenly over the exponents on both sides of 0."""
    even = np.linspace(low, high, count * DEPTH)
    sizes = np.geomspace(1e-36, max(abs(low), abs(high)), count * DEPTH // 4)
    spread = np.concatenate([sizes[sizes <= high], -sizes[sizes <= -low]])
    return np.unique(np.concatenate([even, spread]).astype(np.float32))


def everything(count: int = 400_000) -> Floats:
    """Bit patterns all over the float32 numbers that are not denormal."""
    bits = np.linspace(0, 2**32 - 1, count * DEPTH).astype(np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    return values[~((np.abs(values) > 0) & (np.abs(values) < SMALLEST))]


@cache
def compiled(function: str, target: str, lanes: str, exponent: float = 0.0) -> Callable[[Floats, Floats], Floats]:
    """`function` of one or two arrays as machine code, element by element or vector by vector."""
    chosen, module = cpu.target(target), ir.Module()
    emitter = Emitter(module, "f", [POINTER, POINTER, POINTER, I64], chosen)
    out, left, right, count = emitter.arguments
    mode, step = flush_denormals(emitter), chosen.lanes if lanes == "vector" else 1
    with emitter.loop(0, count, step) as k:
        places = [emitter.advance(pointer, k) for pointer in (out, left, right)]
        if lanes == "vector":
            x, y = emitter.load(places[1], step), emitter.load(places[2], step)
        else:
            x, y = emitter.load_scalar(places[1]), emitter.load_scalar(places[2])
        mathematics = Mathematics(emitter)
        if function == "power":
            value = mathematics.power(x, exponent)
        else:
            value = mathematics.functions[function](*(x, y)[: FUNCTIONS[function].arguments])
        (emitter.store if lanes == "vector" else emitter.store_scalar)(value, places[0])
    restore_denormals(emitter, mode)
    emitter.finish()
    code = codegen.Loaded([codegen.compile_object(str(module), chosen)], chosen)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)
    call = kind(code.address("f"))

    def apply(a: Floats, b: Floats, code: codegen.Loaded = code) -> Floats:
        padding = -len(a) % 16
        a, b = (np.pad(x, (0, padding)) for x in (a, b))
        result = np.zeros_like(a)
        call(result.ctypes.data, a.ctypes.data, b.ctypes.data, len(a))
        return result[: len(a) - padding]

    return apply


def check(got: Floats, right: Doubles, x: npt.NDArray[Any], limit: float | Doubles = LIMIT) -> None:
    """Every element within the limit; what is too small for a normal number may be 0, too large infinite."""
    with np.errstate(over="ignore"):
        rounded = right.astype(np.float32).astype(np.float64)
    finite, infinite = np.isfinite(rounded), ~np.isfinite(rounded)
    strange = infinite & ~((got == rounded) | (np.isnan(got) & np.isnan(rounded)))
    at = int(np.argmax(strange))
    assert not strange.any(), f"f({x[at]!r}) = {got[at]!r}, not {right[at]!r}; {strange.sum()} are wrong"
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got.astype(np.float64) - right)
        allowed = np.maximum(limit * np.abs(right), SMALLEST)
        wrong = finite & ~(off <= allowed)
    # At the very top, rounding may turn the largest number into infinity.
    wrong &= ~(np.isinf(got) & (np.abs(right) > LARGEST * (1 - 3e-7)))
    if wrong.any():
        at = int(np.argmax(np.where(wrong, off / np.maximum(np.abs(right), SMALLEST), 0)))
        part = off[at] / max(abs(right[at]), SMALLEST)
        raise AssertionError(
            f"f({x[at]!r}) = {got[at]!r}, not {right[at]!r}: off by {part:.2e}; {wrong.sum()} are wrong"
        )


def sigmoid64(x: Doubles) -> Doubles:
    small = np.exp(-np.abs(x))
    result: Doubles = np.where(x >= 0, 1, small) / (1 + small)
    return np.where(np.isnan(x), np.nan, result)


erf64 = np.vectorize(math.erf, [np.float64])


UNARY: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exp": (np.exp, -104, 89),
    "erf": (erf64, -6, 6),
    "expm1": (np.expm1, -20, 89),
    "log1p": (np.log1p, -1, 1e4),
    "log": (np.log, -1, 1e4),
    "sqrt": (np.sqrt, -1, 1e6),
    "tanh": (np.tanh, -12, 12),
    "sigmoid": (sigmoid64, -100, 100),
}


@targets
@ways
@pytest.mark.parametrize("function", UNARY)
def test_functions_of_one_number(function: str, target: str, lanes: str) -> None:
    reference, low, high = UNARY[function]
    x = np.concatenate([sweep(low, high), everything(), SPECIAL, np.nextafter(np.float32(1), np.float32([0, 2]))])
    with np.errstate(all="ignore"):
        right = reference(x.astype(np.float64))
    check(compiled(function, target, lanes)(x, x), right, x, LIMIT if cpu.target(target).fused else UNFUSED)


@targets
@ways
@pytest.mark.parametrize("function", ["maximum", "minimum"])
def test_the_larger_and_the_smaller(function: str, target: str, lanes: str) -> None:
    """As in NumPy: not-a-number on either side is the result; the order does not matter."""
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    x, y = (a[~((np.abs(a) > 0) & (np.abs(a) < SMALLEST))] for a in (x, y))
    got = compiled(function, target, lanes)(x, y)
    assert np.array_equal(got, getattr(np, function)(x, y), equal_nan=True)


@targets
@ways
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, -1, -2, -3, 0.5, 0.25, 1 / 3, 0.75, -0.75, -0.5, 1.5, 2.5, 65])
def test_powers(exponent: float, target: str, lanes: str) -> None:
    """A power's error grows with the size of its logarithm, as the argument's own rounding does.

    What a power that is no whole number makes of minus infinity is left open.
    """
    whole = exponent == int(exponent)
    x = np.concatenate([sweep(-30 if whole else 0, 30, 50_000), everything(50_000), SPECIAL])
    x = x if whole else x[~np.isneginf(x)]
    with np.errstate(all="ignore"):
        right = np.power(x.astype(np.float64), exponent)
        size = np.nan_to_num(np.abs(exponent * np.log(np.abs(x.astype(np.float64)))), nan=0, posinf=0, neginf=0)
    size = np.maximum(size, abs(exponent) / 5 if whole else 1)  # each multiplication rounds
    check(compiled("power", target, lanes, exponent)(x, x), right, x, LIMIT * np.maximum(1, size))


@targets
def test_whole_numbers_have_exact_squares_and_cubes(target: str) -> None:
    x = np.arange(-200, 201, dtype=np.float32)
    for exponent in (2, 3):
        assert np.array_equal(compiled("power", target, "vector", exponent)(x, x), x**exponent)


@targets
@pytest.mark.parametrize("function", sorted(UNARY))
def test_a_vector_and_a_single_number_give_the_same(function: str, target: str) -> None:
    """What an element is must not depend on where in a tensor it lies."""
    x = np.concatenate([sweep(UNARY[function][1], UNARY[function][2], 20_000), SPECIAL])
    ways = [compiled(function, target, lanes)(x, x) for lanes in ("vector", "scalar")]
    assert np.array_equal(*ways, equal_nan=True)


# ---- through the whole engine


def one_dimensional(count: int, value: Callable[[Any], Any]) -> Program:
    """`Y[i] = value(X[i])`."""
    i, x, y = Index("i", count), Tensor("X", (count,), role="input"), Tensor("Y")
    y[i] = value(x[i])
    return Program.of([y])


@targets
def test_functions_through_the_engine(target: str) -> None:
    """One program with all functions, over a number of elements that no vector divides."""
    count, tensors = 1003, {}
    x, i = Tensor("X", (count,), role="input"), Index("i", count)
    for function in (erf, exp, expm1, log, log1p, sqrt, tanh, sigmoid):
        tensors[function.__name__] = Tensor(function.__name__)
        tensors[function.__name__][i] = function(x[i])
    values = np.concatenate([np.linspace(-30, 30, count - len(SPECIAL)).astype(np.float32), SPECIAL])
    got = run_native(Program.of(tensors.values()), {"X": values.astype(np.float64)}, target=target)
    with np.errstate(all="ignore"):
        for name in tensors:
            right = UNARY[name][0](values.astype(np.float64))
            check(got[name], right, values, UNFUSED)


def test_every_function_of_the_notation_can_be_compiled() -> None:
    known = {*Mathematics(Emitter(ir.Module(), "f", [], cpu.target())).functions, "constant", "uniform"}
    assert known == FUNCTIONS.keys()


def test_an_exponent_may_be_a_tensor() -> None:
    i, x, p, y = Index("i", 50), Tensor("X", (50,), role="input"), Tensor("P", (50,), role="input"), Tensor("Y")
    y[i] = x[i] ** p[i]
    arrays = {"X": np.linspace(0.1, 5, 50).astype(np.float32), "P": np.linspace(-2, 2, 50).astype(np.float32)}
    got = run_native(Program.of([y]), {k: v.astype(np.float64) for k, v in arrays.items()})["Y"]
    np.testing.assert_allclose(got, arrays["X"].astype(np.float64) ** arrays["P"].astype(np.float64), rtol=1e-6)


def test_denormal_results_and_arguments_count_as_zero() -> None:
    x = np.array([1e-40, 1e-20, 1e-38], np.float32)
    got = run_native(one_dimensional(3, lambda a: a * a * 1e-2 + a * 0.5), {"X": x.astype(np.float64)})["Y"]
    assert got.tolist() == [0.0, np.float32(5e-21), 0.0]


# ---- random numbers


@targets
@pytest.mark.parametrize("count", [1, 7, 16, 1000])
def test_random_numbers_are_the_reference_s_bit_for_bit(count: int, target: str) -> None:
    seed, step = (Tensor(name, (), role="input", kind="int") for name in ("seed", "step"))
    i, y = Index("i", count), Tensor("Y")
    y[i] = uniform(seed[()], Const(5), step[()], Position(i * 3 + 1))
    for numbers in ((0, 0), (2**31 - 1, 7), (2**31, 2**32 - 1), (123456789, 1)):
        arrays = dict(zip(("seed", "step"), (np.array(n, np.int64) for n in numbers), strict=True))
        executable = native(Program.of([y]), target=target)
        got = executable.run(arrays)["Y"]  # the lower 32 bits of whatever integers
        executable.close()
        assert np.array_equal(got, uniform_reference(numbers[0], 5, numbers[1], np.arange(count) * 3 + 1))


# ---- brackets

RELATIONS = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal
}  # fmt: skip


@targets
@pytest.mark.parametrize("relation", RELATIONS)
def test_comparisons_with_not_a_number(relation: str, target: str) -> None:
    """Not-a-number is unequal to everything, and no other relation holds for it."""
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    i, count = Index("i", len(x)), len(x)
    left, right, out = Tensor("L", (count,), role="input"), Tensor("R", (count,), role="input"), Tensor("Y")
    out[i] = bracket(left[i], relation, right[i]) * 1.0
    arrays = {"L": x.astype(np.float64), "R": y.astype(np.float64)}
    got = run_native(Program.of([out]), arrays, target=target)["Y"]
    assert np.array_equal(got, RELATIONS[relation](x, y).astype(np.float32))


@targets
def test_a_false_bracket_makes_a_product_zero_whatever_its_factors(target: str) -> None:
    x = np.array([-1, 0, 2, np.inf, np.nan, -np.inf, 5], np.float32)
    i, given, out = Index("i", len(x)), Tensor("X", (len(x),), role="input"), Tensor("Y")
    positive = bracket(given[i], ">", 1)
    out[i] = (positive * given[i] / 2) * (given[i] / 0) * positive
    got = run_native(Program.of([out]), {"X": x.astype(np.float64)}, target=target)["Y"]
    assert np.array_equal(got, np.array([0, 0, np.inf, np.inf, 0, 0, np.inf], np.float32))
