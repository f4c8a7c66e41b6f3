"""Random programs on the native engine against the reference in float64, in every layout, on every target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pellucid.errors import NotationError, ShapeError, UsageError
from pellucid.notation import Index, Program, Tensor, bracket, constant_tensor, indices, max_over, sum_over
from pellucid.notation.expression import Const, Reduce
from tests.engines.native.programs import (
    TARGETS,
    Array,
    Sheet,
    assert_close,
    native,
    possible_layouts,
    reference,
    run_native,
    searching,
    sheets,
    single,
    worst,
)


def choices(draw: st.DataObject, sheet: Sheet) -> dict[str, str | int]:
    """A layout, a target and a number of threads."""
    return {
        "layout": draw.draw(st.sampled_from(possible_layouts(sheet.program)), "layout"),
        "target": draw.draw(st.sampled_from(TARGETS), "target"),
        "threads": draw.draw(st.sampled_from((1, 1, 1, 2, 4)), "threads"),
    }


@searching(110)
@given(sheets(), st.data())
def test_random_programs_agree_with_the_reference(sheet: Sheet, data: st.DataObject) -> None:
    chosen = choices(data, sheet)
    got = run_native(sheet.program, sheet.arrays, **chosen)
    assert_close(sheet.program, got, sheet.arrays, str(chosen))


@searching(70)
@given(sheets(exact=True), st.data())
def test_whole_numbers_give_the_reference_s_result_exactly(sheet: Sheet, data: st.DataObject) -> None:
    assume(sheet.small)
    chosen = choices(data, sheet)
    got = run_native(sheet.program, sheet.arrays, **chosen)
    for name, right in reference(sheet.program, sheet.arrays).items():
        assert np.array_equal(got[name], right), f"{chosen}: {name} {worst(got[name], right)}"


@searching(30)
@given(sheets(moves=3), st.data())
def test_a_step_leaves_nothing_behind_that_the_next_one_meets(sheet: Sheet, data: st.DataObject) -> None:
    """Other numbers in between, then the first ones again: the first result again, bit for bit."""
    executable = native(sheet.program, **choices(data, sheet))
    given_now = single(sheet.arrays)
    first = executable.run(given_now)
    executable.run({name: array * 3 + 1 if array.dtype.kind == "f" else array for name, array in given_now.items()})
    again = executable.run({name: array.copy() for name, array in given_now.items()})
    executable.close()
    for name, array in first.items():
        assert np.array_equal(array, again[name], equal_nan=True), name


# ---- corners that the random programs meet too rarely


def images(*shape: int) -> Tensor:
    return Tensor("X", shape, role="input")


def uniform(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("target", TARGETS)
def test_a_maximum_over_the_batch_of_negative_numbers(count: int, target: str) -> None:
    """No image that does not exist may win."""
    n, c, x = Index("n", count), Index("c", 5), images(count, 5)
    best, where, total = Tensor("M"), Tensor("A", kind="int"), Tensor("S")
    best[c] = max_over([n], x[n, c])
    where[()] = Reduce("argmax", (n, c), x[n, c])
    total[c] = sum_over([n], (x[n, c] + 1) * x[n, c])
    program, arrays = Program.of([best, where, total]), {"X": -1 - np.abs(uniform((count, 5)))}
    for layout in (None, *possible_layouts(program)):
        assert_close(program, run_native(program, arrays, layout=layout, target=target), arrays, f"{layout}")


@pytest.mark.parametrize("lanes_first", [False, True])
def test_the_first_of_several_maxima_and_of_several_that_are_no_numbers(lanes_first: bool) -> None:
    count = 40
    n, k, x = Index("n", count), Index("k", 6), images(6, count) if lanes_first else images(count, 6)
    where = Tensor("A", kind="int")
    where[n] = Reduce("argmax", (k,), x[k, n] if lanes_first else x[n, k])
    values = np.random.default_rng(1).integers(-1, 2, (count, 6)).astype(np.float64)
    values[::5, 2] = values[::5, 4] = np.nan
    values[3] = -np.inf
    arrays = {"X": values.T.copy() if lanes_first else values}
    got = run_native(Program.of([where]), arrays)["A"]
    assert np.array_equal(got, np.argmax(values, axis=1))
    assert np.array_equal(got, reference(Program.of([where]), arrays)["A"])


def test_not_a_number_is_neither_lost_nor_spread() -> None:
    """One bad pixel of one image must reach exactly the outputs that read it, in every layout."""
    n, o, i, j, c, u, v = (Index(a, e) for a, e in zip("noijcuv", (5, 3, 6, 6, 2, 3, 3), strict=True))
    x, w, y, m = images(5, 2, 6, 6), Tensor("W", (3, 2, 3, 3), role="parameter"), Tensor("Y"), Tensor("M")
    y[n, o, i, j] = sum_over([c, u, v], x[n, c, i + u - 1, j + v - 1] * w[o, c, u, v])
    p, q = Index("p", 2), Index("q", 2)
    k, r = Index("k", 3), Index("r", 3)
    m[n, o, k, r] = max_over([p, q], y[n, o, k * 2 + p, r * 2 + q])
    program, arrays = Program.of([y, m]), {"X": uniform((5, 2, 6, 6)), "W": uniform((3, 2, 3, 3))}
    for bad in (np.nan, np.inf):
        arrays["X"][2, 1, 3, 3] = bad
        for layout in possible_layouts(program):
            got = run_native(program, arrays, layout=layout)
            assert np.isfinite(got["Y"]).sum() == got["Y"].size - 3 * 9
            assert (~np.isfinite(got["Y"][2, :, 2:5, 2:5])).all()
            assert np.isnan(bad) <= (np.isnan(got["M"]).sum() == 3 * 4)


@pytest.mark.parametrize("target", TARGETS)
def test_a_slice_of_what_is_computed_in_blocks_of_channels(target: str) -> None:
    """The slice has fewer channels than the sums of products that it adds: it is no epilogue of them."""
    n, o, i, j = indices("n o i j")
    c, first = Index("c", 64), Index("k", 32)
    x, u, v = images(2, 32, 8, 8), Index("u", 1), Index("v", 1)
    totals = [Tensor(name, (2, 64, 8, 8)) for name in ("A", "B")]
    for number, total in enumerate(totals):
        w, o = Tensor(f"W{number}", (16, 64, 1, 1), role="parameter"), Index("o", 16)
        total[n, c, i + u, j + v] = sum_over([o], x[n, o + 16 * number, i, j] * w[o, c, u, v])
    y, z = Tensor("Y"), Tensor("Z")
    y[n, first, i, j] = totals[0][n, first, i, j] + totals[1][n, first, i, j]
    z[n, first, i, j] = totals[0][n, first + 32, i, j] + totals[1][n, first + 32, i, j]
    arrays = {"X": uniform((2, 32, 8, 8)), "W0": uniform((16, 64, 1, 1), 1), "W1": uniform((16, 64, 1, 1), 2)}
    program = Program.of([y, z])
    for layout in possible_layouts(program):
        assert_close(program, run_native(program, arrays, layout=layout, target=target), arrays, layout)


@pytest.mark.parametrize("rows", [2, 5])
def test_an_equation_for_the_first_images_only(rows: int) -> None:
    """The others are 0: what no part writes."""
    n, c, x, y = Index("n", rows), Index("c", 3), images(5, 3), Tensor("Y", (5, 3))
    y[n, c] = x[n, c] * 2
    program, arrays = Program.of([y]), {"X": uniform((5, 3))}
    for layout in possible_layouts(program):
        got = run_native(program, arrays, layout=layout)["Y"]
        assert np.array_equal(got[:rows], arrays["X"][:rows].astype(np.float32) * 2) and not got[rows:].any()


@pytest.mark.parametrize("names", ["BOCI", "oOcC", "nBbN", "xXoO"])
def test_index_names_of_the_compiler_s_own_are_free(names: str) -> None:
    """A user may call an index B or O, as blocks of images and of channels are called inside."""
    a, b, c, d = (Index(name, extent) for name, extent in zip(names, (33, 64, 3, 4), strict=True))
    u, v = Index("u", 2), Index("v", 2)
    x, w, y, z = images(33, 3, 5, 5), Tensor("W", (64, 3, 2, 2), role="parameter"), Tensor("Y"), Tensor("Z")
    j = Index("j", 4)
    y[a, b, d, j] = sum_over([c, u, v], x[a, c, d + u, j + v] * w[b, c, u, v])
    z[b, c, u, v] = sum_over([a, d, j], y[a, b, d, j] * x[a, c, d + u, j + v])
    program, arrays = Program.of([y, z]), {"X": uniform((33, 3, 5, 5)), "W": uniform((64, 3, 2, 2))}
    for layout in possible_layouts(program):
        for threads in (1, 2):
            got = run_native(program, arrays, layout=layout, threads=threads, target=TARGETS[-1])
            assert_close(program, got, arrays, layout)


def test_whole_numbers_made_by_arithmetic_and_comparison() -> None:
    n, o, c = Index("n", 5), Index("o", 4), Index("c", 3)
    x, w, t = images(5, 3), Tensor("W", (4, 3), role="parameter"), Tensor("t", (5,), role="input", kind="int")
    y, hit, odd, cut = Tensor("Y"), *(Tensor(name, kind="int") for name in ("H", "O", "C"))
    y[n, o] = sum_over([c], x[n, c] * w[o, c])
    hit[n, o] = bracket(y[n, o], ">", 0.0)
    odd[n] = t[n] * 2 + 1
    cut[n, o] = y[n, o] * 10
    program = Program.of([y, hit, odd, cut])
    arrays = {"X": uniform((5, 3)), "W": uniform((4, 3)), "t": np.arange(5) - 2}
    for layout in possible_layouts(program):
        assert_close(program, run_native(program, arrays, layout=layout), arrays, layout)


def test_constants_are_part_of_the_program() -> None:
    k = constant_tensor("K", np.array([1.5, -2, 0.25, 3]))
    whole = constant_tensor("L", np.array([1, 0, 3, 2]))
    whole.kind = "int"
    i, y = Index("i", 4), Tensor("Y")
    y[i] = k[i] * bracket(whole[i], ">", 0) + Const(1e-3)
    got = run_native(Program.of([y, k]), {})
    np.testing.assert_allclose(got["Y"], [1.501, 0.001, 0.251, 3.001], rtol=1e-6)
    assert got["K"].tolist() == [1.5, -2, 0.25, 3]


def test_no_dimensions_at_all() -> None:
    a, b, y = Tensor("a", (), role="input"), Tensor("b", (), role="input"), Tensor("Y")
    y[()] = a[()] * b[()] - 1
    got = run_native(Program.of([y]), {"a": np.array(3.0), "b": np.array(0.5)}, threads=4)
    assert got["Y"].shape == () and got["Y"] == 0.5


@pytest.mark.parametrize("layout", [None, "images", "batch", "channels"])
def test_a_model_that_does_nothing_returns_what_it_is_given(layout: str | None) -> None:
    x = images(5, 3, 2, 2)
    n, c, i, j = (Index(a, e) for a, e in zip("ncij", x.extents, strict=True))
    y = Tensor("Y")
    y[n, c, i, j] = x[n, c, i, j]
    for outputs in ([x], [y], [x, y]):
        executable = native(Program.of(outputs), layout=layout if y in outputs else None)
        given_now = {"X": uniform(x.extents).astype(np.float32)}
        for array in executable.run(given_now).values():
            assert np.array_equal(array, given_now["X"]) and not np.shares_memory(array, given_now["X"])
        executable.close()


def test_a_tensor_of_one_column_is_not_joined_by_a_wider_one() -> None:
    """M[n,0] has one element a row; Y[n,k] reads it at every k, and needs a loop of its own."""
    n, k = Index("n", 3), Index("k", 4)
    x, m, r, y = images(3, 4), Tensor("M", (3, 1)), Tensor("R", (3, 1)), Tensor("Y")
    m[n, 0] = sum_over([k], x[n, k] * x[n, k])
    r[n, 0] = m[n, 0] + 1
    y[n, k] = x[n, k] * r[n, 0]
    executable = native(Program.of([y]))
    values = uniform((3, 4)).astype(np.float32)
    expected = values * ((values**2).sum(1, keepdims=True) + 1)
    assert np.allclose(executable.run({"X": values})["Y"], expected, rtol=1e-5)
    executable.close()


# ---- what is refused


def test_arrays_that_do_not_fit_are_refused() -> None:
    i, x, y = Index("i", 4), images(4), Tensor("Y")
    y[i] = x[i] + 1
    executable = native(Program.of([y]))
    with pytest.raises(NotationError, match="needs a value for X"):
        executable.run({})
    with pytest.raises(ShapeError, match=r"X must have the shape \(4,\); got \(5,\)"):
        executable.run({"X": np.zeros(5, np.float32)})
    # What merely lies otherwise in memory, or has another precision, is copied.
    for array in (np.arange(8.0)[::2], np.arange(0, 8, 2), np.arange(0, 8, 2, ">f4"), np.arange(0, 8, 2.0, "f4")):
        assert executable.run({"X": array})["Y"].tolist() == [1, 3, 5, 7]
    executable.close()


def test_another_precision_and_another_layout_are_refused() -> None:
    from pellucid.engines.native.executable import NativeEngine

    i, x, y = Index("i", 4), images(4), Tensor("Y")
    y[i] = x[i] + 1
    with pytest.raises(UsageError, match='float32, not in float64; use engine="numpy"'):
        NativeEngine().compile(Program.of([y]), dtype="float64")
    with pytest.raises(UsageError, match="layout 'batch': this program can have images"):
        native(Program.of([y]), layout="batch")
    with pytest.raises(UsageError, match="layout 'rows': this program can have images"):
        native(Program.of([y]), layout="rows")
    with pytest.raises(UsageError, match="threads must be at least 1; got 0"):
        NativeEngine().compile(Program.of([y]), threads=0)
