"""Lowering: kernels, their keys, their order, their barriers, their memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines.native import cpu
from pellucid.engines.native.driver import reads, writes
from pellucid.engines.native.generate import key_of, write
from pellucid.engines.native.memory import ALIGNMENT, ELEMENT
from pellucid.engines.native.nest import Nest
from pellucid.engines.native.plan import Compiled
from pellucid.engines.native.product import Product
from pellucid.errors import NotationError
from pellucid.notation import Index, Program, Tensor, maximum, sum_over
from tests.engines.native.networks import MODELS, training_step
from tests.engines.native.programs import DEPTH, TARGETS, Sheet, compiled, possible_layouts, searching, sheets

texts: dict[str, tuple[str, int]] = {}
"""Every kernel that these tests have seen: its key in the cache, its code and the number of its tasks."""


@searching(100)
@given(sheets(), st.data())
def test_kernels_with_one_key_have_one_code(sheet: Sheet, data: st.DataObject) -> None:
    """The key is made from a description; whatever the code depends on has to be in it."""
    every = list(dict.fromkeys(e.tensor for e in sheet.program))
    outputs = tuple(t for t in every if data.draw(st.booleans())) or sheet.program.outputs
    program = Program(sheet.program.equations, outputs)
    layout = data.draw(st.sampled_from(possible_layouts(program)))
    for kernel in compiled(program, layout=layout, target=TARGETS[0]).kernels:
        _remember(kernel)


@pytest.mark.parametrize("name", MODELS)
def test_kernels_of_models_with_one_key_have_one_code(name: str) -> None:
    """Batches of two and of three blocks differ in nothing else."""
    for size, layout in ((32, "batch"), (48, "batch"), (2, "channels"))[: 3 if DEPTH > 1 else 2]:
        program, _ = training_step(name, size)
        for kernel in compiled(program, layout=layout if layout in possible_layouts(program) else None).kernels:
            _remember(kernel)


def _remember(kernel: Nest | Product) -> None:
    target = cpu.target(TARGETS[0])
    text, count, _ = write(kernel, "kernel", target)
    known = texts.setdefault(key_of(kernel, target), (text, count))
    assert known == (text, count), f"another kernel has the key of\n{kernel.describe()}"


# ---- order, barriers, memory


@searching(60)
@given(sheets(), st.data())
def test_plans_hold_together(sheet: Sheet, data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(possible_layouts(sheet.program)))
    check_plan(compiled(sheet.program, layout=layout, target=data.draw(st.sampled_from(TARGETS))))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1, 5, 32])
def test_plans_of_training_steps_hold_together(name: str, size: int) -> None:
    program, _ = training_step(name, size)
    for layout in possible_layouts(program):
        check_plan(compiled(program, layout=layout))


def check_plan(plan: Compiled) -> None:
    """Everything computed once, from what is there; nothing overwritten that is still wanted."""
    computed = [id(e) for k in plan.kernels for e in k.equations]
    assert len(computed) == len(set(computed)) == len(plan.program.equations)
    stored: set[Tensor] = set(plan.program.given)
    lives: dict[Tensor, tuple[int, int]] = {}
    for kernel, group in zip(plan.kernels, plan.groups, strict=True):
        parts = {t for t in kernel.stored if len(plan.program.definition(t)) > 1}
        for tensor in reads(kernel, {}):
            assert tensor in stored, f"{tensor.name} is read before it is computed"
        for old in set(plan.alias.values()) & reads(kernel, {}):
            new = next(n for n, o in plan.alias.items() if o is old)
            assert new not in stored or new in kernel.stored, f"{old.name} is read after its update"
        stored |= set(kernel.stored) | parts
        for tensor in kernel.operands:
            lives[tensor] = (lives.get(tensor, (group, group))[0], group)
    assert {*plan.program.outputs, *(new for _, new in plan.program.updates)} <= stored
    check_arena(plan, lives)
    check_barriers(plan)


def check_arena(plan: Compiled, lives: dict[Tensor, tuple[int, int]]) -> None:
    placed = []
    for tensor, offset in plan.arena.offsets.items():
        end = offset + plan.buffers[tensor].elements * ELEMENT
        assert offset % ALIGNMENT == 0 and end <= plan.arena.size
        placed.append((offset, end, tensor))
    for k, (begin, end, tensor) in enumerate(placed):
        for other_begin, other_end, other in placed[:k]:
            if end > other_begin and other_end > begin:
                life, other_life = lives[tensor], lives[other]
                at_once = life[0] <= other_life[1] and other_life[0] <= life[1]
                assert not at_once and zeros(plan, tensor) == zeros(plan, other), f"{tensor.name} over {other.name}"
                assert begin == other_begin or zeros(plan, tensor) == set(), f"{tensor.name} beside {other.name}"


def zeros(plan: Compiled, tensor: Tensor) -> set[int]:
    """The places within a tensor's memory that no kernel writes: they must hold zeros for ever."""
    written = np.zeros(tensor.extents, bool)
    for equation in plan.program.definition(tensor):
        grid = np.meshgrid(*(np.arange(i.size) for i in equation.indices), indexing="ij")
        values = dict(zip(equation.indices, grid, strict=True))
        at = [a.constant + sum((c * values[i] for i, c in a.terms), np.zeros((), int)) for a in equation.at]
        written[tuple(at)] = True
    return set(np.flatnonzero(~np.pad(written, plan.buffers[tensor].margins)))


def check_barriers(plan: Compiled) -> None:
    """Kernels between two barriers share a tensor that one of them writes only block by block."""
    for group in range(plan.groups[-1] + 1):
        members = [k for k, g in zip(plan.kernels, plan.groups, strict=True) if g == group]
        for k, kernel in enumerate(members):
            for earlier in members[:k]:
                if kernel.block is not None and earlier.block is not None:
                    continue
                mine, theirs = writes(kernel, plan.alias), writes(earlier, plan.alias)
                assert not mine & theirs
                assert not mine & reads(earlier, plan.alias) and not theirs & reads(kernel, plan.alias)


# ---- what is fused


def test_what_is_computed_place_by_place_joins_its_sum() -> None:
    """A convolution, its bias, its ReLU and a mask: one kernel; a softmax behind it: others."""
    n, o, k = Index("n", 16), Index("o", 8), Index("k", 20)
    x, w, b = (
        Tensor("X", (16, 20), role="input"),
        Tensor("W", (8, 20), role="parameter"),
        Tensor("b", (8,), role="parameter"),
    )
    y, r, z = Tensor("Y"), Tensor("R"), Tensor("Z")
    y[n, o] = sum_over([k], x[n, k] * w[o, k]) + b[o]
    r[n, o] = maximum(y[n, o], 0)
    z[n, o] = r[n, o] * y[n, o]
    (kernel,) = compiled(Program.of([z]), layout="images").kernels
    assert isinstance(kernel, Product) and len(kernel.equations) == 3 and kernel.stored == (z,)
    (kernel,) = compiled(Program.of([z, y]), layout="images").kernels
    assert set(kernel.stored) == {y, z}


def test_a_chain_does_not_reach_over_what_it_waits_for() -> None:
    """Z reads S, a sum over all of Y: it cannot be computed with Y, place by place."""
    n, x = Index("n", 10), Tensor("X", (10,), role="input")
    y, s, z = Tensor("Y"), Tensor("S"), Tensor("Z")
    y[n] = x[n] * 2
    s[()] = sum_over([n], y[n])
    z[n] = y[n] - s[()]
    plan = compiled(Program.of([z]))
    assert [len(k.equations) for k in plan.kernels] == [1, 1, 1] and plan.groups == (0, 1, 2)


def test_sums_over_many_blocks_are_taken_block_by_block() -> None:
    program, _ = training_step("notes-cnn", 48)
    plan = compiled(program, layout="batch", target=TARGETS[0])
    names = [t.name for k in plan.kernels for t in k.stored]
    assert any(name.endswith("in parts") for name in names)
    assert sum(k.block is not None for k in plan.kernels) > len(plan.kernels) / 3


# ---- what cannot be compiled is refused


@pytest.mark.parametrize("form", ["swapped", "turned"])
def test_updates_that_need_the_old_values_elsewhere_are_refused(form: str) -> None:
    a, b = Tensor("a", (4,), role="state"), Tensor("b", (4,), role="state")
    i, new = Index("i", 4), Tensor("N")
    new[i] = a[i * -1 + 3] + b[i]
    updates = [(a, b), (b, a)] if form == "swapped" else [(a, new)]
    with pytest.raises(NotationError, match=r"read each other's new values|still read where its update already stands"):
        compiled(Program.of([], updates))


def test_indices_of_a_whole_step_stay_what_they_are() -> None:
    """Compiling twice gives the same plan: nothing is kept between compilations."""
    program, _ = training_step("branching", 5)
    plans = [compiled(program, layout="batch") for _ in range(2)]
    assert [k.describe() for k in plans[0].kernels] == [k.describe() for k in plans[1].kernels]
    assert plans[0].groups == plans[1].groups
    places = [[(t.name, offset) for t, offset in plan.arena.offsets.items()] for plan in plans]
    assert places[0] == places[1], "the step function would be another one, and not be found in the cache"
