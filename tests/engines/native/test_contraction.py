"""The contraction generator against sums written out in float64, with guard zones around every buffer."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from llvmlite import ir

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.contraction import (
    Access,
    Contraction,
    Loop,
    Ragged,
    Schedule,
    Window,
    complete,
    merge,
    tasks,
)
from pellucid.engines.native.cost import Model, estimate
from pellucid.engines.native.epilogue import Epilogue, Place
from pellucid.engines.native.kernel import emit_contraction
from pellucid.engines.native.schedule import choose

TARGETS = [name for name in ("avx512", "avx2", "sse", "aarch64") if cpu.target(name).host]
QUICK: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.generate,),
}
GUARD = 37  # floats before and after every buffer
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    contraction: Contraction
    schedule: Schedule


def addresses(contraction: Contraction, access: Access) -> npt.NDArray[np.int64]:
    """Where an operand is accessed for every index combination that exists, by definition."""
    grid = dict(zip(contraction.extents, np.indices(tuple(contraction.extents.values())), strict=True))
    exists = np.ones(tuple(contraction.extents.values()), bool)
    for pair in contraction.ragged:
        exists &= grid[pair.block] * contraction.extents[pair.inner] + grid[pair.inner] < pair.extent
    where = np.full(exists.shape, access.offset, np.int64)
    for index, stride in access.strides.items():
        where += stride * grid[index]
    return where[exists]


def halo(contraction: Contraction) -> npt.NDArray[np.bool_]:
    """For every index combination, whether a window says that its factor `a` is zero."""
    grid = dict(zip(contraction.extents, np.indices(tuple(contraction.extents.values())), strict=True))
    outside = np.zeros(tuple(contraction.extents.values()), bool)
    for w in contraction.windows:
        place = w.offset + w.outer_stride * grid[w.outer] + w.inner_stride * grid[w.inner]
        outside |= (place < 0) | (place >= w.extent)
    return outside.ravel()


def run(
    case: Case,
    target: cpu.Target,
    seed: int = 0,
    *,
    integers: bool = True,
    shares: int = 1,
    epilogue: Epilogue | None = None,
    extras: dict[str, Floats] | None = None,
    around: float = 0.0,
) -> tuple[Floats, npt.NDArray[np.float64], dict[str, Floats]]:
    """Run a kernel; returns (elements of out, expected sums in float64, all buffers).

    Elements that do not belong to the equation are NaN in every buffer: reading one poisons the result,
    writing one is found by comparing the bits. Where windows say that `a` is zero it holds `around`.
    """
    contraction, random = case.contraction, np.random.default_rng(seed)
    extras = extras or {}
    module = ir.Module()
    emit_contraction(module, "kernel", contraction, case.schedule, target, epilogue=epilogue, extras=tuple(extras))
    code = codegen.Loaded([codegen.compile_object(str(module), target)], target)
    buffers, pointers = {}, []
    for name, access in contraction.operands.items():
        where = addresses(contraction, access)
        low = int(where.min())
        buffer = np.full(int(where.max()) - low + 1 + 2 * GUARD, np.nan, np.float32)
        values = random.integers(-4, 5, buffer.size) if integers else random.standard_normal(buffer.size)
        inside = where - low + GUARD
        buffer[inside] = values[inside]
        if name == "a" and contraction.windows:
            buffer[inside[halo(contraction)]] = around
        buffers[name] = buffer
        pointers.append(buffer.ctypes.data + 4 * (GUARD - low))
    before = {name: buffer.copy() for name, buffer in buffers.items()}
    expected = reference(contraction, before)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(pointers) + len(extras)), ctypes.c_int64, ctypes.c_int64)
    kernel = kind(code.address("kernel"))
    total = tasks(contraction, case.schedule)
    for share in reversed(range(shares)):
        ends = (total * share // shares, total * (share + 1) // shares)
        kernel(*pointers, *(extra.ctypes.data for extra in extras.values()), *ends)
    where = addresses(contraction, contraction.out)
    inside = where - int(where.min()) + GUARD
    touched = np.zeros(buffers["out"].size, bool)
    touched[inside] = True
    for name, buffer in buffers.items():
        keep = ~touched if name == "out" else np.ones(buffer.size, bool)
        assert buffer[keep].tobytes() == before[name][keep].tobytes(), f"{name}: touched outside its elements"
    code.close()
    order = np.unique(inside)
    return buffers["out"][order], expected[order], buffers


def reference(contraction: Contraction, buffers: dict[str, Floats]) -> npt.NDArray[np.float64]:
    """The equation, one product after another, in float64."""
    where = {name: addresses(contraction, access) for name, access in contraction.operands.items()}
    inside = {name: at - at.min() + GUARD for name, at in where.items()}
    wide = {name: buffer.astype(np.float64) for name, buffer in buffers.items()}
    expected = np.full(buffers["out"].size, np.nan)
    start: npt.NDArray[np.float64] | float = 0.0
    if contraction.initial == "out":
        start = wide["out"][inside["out"]]
    elif contraction.initial != "zero":
        start = wide["initial"][inside["initial"]]
    expected[inside["out"]] = start
    products = wide["a"][inside["a"]] * wide["b"][inside["b"]]
    if contraction.windows:
        products[halo(contraction)] = 0
    np.add.at(expected, inside["out"], products)
    return expected


def dense_strides(draw: st.DrawFn, indices: list[str], extents: dict[str, int]) -> dict[str, int]:
    """Strides of an array with these indices in some order, with gaps; a reversed axis now and then."""
    stride, strides = draw(st.sampled_from([1, 1, 1, 2])), {}
    for index in draw(st.permutations(indices)):
        strides[index] = stride * draw(st.sampled_from([1, 1, 1, 1, -1]))
        stride *= extents[index] + draw(st.sampled_from([0, 0, 1, 3]))
    return strides


@st.composite
def cases(draw: st.DrawFn, lanes: int) -> Case:
    """A random equation and a random schedule for it."""
    out = ["i", "j", "k"][: draw(st.integers(1, 3))]
    reduced = ["r", "s", "t"][: draw(st.integers(0, 3))]
    extents = {index: draw(st.integers(1, 7)) for index in out + reduced}
    lane = draw(st.sampled_from(out + reduced))
    extents[lane] = draw(st.integers(1, 3 * lanes + 1))
    ragged: tuple[Ragged, ...] = ()
    vectors = draw(st.integers(1, 3)) if lane in out else 1
    if draw(st.booleans()):
        # The lane's index is stored in blocks, the last of them cut short.
        extents["block"] = draw(st.integers(1, 3))
        extents[lane] = draw(st.sampled_from([lanes, 2 * lanes, lanes // 2]))
        (out if lane in out else reduced).append("block")
        most = extents["block"] * extents[lane]
        ragged = (Ragged("block", lane, draw(st.integers(most - extents[lane] + 1, most))),)
    used = {name: [index for index in extents if draw(st.integers(0, 3))] for name in ("a", "b", "initial")}
    accesses = {name: dense_strides(draw, indices, extents) for name, indices in used.items() if name != "initial"}
    if reduced and "i" in accesses["a"] and draw(st.booleans()):
        accesses["a"][reduced[0]] = accesses["a"]["i"]  # a convolution reads overlapping windows
    initial: str | Access = draw(st.sampled_from(["zero", "out", "bias"]))
    if initial == "bias":
        initial = Access(dense_strides(draw, [i for i in used["initial"] if i in out], extents))
    contraction = Contraction(
        extents,
        Access(dense_strides(draw, out, extents), draw(st.integers(-9, 9))),
        Access(accesses["a"], draw(st.integers(-9, 9))),
        Access(accesses["b"]),
        initial,  # type: ignore[arg-type]
        ragged,
    )
    return Case(contraction, draw(schedules(contraction, lane, vectors, lanes)))


@st.composite
def schedules(draw: st.DrawFn, contraction: Contraction, lane: str, vectors: int, lanes: int) -> Schedule:
    out = [index for index in contraction.extents if index not in contraction.reduction]
    tiled = [index for index in out if index not in (lane, "block") and draw(st.booleans())]
    tiles = {index: draw(st.integers(1, 4)) for index in tiled[:2]}
    loops = []
    for index in draw(st.permutations(out)):
        step = vectors * lanes if index == lane else tiles.get(index, 1)
        loops.append(Loop(index, step))
    parallel = draw(st.integers(0, len(loops)))
    for index in out:
        if index != "block" and not contraction.ragged and draw(st.integers(0, 3)) == 0:
            step = (vectors * lanes if index == lane else tiles.get(index, 1)) * draw(st.integers(2, 3))
            loops.insert(0, Loop(index, step))
    for index in contraction.reduction:
        if index != lane and draw(st.integers(0, 3)) == 0:
            loops.insert(draw(st.integers(parallel, len(loops))), Loop(index, draw(st.integers(1, 3))))
    # A block's number is walked before what lies inside the block.
    loops.sort(key=lambda loop: loop.index != "block" and bool(contraction.ragged))
    names = [loop.index for loop in loops]
    stops = (k for k in range(parallel) if names[k] in contraction.reduction or names[k] in names[:k])
    parallel = next(stops, parallel)
    reduce = sorted(draw(st.permutations(list(contraction.reduction))), key=lambda index: index != "block")
    partial = draw(st.sampled_from([1, 1, 2, 3]))
    return Schedule(
        lane,
        vectors,
        tiles,
        tuple(loops),
        tuple(reduce),
        parallel,
        partial * draw(st.integers(1, 2)),
        partial,
    )


@pytest.mark.parametrize("name", TARGETS)
def test_random_equations_are_exact_and_stay_inside_their_elements(name: str) -> None:
    target = cpu.target(name)

    @settings(max_examples=100, **QUICK)
    @given(cases(target.lanes), st.integers(1, 3))
    def check(case: Case, shares: int) -> None:
        found, expected, _ = run(case, target, shares=shares)
        np.testing.assert_array_equal(found, expected)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_chosen_schedules_are_exact(name: str) -> None:
    target = cpu.target(name)

    @settings(max_examples=40, **QUICK)
    @given(cases(target.lanes), st.integers(1, 3))
    def check(case: Case, shares: int) -> None:
        chosen = Case(case.contraction, choose(case.contraction, target))
        found, expected, _ = run(chosen, target, shares=shares)
        np.testing.assert_array_equal(found, expected)

    check()


def test_merging_indices_keeps_the_sum() -> None:
    target = cpu.target()

    @settings(max_examples=40, **QUICK)
    @given(cases(target.lanes))
    def check(case: Case) -> None:
        merged, _ = merge(case.contraction)
        assert merged.multiply_adds == case.contraction.multiply_adds
        found, expected, _ = run(Case(merged, choose(merged, target)), target)
        np.testing.assert_array_equal(found, expected)

    check()


@st.composite
def windows(draw: st.DrawFn, outer: str, inner: str, extents: dict[str, int]) -> Window:
    """A padded, strided, dilated or flipped convolution's window, or one of its gradients'."""
    steps = [draw(st.sampled_from([1, 1, 2, 3])) * draw(st.sampled_from([1, -1])) for _ in range(2)]
    ends = [step * (extents[index] - 1) for step, index in zip(steps, (outer, inner), strict=True)]
    low, high = sum(min(end, 0) for end in ends), sum(max(end, 0) for end in ends)
    extent = draw(st.integers(1, high - low + 2))
    return Window(outer, inner, *steps, draw(st.integers(-high - 2, extent - low + 1)), extent)


@st.composite
def windowed(draw: st.DrawFn, lanes: int) -> Case:
    """A convolution or a gradient of one, over two axes of which one or both read a halo of zeros."""
    extents = {index: draw(st.integers(1, 6 if index in "xu" else 3)) for index in "xycnouv"}
    lane = draw(st.sampled_from("nnxyou"))
    extents[lane] = draw(st.integers(1, 2 * lanes + 1))
    pairs = [draw(windows(outer, inner, extents)) for outer, inner in ("xu", "yv")]
    strides, stride = {"n": 1}, extents["n"]
    for window in reversed(pairs):
        for index, step in ((window.outer, window.outer_stride), (window.inner, window.inner_stride)):
            strides[index] = stride * step
        stride += sum(abs(strides[i]) * (extents[i] - 1) for i in (window.outer, window.inner))
    contraction = Contraction(
        {index: extents[index] for index in draw(st.permutations(list(extents)))},
        Access(dense_strides(draw, ["x", "y", "c", "n"], extents)),
        Access({"o": stride, **strides}),
        Access(dense_strides(draw, ["o", "c", "u", "v"], extents)),
        draw(st.sampled_from(["zero", "out"])),
        windows=tuple(pairs[: draw(st.integers(1, 2))]),
    )
    return Case(contraction, draw(schedules(contraction, lane, 1 if lane in "ou" else draw(st.integers(1, 2)), lanes)))


@pytest.mark.parametrize("name", TARGETS)
def test_leaving_out_the_halo_keeps_the_sum(name: str) -> None:
    target = cpu.target(name)

    @settings(max_examples=60, **QUICK)
    @given(windowed(target.lanes), st.integers(1, 3))
    def check(case: Case, shares: int) -> None:
        found, expected, _ = run(case, target, shares=shares)
        np.testing.assert_array_equal(found, expected)
        assert case.contraction.multiply_adds == np.count_nonzero(~halo(case.contraction))

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_chosen_schedules_leave_out_the_halo(name: str) -> None:
    target = cpu.target(name)

    @settings(max_examples=25, **QUICK)
    @given(windowed(target.lanes))
    def check(case: Case) -> None:
        merged, _ = merge(case.contraction)
        assert merged.windows == case.contraction.windows
        found, expected, _ = run(Case(merged, choose(merged, target)), target)
        np.testing.assert_array_equal(found, expected)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_tiles_of_one_point_never_meet_the_halo(name: str) -> None:
    """The halo holds NaN instead of zeros: a single product with it would be seen."""
    target = cpu.target(name)

    @settings(max_examples=60, **QUICK)
    @given(windowed(target.lanes))
    def check(case: Case) -> None:
        tiles = {"c": case.schedule.tiles["c"]} if "c" in case.schedule.tiles else {}
        order = tuple(loop for loop in case.schedule.order if loop.index in case.contraction.reduction)
        schedule = replace(case.schedule, lane="n", vectors=2, tiles=tiles, order=order, parallel=0)
        found, expected, _ = run(Case(case.contraction, schedule), target, around=np.nan)
        np.testing.assert_array_equal(found, expected)

    check()


def padded_rows(rows: int, size: int, inside: int) -> Contraction:
    """out[x,n] = sum(o,u) a[o,x-u,n] * b[o,u], with `inside` rows between zeros."""
    margin = inside + 2 * (size - 1)
    return Contraction(
        {"x": rows, "n": 16, "o": 16, "u": size},
        Access({"x": 16, "n": 1}),
        Access({"o": 16 * margin, "x": 16, "u": -16, "n": 1}),
        Access({"o": size, "u": 1}),
        windows=(Window("x", "u", 1, -1, 0, inside),),
    )


def test_the_cost_model_counts_what_the_tiles_run_through() -> None:
    target, sizes = cpu.target("avx512"), cpu.Caches(48 << 10, 1 << 20, 32 << 20, "test")
    contraction = padded_rows(14, 5, 10)
    assert contraction.multiply_adds == 10 * 5 * 16 * 16
    model = Model(contraction, target, sizes)
    (window,) = contraction.windows
    for step in (1, 2, 3, 4, 14):
        covered = 0
        for start in range(0, 14, step):
            rows = range(start, min(start + step, 14))
            covered += sum(any(0 <= x - u < 10 for x in rows) for u in range(5))
        share = covered / 5 / len(range(0, 14, step))
        assert model.share(window, Schedule("n", tiles={"x": step})) == pytest.approx(share)
    whole = replace(contraction, windows=())
    schedule = complete(contraction, Schedule("n", order=(Loop("x"),)), target)
    ratio = estimate(contraction, schedule, target, sizes).steps / estimate(whole, schedule, target, sizes).steps
    assert ratio == pytest.approx(50 / 70)


def matrix_product(rows: int, columns: int, inner: int, **changes: object) -> Contraction:
    base = Contraction(
        {"i": rows, "j": columns, "k": inner},
        Access({"i": columns, "j": 1}),
        Access({"i": inner, "k": 1}),
        Access({"k": columns, "j": 1}),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_one_by_one_convolution_merges_into_a_matrix_product() -> None:
    image = Access({"n": 35 * 8, "i": 5 * 8, "j": 8, "o": 1})
    contraction = Contraction(
        {"n": 2, "i": 7, "j": 5, "o": 8, "c": 6},
        image,
        Access({"n": 35 * 6, "i": 5 * 6, "j": 6, "c": 1}),
        Access({"c": 8, "o": 1}),
    )
    merged, others = merge(contraction, [Access({"o": 1})])
    assert sorted(merged.extents.values()) == [6, 8, 70]
    assert others == (Access({"o": 1}),)
    # An epilogue that needs the image number keeps that index apart.
    merged, _ = merge(contraction, [Access({"n": 1})])
    assert sorted(merged.extents.values()) == [2, 6, 8, 35]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("lane", ["j", "k"])
@pytest.mark.parametrize("blocked", [False, True])
def test_an_epilogue_sees_each_finished_sum_once(name: str, lane: str, blocked: bool) -> None:
    """out = max(sum + bias[j], 0); the sum itself goes to a second tensor."""
    target = cpu.target(name)
    contraction = matrix_product(5, 37, 41, b=Access({"k": 1, "j": 41}) if lane == "k" else Access({"k": 37, "j": 1}))
    order = (Loop("k", 2 * target.lanes),) if blocked else ()
    schedule = Schedule(lane, tiles={"i": 2}, order=order, parallel=0)

    def rectify(place: Place, value: ir.Value) -> ir.Value:
        build = place.emitter.builder
        place.store("sums", Access({"i": 37, "j": 1}), value)
        biased = build.fadd(value, place.load("bias", Access({"j": 1})))
        zero = ir.Constant(value.type, 0.0 if lane == "k" else [0.0] * place.lanes)
        return build.select(build.fcmp_ordered(">", biased, zero), biased, zero)

    bias = np.arange(37, dtype=np.float32) - 18
    sums = np.full((7, 37), np.nan, np.float32)
    extras = {"bias": bias, "sums": sums}
    found, expected, _ = run(Case(contraction, schedule), target, epilogue=rectify, extras=extras)
    np.testing.assert_array_equal(sums[:5].ravel(), expected)
    assert np.isnan(sums[5:]).all()
    np.testing.assert_array_equal(found, np.maximum(expected.reshape(5, 37) + bias, 0).ravel())


def turned_product(rows: int, columns: int, inner: int) -> Contraction:
    """out[j,i] = sum a[i,k] * b[k,j]: lanes along j are neighbours in `b` and lie `rows` apart in the result."""
    return matrix_product(rows, columns, inner, out=Access({"j": rows, "i": 1}))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(("rows", "along"), [(5, 5), (14, 14), (37, 18), (5, 1)])
def test_a_tile_whose_lanes_lie_apart_is_turned_and_stored_in_rows(name: str, rows: int, along: int) -> None:
    target = cpu.target(name)
    schedule = Schedule("j", 2, {"i": along} if along > 1 else {}, parallel=0)
    contraction = turned_product(rows, 2 * target.lanes + 3, 6)
    found, expected, _ = run(Case(contraction, schedule), target)
    np.testing.assert_array_equal(found, expected)
    module = ir.Module()
    emit_contraction(module, "kernel", contraction, schedule, target)
    assert ("extractelement" in str(module)) == (along == 1), "one by one only where the tile is no wider"


def test_real_numbers_are_summed_to_single_precision() -> None:
    contraction = matrix_product(30, 50, 400)
    target = cpu.target()
    found, expected, _ = run(Case(contraction, choose(contraction, target)), target, integers=False)
    assert np.linalg.norm(found - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", TARGETS)
def test_results_do_not_depend_on_how_tasks_are_shared(name: str) -> None:
    contraction = matrix_product(61, 70, 300)
    target = cpu.target(name)
    schedule = Schedule("j", 2, {"i": 4}, (Loop("j", 2 * target.lanes), Loop("i", 4), Loop("k", 64)), parallel=2)
    results = [
        run(Case(contraction, schedule), target, integers=False, shares=shares)[0].tobytes() for shares in (1, 2, 4, 7)
    ]
    assert len(set(results)) == 1


def test_infinities_meet_no_lanes_that_do_not_exist() -> None:
    """Three of the lanes exist; the others must not turn an infinite factor into 0 * infinity."""
    target = cpu.target()
    contraction = Contraction({"i": 1, "n": 3}, Access({"i": 1}), Access({"n": 1}), Access({}))
    module = ir.Module()
    emit_contraction(module, "kernel", contraction, Schedule("n", reduce=("n",)), target)
    code = codegen.Loaded([codegen.compile_object(str(module), target)], target)
    out, a, b = np.zeros(1, np.float32), np.ones(3, np.float32), np.full(1, np.inf, np.float32)
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64)(code.address("kernel"))
    kernel(out.ctypes.data, a.ctypes.data, b.ctypes.data, 0, 1)
    assert out[0] == np.inf


GUARDED = """
import ctypes, mmap, sys
import numpy as np
from llvmlite import ir
from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.contraction import Access, Contraction, tasks
from pellucid.engines.native.kernel import emit_contraction
from pellucid.engines.native.schedule import choose

library = ctypes.CDLL(None, use_errno=True)
page, keep = mmap.PAGESIZE, []

def guarded(count, after):
    '''An array that ends right before (or begins right after) a page nobody may touch.'''
    pages = -(-4 * count // page)
    area = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for guard in (start, start + (pages + 1) * page):
        if library.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0):
            sys.exit("mprotect failed")
    offset = (pages + 1) * page - 4 * count if after else page
    keep.append(area)
    return np.frombuffer(area, np.float32, count, offset)

target = cpu.target(sys.argv[1])
for rows, columns, inner in ((1, 1, 1), (3, 5, 7), (14, 33, 4), (5, 47, 19), (29, 16, 3), (2, 250, 5), (61, 600, 70)):
    for after in (False, True):
        a, b, out = (guarded(n, after) for n in (rows * inner, inner * columns, rows * columns))
        a[:], b[:] = np.arange(a.size) % 5, np.arange(b.size) % 7
        for b_strides in ({"k": columns, "j": 1}, {"k": 1, "j": inner}):
            contraction = Contraction({"i": rows, "j": columns, "k": inner}, Access({"i": columns, "j": 1}),
                                      Access({"i": inner, "k": 1}), Access(b_strides))
            module, schedule = ir.Module(), choose(contraction, target)
            emit_contraction(module, "kernel", contraction, schedule, target)
            code = codegen.Loaded([codegen.compile_object(str(module), target)], target)
            kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2)
            kernel = kind(code.address("kernel"))
            kernel(out.ctypes.data, a.ctypes.data, b.ctypes.data, 0, tasks(contraction, schedule))
            right = b.reshape(inner, columns) if b_strides["j"] == 1 else b.reshape(columns, inner).T
            if not (out.reshape(rows, columns) == a.reshape(rows, inner) @ right).all():
                sys.exit(f"wrong product {rows}x{inner}x{columns}")
print("untouched", flush=True)
import os
os._exit(0)  # arrays still point into the guarded areas
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_beyond_a_buffer_is_even_read(name: str) -> None:
    """Buffers lie against protected pages: touching one byte beyond would end the process."""
    ended = subprocess.run([sys.executable, "-c", GUARDED, name], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "untouched"), ended.stderr


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Schedule("x"), r"no index 'x' in this contraction; there are \['i', 'j', 'k'\]"),
        (Schedule("j", tiles={"k": 2}), "'k' cannot be tiled"),
        (Schedule("j", order=(Loop("k", 8),), parallel=1), "parallel loop over 'k', which is summed over"),
        (Schedule("j", order=(Loop("i", 4), Loop("i", 2)), parallel=2), "name an index twice"),
        (Schedule("k", vectors=2), "a lane that is summed over takes one vector"),
        (Schedule("j", unroll=3, partial=2), "unroll 3 must be a multiple of partial 2"),
        (
            Schedule("j", tiles={"i": 4}, order=(Loop("i", 6), Loop("i", 4))),
            "blocks of 6 over 'i' must be a multiple of 4",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(schedule: Schedule, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        complete(matrix_product(8, 32, 8), schedule, cpu.target())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": Access({"x": 1})}, r"a uses index 'x'; there are \['i', 'j', 'k'\]"),
        ({"extents": {"i": 0, "j": 4, "k": 4}}, "index 'i' must have extent >= 1, got 0"),
        (
            {"ragged": (Ragged("i", "j", 100),)},
            "100 elements in blocks of 4 are 25 blocks, but index 'i' has extent 4",
        ),
        (
            {"windows": (Window("i", "j", 1, 1, 0, 4),)},
            r"an index of the output and one that is summed over, got \('i', 'j'\)",
        ),
        ({"windows": (Window("x", "k", 1, 1, 0, 4),)}, r"a window needs an index of the output .*'x', 'k'"),
        (
            {"windows": (Window("i", "k", 1, 1, 0, 4), Window("j", "k", 1, 1, 0, 4))},
            r"window \('j', 'k'\) is in another window",
        ),
        ({"windows": (Window("i", "k", 1, 0, 0, 4),)}, r"both indices of window \('i', 'k'\) must move it"),
    ],
)
def test_a_contraction_that_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matrix_product(4, 4, 4, **changes)
