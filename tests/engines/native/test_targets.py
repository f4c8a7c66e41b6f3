"""Instruction sets: each one's own instructions and no others, for whole programs; machines that are not this one."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.driver import Call, emit_driver
from pellucid.engines.native.executable import NativeEngine, ready
from pellucid.engines.native.generate import write
from pellucid.engines.native.image import alone
from pellucid.engines.native.plan import external, prepare, slots_of
from pellucid.engines.native.threads import team_code
from pellucid.errors import ConfigError
from tests.engines.native.networks import MODELS, train, training_step
from tests.engines.native.programs import (
    DEPTH,
    STORE,
    TARGETS,
    Sheet,
    assert_close,
    assert_same,
    compiled,
    native,
    possible_layouts,
    run_native,
    searching,
    sheets,
    single,
    thrown,
)


def texts(name: str, size: int, layout: str, target: str) -> list[str]:
    """The IR of every piece of a model's training step."""
    program, _ = training_step(name, size)
    plan = compiled(program, layout=layout if layout in possible_layouts(program) else None, target=target, threads=2)
    kernels = {k.describe(): (k, write(k, f"k{n}", plan.target)) for n, k in enumerate(plan.kernels)}
    calls = [Call(k, f"k{n}", 1) for n, k in enumerate(plan.kernels)]
    driver = emit_driver(calls, plan.groups, slots_of(plan, external(plan)), plan.target, together=True)
    return [*(text for _, (text, _, _) in kernels.values()), driver, team_code(plan.target), alone(plan.target)]


def assembly(name: str, size: int, layout: str, target: str) -> str:
    chosen = cpu.target(target)
    return "\n".join(codegen.assembly(text, chosen) for text in texts(name, size, layout, target))


REGISTERS = {"sse": "xmm", "avx2": "ymm", "avx512": "zmm"}


@pytest.mark.skipif(cpu.machine() != "x86_64", reason="reads x86 assembly")
@pytest.mark.parametrize("target", REGISTERS)
@pytest.mark.parametrize(("name", "layout"), [("branching", "batch"), ("wide", "channels")])
def test_no_instruction_of_a_larger_set(name: str, layout: str, target: str) -> None:
    """Code for SSE must run on a CPU without AVX, code for AVX2 on one without AVX-512."""
    code = assembly(name, 5, layout, target)
    assert f"%{REGISTERS[target]}" in code
    larger = list(REGISTERS.values())[list(REGISTERS).index(target) + 1 :]
    assert not re.findall(rf"%({'|'.join(larger)})\d", code) if larger else "%zmm16" in code or "%zmm0" in code
    fused = re.findall(r"\bvfmadd", code)
    assert (not fused and not re.findall(r"^\s+v[a-z]", code, re.MULTILINE)) if target == "sse" else fused
    if target == "avx2":
        assert not re.findall(r"%k[0-7]|%[xy]mm(?:1[6-9]|2\d|3[01])", code)


@pytest.mark.parametrize("layout", ["batch", "channels"])
def test_whole_programs_for_aarch64(layout: str) -> None:
    """Emitted here as assembly: vectors of four, fused multiply-adds, the futex call, its own denormal mode."""
    code = assembly("branching", 5, layout, "aarch64").lower()
    assert re.search(r"fmla\s+v\d+\.4s", code) and "fpcr" in code and "syscall" in code
    assert "xmm" not in code


@pytest.mark.skipif(cpu.machine() == "aarch64", reason="is at home here")
def test_a_foreign_target_is_refused_before_anything_is_compiled() -> None:
    program, _ = training_step("branching", 2)
    with pytest.raises(ConfigError, match=r"aarch64.*cannot run on this machine"):
        NativeEngine(target="aarch64").compile(program)


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown target 'mmx'; choose one of avx512, avx2, sse, aarch64"):
        NativeEngine(target="mmx")


def test_the_best_target_of_this_machine_is_used() -> None:
    assert NativeEngine().target.name == TARGETS[0]
    assert [NativeEngine(target=name).target.name for name in TARGETS] == TARGETS
    assert NativeEngine().target.cpu != cpu.target(TARGETS[0]).cpu  # this very CPU, not the generic one


@searching(12)
@given(sheets(moves=4), st.sampled_from((2, 4, 8, 16)), st.data())
def test_nothing_assumes_a_number_of_lanes(sheet: Sheet, lanes: int, data: st.DataObject) -> None:
    """Vectors shorter or longer than the machine's registers: LLVM splits them, the result stays right."""
    chosen = replace(cpu.target(TARGETS[-1]), lanes=lanes)
    layout = data.draw(st.sampled_from(possible_layouts(sheet.program)))
    executable = ready(replace(prepare(sheet.program, chosen, 1, layout), threads=1), STORE)
    got = dict(executable.run(single(sheet.arrays)))
    executable.close()
    assert_close(sheet.program, got, sheet.arrays, f"{lanes} lanes, {layout}")


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_bits_from_run_to_run(target: str) -> None:
    """Compiled twice, run twice, in every layout."""
    for seed in range(2 * DEPTH):
        sheet = thrown(100 + seed)
        for layout in possible_layouts(sheet.program):
            first = run_native(sheet.program, sheet.arrays, layout=layout, target=target)
            assert_same(run_native(sheet.program, sheet.arrays, layout=layout, target=target), first, layout)


@pytest.mark.parametrize("name", ["notes-cnn", "wide"])
def test_the_report_tells_of_every_kernel(name: str) -> None:
    """Each with its tasks and a time; afterwards the executable still gives the same."""
    program, arrays = training_step(name, 5)
    wanted, _ = train(native(program), arrays, 1)
    executable = native(program)
    rows = executable.report(repeats=2)
    assert [kernel for kernel, _, _ in rows] == list(executable.compiled.kernels)
    assert all(tasks >= 1 and seconds > 0 for _, tasks, seconds in rows)
    assert executable.compiled.layout in ("images", "batch", "channels") and executable.compiled.why
    got, _ = train(executable, arrays, 1)
    assert_same(got[0], wanted[0], "after the report")
    assert name in MODELS
