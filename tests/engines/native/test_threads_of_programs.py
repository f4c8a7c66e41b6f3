"""Whole programs on several threads: the same bits for every number of threads, in whatever order they get on."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines.native import codegen
from pellucid.engines.native.driver import JOB_NAME, emit_driver
from pellucid.engines.native.executable import NativeEngine, NativeExecutable, ready
from pellucid.engines.native.generate import generate
from pellucid.engines.native.layout import LAYOUTS
from pellucid.engines.native.plan import ALONE, external, prepare, slots_of
from pellucid.errors import UsageError
from pellucid.notation import Index, Program, Tensor, exp, max_over
from tests.engines.native.networks import MODELS, train, training_step
from tests.engines.native.programs import (
    DEPTH,
    STORE,
    TARGETS,
    Array,
    Arrays,
    Sheet,
    assert_same,
    compiled,
    native,
    possible_layouts,
    run_native,
    searching,
    sheets,
    single,
)


@searching(40)
@given(sheets(), st.data())
def test_random_programs_give_the_same_bits_on_any_number_of_threads(sheet: Sheet, data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(possible_layouts(sheet.program)))
    target = data.draw(st.sampled_from(TARGETS))
    first = run_native(sheet.program, sheet.arrays, layout=layout, target=target)
    for threads in (2, 4):
        executable = native(sheet.program, layout=layout, target=target, threads=threads)
        for _ in range(3):
            assert_same(executable.run(single(sheet.arrays)), first, f"{layout}, {target}, {threads} threads")
        executable.close()


@pytest.mark.parametrize("name", MODELS)
def test_training_gives_the_same_bits_on_any_number_of_threads(name: str) -> None:
    """Three steps of every model: losses, outputs, parameters, momenta; and once more with the same threads."""
    for layout in LAYOUTS if DEPTH > 1 else LAYOUTS[1 + list(MODELS).index(name) % 2 :][:1]:
        program, arrays = training_step(name, 33)
        chosen = layout if layout in possible_layouts(program) else "images"
        runs = [train(native(program, layout=chosen, threads=threads), arrays, 3) for threads in (1, 2, 4, 4)]
        for outputs, after in runs[1:]:
            assert_same(after, runs[0][1], f"{chosen}: after three steps")
            for step, (mine, first) in enumerate(zip(outputs, runs[0][0], strict=True)):
                assert_same(mine, first, f"{chosen}: step {step}")


# ---- threads that are late


class Slowly:
    """A program whose threads run one after the other between barriers, in an order of one's choice.

    Each group of kernels gets a driver of its own, from the same generator, that is called for one thread at a time.
    What one thread of a group needs or overwrites of another's then shows in the result, every time.
    """

    def __init__(self, executable: NativeExecutable) -> None:
        self.executable, plan = executable, executable.compiled
        slots = slots_of(plan, external(plan))
        objects = list({c.name: c.data for c in generate(plan.kernels, plan.target, STORE)[0]}.values())
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self.groups, self.code = [], []
        for group in range(plan.groups[-1] + 1):
            calls = [c for c, g in zip(executable._calls, plan.groups, strict=True) if g == group]
            driver = emit_driver(calls, [0] * len(calls), slots, plan.target, together=False)
            self.code.append(codegen.Loaded([codegen.compile_object(driver, plan.target), *objects], plan.target))
            self.groups.append(kind(self.code[-1].address(JOB_NAME)))

    def run(self, arrays: Mapping[str, Array], threads: int, order: tuple[int, ...]) -> Arrays:
        """The outputs, and the states afterwards."""

        def step(table: int) -> None:
            for group in self.groups:
                for thread in order:
                    group(None, table, thread, threads)

        self.executable._call = step  # in place of the function that does all groups for one thread
        given_now = single(arrays)
        results = dict(self.executable.run(given_now))
        return results | {old.name: given_now[old.name] for old, _ in self.executable.compiled.program.updates}


def check_orders(program: Program, arrays: Mapping[str, Array], layout: str, target: str | None = None) -> None:
    executable = native(program, layout=layout, target=target)
    slowly = Slowly(executable)
    wanted = slowly.run(arrays, 1, (0,))
    for threads in (2, 3, 4):
        for order in (tuple(range(threads)), tuple(reversed(range(threads))), (1, *range(2, threads), 0)):
            assert_same(slowly.run(arrays, threads, order), wanted, f"{layout}: {threads} threads, order {order}")
    executable.close()


@searching(35)
@given(sheets(moves=6), st.data())
def test_no_thread_needs_what_a_later_one_computes_before_the_next_barrier(sheet: Sheet, data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(possible_layouts(sheet.program)))
    check_orders(sheet.program, sheet.arrays, layout, data.draw(st.sampled_from(TARGETS)))


@pytest.mark.parametrize(("name", "size"), [("notes-cnn", 80), ("branching", 69), ("dropout", 33), ("wide", 21)])
def test_no_thread_of_a_training_step_overtakes_another(name: str, size: int) -> None:
    program, arrays = training_step(name, size)
    layouts = possible_layouts(program)
    for layout in layouts if DEPTH > 1 else layouts[1:2] or layouts:
        check_orders(program, arrays, layout, TARGETS[-1])


def test_a_missing_barrier_would_be_noticed() -> None:
    """Y is a sum over rows that other threads compute."""
    n, m, k = Index("n", 64), Index("m", 64), Index("k", 64)
    x, s, y = Tensor("X", (64, 64), role="input"), Tensor("S"), Tensor("Y")
    s[n, k] = exp(x[n, k * -1 + 63])  # turned round, so that rows stay apart and are shared out
    y[m] = max_over([n], s[n, m])
    plan = compiled(Program.of([y]))
    assert plan.groups == (0, 1)
    arrays = {"X": np.random.default_rng(0).normal(size=(64, 64))}
    orders = [Slowly(ready(replace(plan, groups=groups), STORE)) for groups in ((0, 1), (0, 0))]
    right, wrong = (slowly.run(arrays, 2, (1, 0))["Y"] for slowly in orders)
    assert not np.array_equal(right, wrong)


# ---- how many threads


def large() -> tuple[Program, Arrays]:
    """A program that is worth several threads."""
    count = ALONE
    i, x, y = Index("i", count), Tensor("X", (count,), role="input"), Tensor("Y")
    y[i] = x[i] * x[i] + 1
    return Program.of([y]), {"X": np.arange(count, dtype=np.float64) % 1000}


def test_small_programs_run_on_the_calling_thread_alone() -> None:
    i, x, y = Index("i", 8), Tensor("X", (8,), role="input"), Tensor("Y")
    y[i] = x[i] + 1
    assert prepare(Program.of([y]), NativeEngine().target, 4).threads == 1
    assert prepare(large()[0], NativeEngine().target, 4).threads == 4


def test_the_number_of_threads_is_an_argument_or_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    program, engine = large()[0], NativeEngine()
    monkeypatch.setenv("PELLUCID_THREADS", "3")
    assert prepare(program, engine.target).threads == 3
    assert prepare(program, engine.target, 2).threads == 2
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("PELLUCID_THREADS", wrong)
        with pytest.raises(UsageError, match=f"PELLUCID_THREADS must be a positive whole number; it is '{wrong}'"):
            prepare(program, engine.target)
    monkeypatch.delenv("PELLUCID_THREADS")
    assert prepare(program, engine.target).threads >= 1


def test_more_threads_than_there_is_work_for() -> None:
    i, x, y = Index("i", 3), Tensor("X", (3,), role="input"), Tensor("Y")
    y[i] = x[i] + 1
    got = run_native(Program.of([y]), {"X": np.arange(3.0)}, threads=8)
    assert got["Y"].tolist() == [1, 2, 3]


# ---- several callers


def test_two_executables_of_different_threads_at_once() -> None:
    """Each Python thread its own executable: nothing is shared between them."""
    program, arrays = training_step("branching", 16)
    wanted, after = train(native(program, layout="batch"), arrays, 10)
    found: list[tuple[list[Arrays], Arrays]] = []

    def work(threads: int) -> None:
        found.append(train(native(program, layout="batch", threads=threads), arrays, 10))

    workers = [threading.Thread(target=work, args=(count,)) for count in (1, 2, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 3
    for outputs, moved in found:
        assert_same(moved, after, "states")
        assert_same(outputs[-1], wanted[-1], "outputs")


@pytest.mark.parametrize("threads", [1, 2])
def test_callers_of_one_executable_take_turns(threads: int) -> None:
    """The arena is there once; two Python threads that call at once get each their own result."""
    program, arrays = large()
    executable = native(program, threads=threads)
    wrong: list[int] = []

    def work(number: int) -> None:
        mine = {"X": np.full(ALONE, number, np.float32)}
        for _ in range(10):
            if not (executable.run(mine)["Y"] == number**2 + 1).all():
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    executable.close()
    assert not wrong and arrays["X"].size == ALONE
