"""Turning copies against NumPy's transpose, with guard zones and margins that hold NaN."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import ir

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.memory import Buffer
from pellucid.engines.native.nest import Nest
from pellucid.engines.native.transposition import Turn, emit_turn, turning
from pellucid.notation import Affine, Equation, Index, Tensor
from pellucid.notation.expression import Access
from tests.engines.native.programs import TARGETS, searching

GUARD = 21  # floats before and after every buffer
Floats = npt.NDArray[np.float32]
Margins = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Copy:
    """`target[the source's dimensions in this order] = source`, either inside a margin."""

    extents: tuple[int, ...]
    order: tuple[int, ...]
    margins: tuple[Margins, Margins] | None = None
    in_blocks: bool = False

    def nest(self) -> Nest:
        indices = [Index("Bijkl"[d], extent) for d, extent in enumerate(self.extents)]
        source = Tensor("S", self.extents, role="input")
        target = Tensor("T", tuple(self.extents[d] for d in self.order))
        none = ((0, 0),) * len(self.extents)
        around = self.margins or (none, none)
        buffers = {t: Buffer(t, m) for t, m in zip((source, target), around, strict=True)}
        at = [Affine.of(i) for i in indices]
        equation = Equation(target, tuple(at[d] for d in self.order), Access(source, tuple(at)))
        return Nest((equation,), (target,), buffers, indices[0] if self.in_blocks else None)


def turn_of(copy: Copy, lanes: int) -> Turn | None:
    return turning(copy.nest(), lanes)


def filled(buffer: Buffer, values: Floats) -> tuple[Floats, Floats]:
    """NaN with a tensor's elements inside: the whole, and the tensor's own part."""
    whole = np.full(buffer.elements + 2 * GUARD, np.nan, np.float32)
    inside = tuple(slice(low, low + e) for (low, _), e in zip(buffer.margins, buffer.tensor.extents, strict=True))
    part = whole[GUARD:-GUARD].reshape(buffer.extents)[inside]
    part[...] = values
    return whole, part


def check(copy: Copy, target: cpu.Target, shares: int = 1) -> bool:
    """Run the copy if it is a turning one; it writes the target's elements and touches nothing else."""
    nest = copy.nest()
    turn = turning(nest, target.lanes)
    if turn is None:
        return False
    module = ir.Module()
    count = emit_turn(module, "turn", nest, turn, target)
    code = codegen.Loaded([codegen.compile_object(str(module), target)], target)
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)(code.address("turn"))
    out, source = (nest.buffers[t] for t in nest.operands)
    values = np.random.default_rng(0).permutation(source.tensor.size).astype(np.float32)
    values = values.reshape(source.tensor.extents)
    given, _ = filled(source, values)
    got, _ = filled(out, np.full(out.tensor.extents, np.nan, np.float32))
    wanted, _ = filled(out, values.transpose(copy.order))
    before = given.copy()
    for share in reversed(range(shares)):
        ends = (count * share // shares, count * (share + 1) // shares)
        kernel(got.ctypes.data + 4 * GUARD, given.ctypes.data + 4 * GUARD, *ends)
    code.close()
    assert given.tobytes() == before.tobytes()
    assert got.tobytes() == wanted.tobytes(), copy
    return True


def margins(draw: st.DrawFn, rank: int) -> Margins:
    return tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))


@st.composite
def copies(draw: st.DrawFn) -> Copy:
    rank = draw(st.integers(2, 4))
    extents = tuple(draw(st.sampled_from((1, 2, 3, 5, 9, 16, 19, 33))) for _ in range(rank))
    order = tuple(draw(st.permutations(range(rank))))
    around = (margins(draw, rank), margins(draw, rank)) if draw(st.booleans()) else None
    return Copy(extents, order, around, draw(st.booleans()) and order[0] == 0)


@pytest.mark.parametrize("name", TARGETS)
def test_random_copies_turn_every_element_and_touch_nothing_else(name: str) -> None:
    target, turned = cpu.target(name), []

    @searching(80)
    @given(copies(), st.integers(1, 3))
    def run(copy: Copy, shares: int) -> None:
        turned.append(check(copy, target, shares))

    run()
    assert sum(turned) >= 10


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "copy",
    [
        Copy((3, 3, 20, 37), (3, 2, 0, 1)),
        Copy((3, 3, 37, 20), (2, 3, 0, 1)),
        Copy((5, 5, 3, 40), (3, 2, 0, 1)),
        Copy((1, 1, 33, 17), (3, 2, 0, 1)),
        Copy((3, 3, 20, 37), (3, 2, 0, 1), (((1, 1), (1, 2), (0, 0), (0, 3)), ((0, 0),) * 4)),
        Copy((2, 7, 7, 35), (0, 3, 1, 2)),
        Copy((2, 7, 7, 35), (0, 3, 1, 2), (((0, 0), (1, 1), (1, 1), (0, 0)), ((0, 0),) * 4)),
        Copy((2, 7, 7, 35), (0, 3, 1, 2), in_blocks=True),
    ],
)
def test_weights_and_images_turn(name: str, copy: Copy) -> None:
    assert check(copy, cpu.target(name), shares=2)


def test_short_indices_that_follow_each_other_make_one_run() -> None:
    turn = turn_of(Copy((3, 3, 20, 37), (3, 2, 0, 1)), 16)
    assert turn is not None
    assert turn.along_source.name == "k" and [i.name for i in turn.run] == ["j", "Bi"]
    assert (turn.along_target.name, turn.along_target.size) == ("j,Bi", 180)
    assert turn.others == () and turn.tasks(16) == 12
    assert turn.between is None


def test_rows_and_columns_are_read_as_one_where_no_margin_parts_them() -> None:
    """Of images of 14 by 14, vectors of 16 neighbours are read: 196 in a run instead of 14."""
    turn = turn_of(Copy((2, 64, 14, 14), (0, 2, 3, 1)), 16)
    assert turn is not None
    assert turn.along_source.size == 196 and [i.size for i in turn.run] == [64]


def test_a_run_that_is_even_on_both_sides_needs_no_parts() -> None:
    turn = turn_of(Copy((2, 7, 7, 35), (0, 3, 1, 2)), 16)
    assert turn is not None
    assert turn.along_target.size == 49 and turn.between == 35


@pytest.mark.parametrize(
    ("copy", "why"),
    [
        (Copy((4, 20, 30), (1, 0, 2)), "reads and writes run along the same index"),
        (Copy((3, 20), (1, 0)), "three elements do not make a vector"),
        (Copy((20, 3), (1, 0)), "three elements do not make a vector"),
        (Copy((40, 3, 40), (2, 0, 1), (((0, 0),) * 3, ((0, 0), (0, 0), (0, 1)))), "the target's margin ends the run"),
    ],
)
def test_other_copies_are_left_to_the_loop_nest(copy: Copy, why: str) -> None:
    assert turn_of(copy, 16) is None, why
