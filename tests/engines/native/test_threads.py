"""The team of threads: barriers hold, sleepers wake, nothing is left behind."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from functools import cache

import numpy as np
import pytest
from llvmlite import ir

from pellucid.engines.native import codegen, cpu
from pellucid.engines.native.emit import FLOAT, I64, Emitter
from pellucid.engines.native.threads import JOB, Team, emit_barrier, share, tasks_in_turn, team_code

TASKS = 1000


@cache
def code() -> codegen.Loaded:
    """Three jobs. Their argument is an array of int64 (or float32, for `halve`)."""
    target, module = cpu.target(), ir.Module()
    _emit_relay(module, target)
    _emit_turns(module, target)
    _emit_halve(module, target)
    return codegen.Loaded([codegen.compile_object(str(module), target)], target)


def _emit_relay(module: ir.Module, target: cpu.Target) -> None:
    """Rounds: every thread adds to its own cell what its neighbour had before the last barrier.

    argument[0] is the number of rounds; cells follow, 16 apart. Wrong as soon as one thread overtakes
    another.
    """
    barrier = emit_barrier(module, target)
    emitter = Emitter(module, "relay", JOB.args, target)
    build, (team, argument, thread, threads) = emitter.builder, emitter.arguments

    def cell(number: ir.Value) -> ir.Value:
        return emitter.advance(argument, build.mul(build.add(number, ir.Constant(I64, 1)), ir.Constant(I64, 16)), I64)

    neighbour = build.urem(build.add(thread, ir.Constant(I64, 1)), threads)
    with emitter.loop(0, build.load(argument, typ=I64)):
        seen = build.load(cell(neighbour), typ=I64)
        build.call(barrier, [team])
        build.store(build.add(seen, ir.Constant(I64, 1)), cell(thread))
        build.call(barrier, [team])
    emitter.finish()


def _emit_turns(module: ir.Module, target: cpu.Target) -> None:
    """Count how often each task is done: argument[0] is the counter; two arrays of TASKS counts follow."""
    barrier = emit_barrier(module, target)
    emitter = Emitter(module, "turns", JOB.args, target)
    build, (team, argument, thread, threads) = emitter.builder, emitter.arguments

    def count(first: int, begin: ir.Value, end: ir.Value) -> None:
        with emitter.loop(begin, end) as task:
            place = emitter.advance(argument, emitter.add(task, first), I64)
            build.store(build.add(build.load(place, typ=I64), ir.Constant(I64, 1)), place)

    count(1, *share(emitter, TASKS, thread, threads))
    build.call(barrier, [team])
    with tasks_in_turn(emitter, argument, TASKS, grain=7) as (begin, end):
        count(1 + TASKS, begin, end)
    emitter.finish()


def _emit_halve(module: ir.Module, target: cpu.Target) -> None:
    """argument[thread] *= 0.5"""
    emitter = Emitter(module, "halve", JOB.args, target)
    _, argument, thread, _ = emitter.arguments
    place = emitter.advance(argument, thread, FLOAT)
    emitter.store_scalar(emitter.builder.fmul(emitter.load_scalar(place), ir.Constant(FLOAT, 0.5)), place)
    emitter.finish()


def relay(team: Team, rounds: int) -> list[int]:
    cells = np.zeros(16 * (team.threads + 1), np.int64)
    cells[0] = rounds
    team.run(code().address("relay"), cells.ctypes.data)
    return [int(value) for value in cells[16::16]]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_no_thread_overtakes_another_at_a_barrier(threads: int) -> None:
    with Team(threads, cpu.target()) as team:
        for rounds in (0, 1, 200):
            assert relay(team, rounds) == [rounds] * threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_is_done_once(threads: int) -> None:
    counts = np.zeros(1 + 2 * TASKS, np.int64)
    with Team(threads, cpu.target()) as team:
        team.run(code().address("turns"), counts.ctypes.data)
    assert (counts[1:] == 1).all()


def test_sleeping_workers_wake_up() -> None:
    with Team(2, cpu.target()) as team:
        relay(team, 1)
        for _ in range(5):
            time.sleep(0.01)  # far longer than they spin
            assert relay(team, 3) == [3, 3]


def test_sleeping_workers_use_no_processor_time() -> None:
    with Team(3, cpu.target()) as team:
        relay(team, 1)
        time.sleep(0.05)
        before = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - before < 0.1


def test_denormals_are_flushed_in_all_threads_and_kept_outside() -> None:
    tiny = np.full(2, np.finfo(np.float32).tiny, np.float32)
    with Team(2, cpu.target()) as team:
        team.run(code().address("halve"), tiny.ctypes.data)
    assert tiny.tolist() == [0.0, 0.0]
    outside = np.full(1, np.finfo(np.float32).tiny, np.float32) * np.float32(0.5)
    assert outside[0] > 0


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pellucid-")]


def test_close_ends_the_workers_and_the_team() -> None:
    team = Team(3, cpu.target())
    assert names() == []  # they start with the first step
    relay(team, 1)
    assert sorted(names()) == ["pellucid-1", "pellucid-2"]
    team.close()
    team.close()
    assert names() == []
    with pytest.raises(RuntimeError, match="this team of threads is closed"):
        relay(team, 1)


def test_a_forgotten_team_leaves_no_threads() -> None:
    for _ in range(20):
        relay(Team(3, cpu.target(), loaded_team()), 1)
    gc.collect()
    assert names() == []


@cache
def loaded_team() -> codegen.Loaded:
    target = cpu.target()
    return codegen.Loaded([codegen.compile_object(team_code(target), target)], target)


def test_many_teams_leave_no_threads_and_no_memory() -> None:
    def used() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("needs /proc")
    for _ in range(20):
        with Team(2, cpu.target(), loaded_team()) as team:
            relay(team, 1)
    before = used()
    for _ in range(200):
        with Team(2, cpu.target(), loaded_team()) as team:
            relay(team, 1)
    assert names() == []
    assert used() - before < 4 << 20


def test_two_teams_and_callers_in_several_threads() -> None:
    found: list[list[int]] = []
    with Team(2, cpu.target()) as first, Team(3, cpu.target()) as second:

        def call(team: Team) -> None:
            for _ in range(10):
                found.append(relay(team, 20))

        callers = [threading.Thread(target=call, args=(team,)) for team in (first, second, first)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert sorted(found) == [[20, 20]] * 20 + [[20, 20, 20]] * 10


def _in_child(team: Team, results: multiprocessing.connection.Connection) -> None:
    results.send(relay(team, 10))
    team.close()
    results.send(len(names()))
    results.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_workers_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    with Team(2, cpu.target()) as team:
        assert relay(team, 10) == [10, 10]
        ours, theirs = context.Pipe()
        child = context.Process(target=_in_child, args=(team, theirs))
        child.start()
        assert ours.poll(20)
        assert ours.recv() == [10, 10]
        assert ours.recv() == 0
        child.join(20)
        assert child.exitcode == 0
        assert relay(team, 10) == [10, 10]


ENDING = """
import sys, threading, time
sys.path[:0] = {path!r}
from tests.engines.native.test_threads import relay
from pellucid.engines.native import cpu
from pellucid.engines.native.threads import Team
team = Team(3, cpu.target())
def work():
    while True:
        relay(team, 50)
if sys.argv[1] == "daemon":
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.2)
else:
    relay(team, 1)
print("done", flush=True)
"""


@pytest.mark.parametrize("caller", ["main", "daemon"])
def test_python_ends_while_a_team_is_open(caller: str) -> None:
    program = ENDING.format(path=sys.path)
    ended = subprocess.run(
        [sys.executable, "-c", program, caller], capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "done"), ended.stderr


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        Team(0, cpu.target())


def test_the_team_compiles_for_other_machines() -> None:
    for name in ("aarch64", "avx2"):
        target = cpu.target(name)
        text = codegen.assembly(team_code(target), target)
        assert "launch" in text
    assert ctypes.sizeof(ctypes.c_void_p) == 8
