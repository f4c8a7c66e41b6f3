"""From compilation to the end: nothing left behind, nothing shared that should not be, interruptions in between."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

import pellucid as pc
from pellucid.engines.native import codegen
from pellucid.engines.native.cache import ObjectCache
from pellucid.engines.native.executable import NativeExecutable, ready
from pellucid.errors import UsageError
from pellucid.notation import Index, Program, Tensor
from tests.engines.native.networks import train, training_step
from tests.engines.native.programs import (
    DEPTH,
    STORE,
    Arrays,
    Sheet,
    assert_same,
    compiled,
    native,
    possible_layouts,
    run_native,
    single,
    thrown,
)

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def workers() -> list[str]:
    """The threads of teams and of compilations that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pellucid")]


def counting(size: int) -> tuple[Program, Arrays]:
    """A state that grows by one in every step, and large enough to be interrupted in one."""
    i, s, new = Index("i", size), Tensor("s", (size,), role="state"), Tensor("s'")
    new[i] = s[i] + 1
    return Program.of([], [(s, new)]), {"s": np.zeros(size, np.float32)}


# ---- closing


@pytest.mark.parametrize("threads", [1, 3])
def test_a_closed_executable_refuses_to_run(threads: int) -> None:
    program, arrays = counting(100)
    executable = native(program, threads=threads)
    executable.run(arrays)
    assert len(workers()) == threads - 1
    executable.close()
    executable.close()
    assert workers() == []
    for use in (lambda: executable.run(arrays), executable.report):
        with pytest.raises(UsageError, match="this executable is closed"):
            use()
    assert (arrays["s"] == 1).all()


def test_a_result_is_the_caller_s_as_long_as_it_is_there() -> None:
    """A view keeps it, too; the memory of one that was dropped serves the next."""
    k, x, y = Index("k", 1000), Tensor("X", (1000,), role="input"), Tensor("Y")
    y[k] = x[k] * 2
    executable = native(Program.of([y]))
    ones = np.ones(1000, np.float32)
    first = executable.run({"X": ones})["Y"]
    part = executable.run({"X": 2 * ones})["Y"][10:20]
    third = executable.run({"X": 3 * ones})["Y"]
    assert (first == 2).all() and (part == 4).all() and (third == 6).all()
    place = third.ctypes.data
    del third
    assert executable.run({"X": ones})["Y"].ctypes.data == place
    executable.close()


def test_closing_gives_back_memory() -> None:
    """The arena and the caller's arrays go at once, although the executable itself is still known."""
    program, arrays = training_step("notes-cnn", 64)
    executable = native(program)
    executable.run(single(arrays))
    memory = weakref.ref(executable._memory)
    executable.close()
    gc.collect()
    assert memory() is None


def test_an_executable_that_is_forgotten_leaves_no_threads() -> None:
    for _ in range(10):
        program, arrays = counting(100)
        native(program, threads=3).run(arrays)
    gc.collect()
    assert workers() == []


CIRCLE = """
import gc
from tests.engines.native.programs import native, single, thrown
class Holder: pass
for seed in range(12):
    sheet, holder = thrown(seed), Holder()
    holder.executable, holder.itself = native(sheet.program, threads=1 + seed % 3), holder
    holder.executable.run(single(sheet.arrays))
    del holder
    gc.collect()
print("done")
"""


def test_an_executable_in_a_reference_cycle_is_collected_in_an_orderly_way() -> None:
    """As when an exception's frames hold it: Python then drops its parts in any order."""
    run = subprocess.run([sys.executable, "-c", CIRCLE], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0 and run.stdout.strip() == "done", run.stderr[-2000:]


def test_an_unused_executable_has_no_threads() -> None:
    executable = native(counting(100)[0], threads=4)
    assert workers() == []
    executable.close()


def test_results_outlive_their_executable() -> None:
    sheet = thrown(3)
    executable = native(sheet.program)
    got = dict(executable.run(single(sheet.arrays)))
    copies = {name: array.copy() for name, array in got.items()}
    executable.close()
    del executable
    gc.collect()
    np.zeros(1 << 20).sum()
    assert_same(got, copies, "after closing")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_kernel_by_itself_leaves_results_alone_and_ends_with_its_executable(threads: int) -> None:
    sheet = thrown(3)
    executable = native(sheet.program, threads=threads)
    got = executable.run(single(sheet.arrays))
    copies = {name: array.copy() for name, array in got.items()}
    kernels = [executable.kernel(number) for number in range(len(executable.compiled.kernels))]
    for array in got.values():
        array[...] = 7  # what the caller was given is the caller's
    for run in kernels:
        run()
    assert all((array == 7).all() for array in got.values())
    assert_same(executable.run(single(sheet.arrays)), copies, "after kernels ran by themselves")
    executable.close()
    for run in kernels:
        with pytest.raises(UsageError, match="closed"):
            run()


def test_a_training_step_of_the_library_closes_what_it_compiled() -> None:
    """Batches of two sizes make two executables; close ends both, a later call compiles anew."""
    model = pc.models.create("notes-cnn").init(seed=0)
    step = pc.compile_training(model, 4, (1, 28, 28), engine="native", threads=2)
    x, y = np.zeros((4, 1, 28, 28), np.float32), np.zeros(4, np.int64)
    losses = [step(x, y), step(x[:3], y[:3])]
    step.close()
    assert workers() == [] and np.isfinite(losses).all()


# ---- many cycles


def cycles(count: int) -> None:
    """Compile, run and close programs of many kinds; print what has grown. Runs in a process of its own."""
    start = {}
    for k in range(count):
        sheet = thrown(k, 3)
        executable = native(sheet.program, threads=1 + k % 2)
        executable.run(single(sheet.arrays))
        executable.close()
        if k == count * 3 // 10:
            start = usage()
    end = usage()
    print(*(f"{name} {start[name]} {end[name]}" for name in start), sep="\n")


def usage() -> dict[str, int]:
    """Bytes of memory, open files, threads."""
    gc.collect()
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return {"memory": memory, "files": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()}


@linux
def test_many_programs_leak_no_threads_files_or_memory() -> None:
    """More than a thousand with PELLUCID_TEST_DEPTH=20; memory is compared after the first three tenths."""
    command = f"from tests.engines.native.test_lifecycle import cycles; cycles({60 * DEPTH})"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    found = {name: (int(a), int(b)) for name, a, b in map(str.split, run.stdout.splitlines())}
    assert found["files"][0] == found["files"][1] and found["threads"] == (1, 1)
    assert found["memory"][1] < 1.05 * found["memory"][0]


# ---- two at once, forks, daemons


def test_two_executables_take_turns() -> None:
    """Steps of one between steps of the other change nothing: each has its own arena."""
    sheets = [thrown(1), thrown(2)]
    wanted = [run_native(s.program, s.arrays) for s in sheets]
    executables = [native(s.program, threads=1 + k) for k, s in enumerate(sheets)]
    for _ in range(3):
        for executable, sheet, right in zip(executables, sheets, wanted, strict=True):
            assert_same(executable.run(single(sheet.arrays)), right, "in turns")
    for executable in executables:
        executable.close()


def _child(executable: NativeExecutable, sheet: Sheet, results: Connection) -> None:
    results.send(dict(executable.run(single(sheet.arrays))))
    executable.close()
    results.send(workers())
    results.close()


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_runs_and_closes_its_own(threads: int) -> None:
    context = multiprocessing.get_context("fork")
    sheet = thrown(4)
    executable = native(sheet.program, threads=threads)
    wanted = dict(executable.run(single(sheet.arrays)))
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(executable, sheet, theirs))
    child.start()
    assert ours.poll(30), "the child hangs"
    assert_same(ours.recv(), wanted, "in the child")
    assert ours.poll(30) and ours.recv() == []
    child.join(30)
    assert child.exitcode == 0
    assert_same(executable.run(single(sheet.arrays)), wanted, "in the parent afterwards")
    executable.close()


ENDING = """
import sys, threading
import numpy as np
from tests.engines.native.test_lifecycle import counting
from tests.engines.native.programs import native
program, arrays = counting(100_000)
executable = native(program, threads=3)
def work():
    while True:
        executable.run(arrays)
if sys.argv[1] == "daemon":
    threading.Thread(target=work, daemon=True).start()
executable.run(arrays)
print("done")
"""


@pytest.mark.parametrize("how", ["plain", "daemon"])
def test_python_ends_although_nothing_was_closed(how: str) -> None:
    """Also while a daemon thread is in the middle of steps."""
    command = [sys.executable, "-c", ENDING, how]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0 and run.stdout.strip() == "done", run.stderr[-2000:]


# ---- interruptions


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interruption_is_honoured_after_the_step(request: pytest.FixtureRequest, threads: int) -> None:
    """The state has grown by whole steps everywhere, and the executable still works."""
    # Where the tests run in the background of a shell, interruptions are ignored from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    after = signal.default_int_handler if before is None else before
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, after))
    program, arrays = counting(3_000_000)
    executable = native(program, threads=threads)
    executable.run(arrays)
    for delay in (0.003, 0.007, 0.012):
        before = float(arrays["s"][0])
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            until = time.monotonic() + 20
            while time.monotonic() < until:
                executable.run(arrays)
        timer.join()
        assert float(arrays["s"][0]) >= before
        assert (arrays["s"] == arrays["s"][0]).all(), "a step was done in part"
    steps = float(arrays["s"][0])
    executable.run(arrays)
    assert (arrays["s"] == steps + 1).all()
    executable.close()


# ---- the cache of object code


def outcome(program: Program, arrays: Arrays, store: ObjectCache, threads: int = 2) -> tuple[list[Arrays], Arrays]:
    return train(ready(compiled(program, threads=threads), store), arrays, 3)


def test_cached_code_gives_the_same_bits_and_needs_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, arrays = training_step("branching", 5)
    fresh = outcome(program, arrays, ObjectCache(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(codegen, "compile_object", lambda *_: pytest.fail("compiled although it is in the cache"))
        cached = outcome(program, arrays, ObjectCache(tmp_path))
    assert_same(cached[1], fresh[1], "states")
    for mine, first in zip(cached[0], fresh[0], strict=True):
        assert_same(mine, first, "outputs")


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign"])
def test_damaged_entries_are_compiled_again(damage: str, tmp_path: Path) -> None:
    program, arrays = training_step("tiny", 3)
    fresh = outcome(program, arrays, ObjectCache(tmp_path))
    entries = sorted(tmp_path.glob("*.object"))
    assert len(entries) > 5
    contents = {path: path.read_bytes() for path in entries}
    for path, other in zip(entries, [*entries[1:], entries[0]], strict=True):
        data = contents[path]
        middle = len(data) // 2
        path.write_bytes(
            {
                "cut": data[:middle],
                "changed": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
                "empty": b"",
                "foreign": contents[other],
            }[damage]
        )
    again = outcome(program, arrays, ObjectCache(tmp_path))
    assert_same(again[1], fresh[1], "states")
    assert {path: path.read_bytes() for path in entries} == contents, "compiled again, the same code is kept again"


def test_a_cache_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    program, arrays = training_step("tiny", 2)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    store = ObjectCache(blocked / "inside")
    found, wanted = outcome(program, arrays, store), outcome(program, arrays, STORE)
    assert_same(found[1], wanted[1], "states")
    assert store.note is not None


def test_layouts_and_targets_do_not_share_code(tmp_path: Path) -> None:
    """One cache for all of them: each gets its own code back."""
    store = ObjectCache(tmp_path)
    for seed in range(2):
        sheet = thrown(seed)
        for _ in range(2):
            for layout in possible_layouts(sheet.program):
                for target in ("sse", "avx2", None):
                    plan = compiled(sheet.program, layout=layout, target=target)
                    if not plan.target.host:
                        continue
                    executable = ready(plan, store)
                    got = dict(executable.run(single(sheet.arrays)))
                    executable.close()
                    assert_same(got, run_native(sheet.program, sheet.arrays, layout=layout, target=target), layout)
