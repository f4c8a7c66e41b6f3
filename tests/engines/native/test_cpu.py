"""Targets, caches and what is measured of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from llvmlite import ir

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.contraction import Access, Contraction
from pellucid.engines.native.kernel import emit_contraction
from pellucid.engines.native.schedule import choose
from pellucid.errors import ConfigError


def product(target: cpu.Target) -> str:
    """IR of a matrix product, scheduled for a target."""
    contraction = Contraction(
        {"i": 20, "j": 64, "k": 30},
        Access({"i": 64, "j": 1}),
        Access({"i": 30, "k": 1}),
        Access({"k": 64, "j": 1}),
    )
    module = ir.Module()
    sizes = cpu.Caches(32 << 10, 1 << 20, 8 << 20, "test")
    emit_contraction(module, "product", contraction, choose(contraction, target, sizes), target)
    return str(module)


def test_the_default_target_is_the_best_one_this_machine_runs() -> None:
    best = cpu.target()
    assert best.host
    runnable = [cpu.target(name) for name in cpu.names() if cpu.target(name).host]
    assert best.lanes == max(target.lanes for target in runnable)
    assert best.name in str(best)


def test_an_unknown_target_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match=r"unknown target 'mmx'; choose one of avx512, avx2, sse, aarch64"):
        cpu.target("mmx")


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("avx512", "vfmadd231ps\t"),
        ("avx2", "vfmadd231ps\t"),
        ("sse", "mulps\t"),
        ("aarch64", "fmla\t"),
    ],
)
def test_assembly_of_every_target_can_be_printed_anywhere(name: str, instruction: str) -> None:
    target = cpu.target(name)
    text = codegen.assembly(product(target), target)
    assert instruction in text
    registers = {"avx512": "%zmm", "avx2": "%ymm", "sse": "%xmm", "aarch64": ".4s"}[name]
    assert registers in text


def test_hot_loops_keep_their_accumulators_in_registers() -> None:
    """28 accumulators on 32 registers: no vector is stored to the stack."""
    target = cpu.target("avx512")
    lines = codegen.assembly(product(target), target).splitlines()
    spills = [line for line in lines if "%zmm" in line and "(%rsp)" in line and "vmovups" in line]
    assert not spills


def test_code_for_another_machine_is_not_loaded() -> None:
    foreign = next(cpu.target(name) for name in cpu.names() if not cpu.target(name).host)
    with pytest.raises(ValueError, match="cannot run on this machine; only its assembly"):
        codegen.Loaded([], foreign)


def test_a_missing_function_is_named() -> None:
    target = cpu.target()
    code = codegen.Loaded([codegen.compile_object(product(target), target)], target)
    assert code.address("product")
    with pytest.raises(KeyError, match="no function 'quotient'"):
        code.address("quotient")
    code.close()


def test_broken_ir_is_refused() -> None:
    with pytest.raises(RuntimeError, match="parsing error"):
        codegen.compile_object("define void @f() { ret i32 1 }", cpu.target())


def test_compiling_in_threads_gives_the_same_bytes() -> None:
    target = cpu.target()
    texts = [product(target).replace("product", f"product{k}") for k in range(4)]
    assert codegen.compile_objects(texts, target, workers=3) == codegen.compile_objects(texts, target)


def write_cache(folder: Path, number: int, level: str, kind: str, size: str) -> None:
    entry = folder / f"index{number}"
    entry.mkdir(parents=True)
    for name, text in (("level", level), ("type", kind), ("size", size)):
        (entry / name).write_text(text + "\n")


def test_cache_sizes_are_read_from_the_kernel(tmp_path: Path) -> None:
    write_cache(tmp_path, 0, "1", "Data", "48K")
    write_cache(tmp_path, 1, "1", "Instruction", "32K")
    write_cache(tmp_path, 2, "2", "Unified", "1024K")
    write_cache(tmp_path, 3, "3", "Unified", "32M")
    found = cpu.caches(tmp_path)
    assert (found.first, found.second, found.last) == (48 << 10, 1 << 20, 32 << 20)
    assert found.source == str(tmp_path)


def test_cache_sizes_fall_back_to_common_ones(tmp_path: Path) -> None:
    write_cache(tmp_path, 0, "1", "Data", "unknown")
    found = cpu.caches(tmp_path)
    assert found.first == 32 << 10
    assert "common sizes" in found.source


def test_wider_vectors_have_a_higher_peak() -> None:
    runnable = [cpu.target(name) for name in ("avx2", "sse") if cpu.target(name).host]
    rates = [cpu.peak_flops(target) for target in runnable]
    assert all(rate > 1e9 for rate in rates)
    assert rates == sorted(rates, reverse=True)
