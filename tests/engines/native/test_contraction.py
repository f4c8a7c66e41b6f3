"""The contraction generator against sums written out in float64, with guard zones around every buffer."""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llvmlite import ir

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.contraction import Access, Contraction, Loop, Ragged, Schedule, tasks
from pellucid.engines.native.kernel import Epilogue, emit_contraction

TARGETS = [name for name in ("avx512", "avx2", "sse", "aarch64") if cpu.target(name).host]
GUARD = 37  # floats before and after every buffer
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    contraction: Contraction
    schedule: Schedule


def points(contraction: Contraction) -> list[dict[str, int]]:
    """Every index combination that exists, by definition."""
    names = list(contraction.extents)
    found = []
    for values in itertools.product(*(range(n) for n in contraction.extents.values())):
        point = dict(zip(names, values, strict=True))
        if all(
            point[p.block] * contraction.extents[p.inner] + point[p.inner] < p.extent
            for p in contraction.ragged
        ):
            found.append(point)
    return found


def addresses(contraction: Contraction, access: Access) -> npt.NDArray[np.int64]:
    return np.array([access.offset + access.at(point) for point in points(contraction)], np.int64)


def run(
    case: Case,
    target: cpu.Target,
    seed: int = 0,
    *,
    integers: bool = True,
    shares: int = 1,
    epilogue: Epilogue | None = None,
    extras: dict[str, Floats] | None = None,
) -> tuple[Floats, npt.NDArray[np.float64], dict[str, Floats]]:
    """Run a kernel; returns (elements of out, expected sums in float64, all buffers).

    Elements that do not belong to the equation are NaN in every buffer: reading one poisons the result,
    writing one is found by comparing the bits.
    """
    contraction, random = case.contraction, np.random.default_rng(seed)
    extras = extras or {}
    module = ir.Module()
    emit_contraction(
        module, "kernel", contraction, case.schedule, target, epilogue=epilogue, extras=tuple(extras)
    )
    code = codegen.Loaded([codegen.compile_object(str(module), target)], target)
    buffers, pointers = {}, []
    for name, access in contraction.operands.items():
        where = addresses(contraction, access)
        low = int(where.min())
        buffer = np.full(int(where.max()) - low + 1 + 2 * GUARD, np.nan, np.float32)
        values = random.integers(-4, 5, buffer.size) if integers else random.standard_normal(buffer.size)
        inside = where - low + GUARD
        buffer[inside] = values[inside]
        buffers[name] = buffer
        pointers.append(buffer.ctypes.data + 4 * (GUARD - low))
    before = {name: buffer.copy() for name, buffer in buffers.items()}
    expected = reference(contraction, before)
    kind = ctypes.CFUNCTYPE(
        None, *[ctypes.c_void_p] * (len(pointers) + len(extras)), ctypes.c_int64, ctypes.c_int64
    )
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
    np.add.at(expected, inside["out"], wide["a"][inside["a"]] * wide["b"][inside["b"]])
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
    accesses = {
        name: dense_strides(draw, indices, extents) for name, indices in used.items() if name != "initial"
    }
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
    parallel = next(
        (k for k, loop in enumerate(loops[:parallel]) if loop.index in contraction.reduction), parallel
    )
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

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(cases(target.lanes), st.integers(1, 3))
    def check(case: Case, shares: int) -> None:
        found, expected, _ = run(case, target, shares=shares)
        np.testing.assert_array_equal(found, expected)

    check()
