"""A team of threads that meet inside native code.

Handing small pieces of work through Python costs more than the work. So each worker is a Python thread that
makes one long native call and stays in it (ctypes releases the interpreter lock): it waits for a step, does
its share, meets the others at barriers, and waits again. One step is one native call from Python.

Waiting is a short spin and then sleep: on Linux on a futex, so that a sleeping worker costs nothing and is
woken directly; elsewhere by short naps. Python threads, rather than threads created from native code, because
they work on every platform, show up where people look for threads, and end in an orderly way with the
interpreter.

What a step computes must not depend on the number of threads: work is cut into a fixed number of tasks, and
threads only decide who does which of them (`share`, `tasks_in_turn`).
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir

from pellucid.engines.native import codegen
from pellucid.engines.native.cpu import Target
from pellucid.engines.native.emit import I32, I64, POINTER, Emitter, Number

BARRIER = "pellucid_barrier"
JOB = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, I64])
"""A step: void job(team*, argument*, i64 thread, i64 threads). It passes `team` on to the barrier."""

# The team's memory: fields that different threads write lie on lines of their own (two lines: CPUs fetch
# pairs).
_LINE = 128
_EPOCH, _EPOCH_SLEEPERS = 0, 4
_JOB, _ARGUMENT, _THREADS, _SPINS, _STOP = (_LINE + 8 * k for k in range(5))
_ARRIVED = 2 * _LINE
_GENERATION, _GENERATION_SLEEPERS = 3 * _LINE, 3 * _LINE + 4
_SIZE = 4 * _LINE

SPINS = 10_000
"""Pauses (some 40 to 140 cycles each) before a waiting thread goes to sleep: about the time Python needs between two
steps. Waking a thread that sleeps can take 100 microseconds."""

_FUTEX_CALL = {"x86_64": 202, "aarch64": 98}
_WAIT, _WAKE, _EVERYONE = 128, 129, 2**31 - 1  # private to the process


# ---- generated code


def emit_barrier(module: ir.Module, target: Target) -> ir.Function:
    """Add `void pellucid_barrier(team*)` to a module (once): nobody leaves before all threads have arrived.

    What a thread stored before the barrier, every thread sees after it.
    """
    known = module.globals.get(BARRIER)
    if known is not None:
        return known
    emitter = Emitter(module, BARRIER, [POINTER], target)
    emitter.function.linkage = "internal"
    build, (team,) = emitter.builder, emitter.arguments
    threads = build.load(_field(emitter, team, _THREADS), typ=I64)
    with emitter.when(build.icmp_signed(">", threads, ir.Constant(I64, 1))):
        generation = _field(emitter, team, _GENERATION)
        present = build.load_atomic(generation, "acquire", 4, typ=I32)
        arrived = build.atomic_rmw("add", _field(emitter, team, _ARRIVED), ir.Constant(I32, 1), "acq_rel")
        last = build.icmp_signed("==", build.add(arrived, ir.Constant(I32, 1)), build.trunc(threads, I32))
        with build.if_else(last) as (release, wait):
            with release:
                build.atomic_rmw("xchg", _field(emitter, team, _ARRIVED), ir.Constant(I32, 0), "monotonic")
                _advance_and_wake(emitter, team, _GENERATION, _GENERATION_SLEEPERS)
            with wait:
                _wait_for_change(emitter, team, _GENERATION, _GENERATION_SLEEPERS, present)
    return emitter.finish()


def share(emitter: Emitter, tasks: int, thread: ir.Value, threads: ir.Value) -> tuple[Number, Number]:
    """The contiguous range of `tasks` that a thread does when all threads are equally fast."""
    build, total = emitter.builder, ir.Constant(I64, tasks)
    following = build.add(thread, ir.Constant(I64, 1))
    begin, end = (build.udiv(build.mul(total, number), threads) for number in (thread, following))
    return begin, end


@contextmanager
def tasks_in_turn(emitter: Emitter, counter: ir.Value, tasks: int, grain: int = 1) -> Iterator[tuple[Number, Number]]:
    """Emit a loop in which threads take the next `grain` tasks from an i64 counter until none are left.

    Evens out threads that are slowed down from outside. The counter must be zero before, with a barrier in
    between.
    """
    build = emitter.builder
    body, after = (emitter.function.append_basic_block(name) for name in ("turn", "none"))
    size, limit = ir.Constant(I64, grain), ir.Constant(I64, tasks)
    begin = build.atomic_rmw("add", counter, size, "monotonic")
    before = build.block
    build.cbranch(build.icmp_signed("<", begin, limit), body, after)
    build.position_at_end(body)
    current = build.phi(I64)
    current.add_incoming(begin, before)
    yield current, emitter.minimum(build.add(current, size), tasks)
    following = build.atomic_rmw("add", counter, size, "monotonic")
    current.add_incoming(following, build.block)
    build.cbranch(build.icmp_signed("<", following, limit), body, after)
    build.position_at_end(after)


def team_code(target: Target) -> str:
    """IR of the functions a team needs: worker, launch and stop."""
    module = ir.Module("team")
    barrier = emit_barrier(module, target)
    _emit_worker(module, target, barrier)
    _emit_launch(module, target, barrier)
    _emit_stop(module, target)
    return str(module)


def _field(emitter: Emitter, team: ir.Value, offset: int) -> ir.Value:
    return emitter.advance(team, offset, ir.IntType(8))


def _emit_worker(module: ir.Module, target: Target, barrier: ir.Function) -> None:
    """`void worker(team*, i64 thread)`: do steps until the team is stopped."""
    emitter = Emitter(module, "worker", [POINTER, I64], target)
    build, (team, thread) = emitter.builder, emitter.arguments
    flush_denormals(emitter)
    wait, work, leave = (emitter.function.append_basic_block(name) for name in ("wait", "work", "leave"))
    seen = emitter.slot(I32)
    build.store(ir.Constant(I32, 0), seen)
    build.branch(wait)
    build.position_at_end(wait)
    _wait_for_change(emitter, team, _EPOCH, _EPOCH_SLEEPERS, build.load(seen, typ=I32))
    build.store(build.load_atomic(_field(emitter, team, _EPOCH), "acquire", 4, typ=I32), seen)
    stop = build.load_atomic(_field(emitter, team, _STOP), "acquire", 8, typ=I64)
    build.cbranch(build.icmp_signed("==", stop, ir.Constant(I64, 0)), work, leave)
    build.position_at_end(work)
    _call_job(emitter, team, thread)
    build.call(barrier, [team])
    build.branch(wait)
    build.position_at_end(leave)
    emitter.finish()


def _call_job(emitter: Emitter, team: ir.Value, thread: ir.Value) -> None:
    build = emitter.builder
    job = build.load(_field(emitter, team, _JOB), typ=JOB.as_pointer())
    argument = build.load(_field(emitter, team, _ARGUMENT), typ=POINTER)
    threads = build.load(_field(emitter, team, _THREADS), typ=I64)
    build.call(job, [team, argument, thread, threads])


def _emit_launch(module: ir.Module, target: Target, barrier: ir.Function) -> None:
    """`void launch(team*, job*, argument*)`: run one step on all threads; the caller is thread 0."""
    emitter = Emitter(module, "launch", [POINTER, POINTER, POINTER], target)
    build, (team, job, argument) = emitter.builder, emitter.arguments
    before = flush_denormals(emitter)
    build.store(job, _field(emitter, team, _JOB))
    build.store(argument, _field(emitter, team, _ARGUMENT))
    _advance_and_wake(emitter, team, _EPOCH, _EPOCH_SLEEPERS)
    _call_job(emitter, team, ir.Constant(I64, 0))
    build.call(barrier, [team])
    restore_denormals(emitter, before)
    emitter.finish()


def _emit_stop(module: ir.Module, target: Target) -> None:
    """`void stop(team*)`: workers leave as soon as they wait for the next step."""
    emitter = Emitter(module, "stop", [POINTER], target)
    (team,) = emitter.arguments
    emitter.builder.atomic_rmw("xchg", _field(emitter, team, _STOP), ir.Constant(I64, 1), "release")
    _advance_and_wake(emitter, team, _EPOCH, _EPOCH_SLEEPERS)
    emitter.finish()


def _advance_and_wake(emitter: Emitter, team: ir.Value, word: int, sleepers: int) -> None:
    """Change a word others wait for, and wake those that sleep.

    A thread counts itself as a sleeper before the kernel compares the word once more, and this side changes
    the word before it looks at the count (all sequentially consistent): no wake-up can be lost.
    """
    build, address = emitter.builder, _field(emitter, team, word)
    build.atomic_rmw("add", address, ir.Constant(I32, 1), "seq_cst")
    asleep = build.load_atomic(_field(emitter, team, sleepers), "seq_cst", 4, typ=I32)
    if _futex(emitter.target) is not None:
        with emitter.when(build.icmp_signed(">", asleep, ir.Constant(I32, 0))):
            _call_futex(emitter, address, _WAKE, ir.Constant(I64, _EVERYONE))


def _wait_for_change(emitter: Emitter, team: ir.Value, word: int, sleepers: int, present: ir.Value) -> None:
    """Wait until a word differs from `present`: spin for a moment, then sleep."""
    build, address = emitter.builder, _field(emitter, team, word)
    spin, sleep, nap, awake, done = (
        emitter.function.append_basic_block(name) for name in ("spin", "sleep", "nap", "awake", "done")
    )

    def unchanged() -> ir.Value:
        return build.icmp_signed("==", build.load_atomic(address, "acquire", 4, typ=I32), present)

    spins = build.load(_field(emitter, team, _SPINS), typ=I64)
    before = build.block
    build.branch(spin)
    build.position_at_end(spin)
    left = build.phi(I64)
    left.add_incoming(spins, before)
    _pause(emitter)
    check = emitter.function.append_basic_block("check")
    build.cbranch(unchanged(), check, done)
    build.position_at_end(check)
    fewer = build.sub(left, ir.Constant(I64, 1))
    left.add_incoming(fewer, check)
    build.cbranch(build.icmp_signed(">", fewer, ir.Constant(I64, 0)), spin, sleep)
    build.position_at_end(sleep)
    build.atomic_rmw("add", _field(emitter, team, sleepers), ir.Constant(I32, 1), "seq_cst")
    build.branch(nap)
    build.position_at_end(nap)
    _sleep(emitter, address, present)
    build.cbranch(unchanged(), nap, awake)
    build.position_at_end(awake)
    build.atomic_rmw("sub", _field(emitter, team, sleepers), ir.Constant(I32, 1), "seq_cst")
    build.branch(done)
    build.position_at_end(done)


def _pause(emitter: Emitter) -> None:
    """Tell the CPU that this is a spin loop."""
    if emitter.target.triple.startswith("x86_64"):
        emitter.builder.call(emitter.intrinsic("llvm.x86.sse2.pause", ir.VoidType(), []), [])
    else:
        hint = emitter.intrinsic("llvm.aarch64.hint", ir.VoidType(), [I32])
        emitter.builder.call(hint, [ir.Constant(I32, 1)])


def _futex(target: Target) -> int | None:
    """The number of the futex system call, where there is one."""
    return _FUTEX_CALL[target.triple.split("-")[0]] if "linux" in target.triple else None


def _call_futex(emitter: Emitter, address: ir.Value, operation: int, value: ir.Value) -> None:
    number = ir.Constant(I64, _futex(emitter.target))
    kind = ir.FunctionType(I64, [I64], var_arg=True)
    known = emitter.module.globals.get("syscall")
    call = known or ir.Function(emitter.module, kind, "syscall")
    zero = ir.Constant(I64, 0)
    emitter.builder.call(call, [number, address, ir.Constant(I64, operation), value, zero, zero, zero])


def _sleep(emitter: Emitter, address: ir.Value, present: ir.Value) -> None:
    """Sleep until woken or, where there is no futex, for a moment. The caller looks at the word again."""
    if _futex(emitter.target) is not None:
        _call_futex(emitter, address, _WAIT, emitter.builder.zext(present, I64))
    elif "windows" in emitter.target.triple:
        emitter.builder.call(emitter.intrinsic("Sleep", ir.VoidType(), [I32]), [ir.Constant(I32, 1)])
    else:
        emitter.builder.call(emitter.intrinsic("usleep", I32, [I32]), [ir.Constant(I32, 50)])


def flush_denormals(emitter: Emitter) -> ir.Value:
    """Emit code that makes this thread treat denormals as zero; returns the previous mode, for
    `restore_denormals`.

    Trained weights and fading gradients otherwise meet denormals, which can slow arithmetic down tenfold and
    more.
    """
    build = emitter.builder
    if emitter.target.triple.startswith("x86_64"):
        # Flush results to zero (bit 15), read operands as zero (bit 6).
        before, during = emitter.slot(I32), emitter.slot(I32)
        build.call(emitter.intrinsic("llvm.x86.sse.stmxcsr", ir.VoidType(), [POINTER]), [before])
        build.store(build.or_(build.load(before, typ=I32), ir.Constant(I32, 0x8040)), during)
        restore_denormals(emitter, during)
        return before
    before = emitter.slot(I64)
    build.store(build.call(emitter.intrinsic("llvm.aarch64.get.fpcr", I64, []), []), before)
    during = emitter.slot(I64)
    build.store(build.or_(build.load(before, typ=I64), ir.Constant(I64, 1 << 24)), during)
    restore_denormals(emitter, during)
    return before


def restore_denormals(emitter: Emitter, mode: ir.Value) -> None:
    """Emit code that sets the floating-point mode kept in a stack slot."""
    if emitter.target.triple.startswith("x86_64"):
        emitter.builder.call(emitter.intrinsic("llvm.x86.sse.ldmxcsr", ir.VoidType(), [POINTER]), [mode])
    else:
        set_mode = emitter.intrinsic("llvm.aarch64.set.fpcr", ir.VoidType(), [I64])
        emitter.builder.call(set_mode, [emitter.builder.load(mode, typ=I64)])


# ---- the team in Python


def available_processors() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_CLOSED = "this team of threads is closed"


class _Crew:
    """The workers of one process: their memory, code and threads. Knows nothing of the Team that owns it."""

    def __init__(self, threads: int, code: codegen.Loaded) -> None:
        self.process = os.getpid()
        self._lock = threading.Lock()
        self._dismissed = False
        self._code = code  # the functions below must not outlive it
        self._memory = (ctypes.c_char * (_SIZE + _LINE))()
        self._address = -(-ctypes.addressof(self._memory) // _LINE) * _LINE
        for offset, value in (
            (_THREADS, threads),
            (_SPINS, SPINS if threads <= available_processors() else 1),
        ):
            ctypes.c_int64.from_address(self._address + offset).value = value
        pointer = ctypes.c_void_p
        self._launch = ctypes.CFUNCTYPE(None, pointer, pointer, pointer)(code.address("launch"))
        self._stop = ctypes.CFUNCTYPE(None, pointer)(code.address("stop"))
        work = ctypes.CFUNCTYPE(None, pointer, ctypes.c_int64)(code.address("worker"))
        # Daemon threads, so that Python does not wait for them before it runs the finalizer that ends them.
        self._threads = [
            threading.Thread(target=work, args=(self._address, k), name=f"pellucid-{k}", daemon=True)
            for k in range(1, threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, job: int, argument: int) -> None:
        with self._lock:
            if self._dismissed:
                raise RuntimeError(_CLOSED)
            self._launch(self._address, job, argument)

    def dismiss(self) -> None:
        """Let the step under way finish, stop the workers and wait for them to end.

        In a forked child there is nothing to stop, and the lock may be held by a thread that does not exist.
        """
        if self.process != os.getpid():
            return
        with self._lock:
            self._dismissed = True
            self._stop(self._address)
            for thread in self._threads:
                thread.join()
            self._threads = []


class Team:
    """Threads that run native steps together; the thread that calls `run` is one of them.

    Workers start with the first step and end with `close`, when the team is collected, or when Python exits.
    After a fork the child starts workers of its own. Calls from several Python threads take turns.
    """

    def __init__(self, threads: int, target: Target, code: codegen.Loaded | None = None) -> None:
        """`code`: `team_code(target)` already loaded (from a cache); compiled here if not given."""
        if threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.threads = threads
        self._code = code or codegen.Loaded([codegen.compile_object(team_code(target), target)], target)
        self._crew: _Crew | None = None
        self._dismiss: weakref.finalize[[], Team] | None = None
        self._starting = threading.Lock()
        self._closed = False

    def run(self, job: int, argument: int) -> None:
        """Run the native function at address `job` (type JOB) on every thread; returns when all are done.

        Raises RuntimeError after `close`.
        """
        crew = self._crew
        if crew is None or crew.process != os.getpid():
            crew = self._assemble()
        crew.run(job, argument)

    def _assemble(self) -> _Crew:
        """Start the workers: at the first step, and again in a forked child."""
        with self._starting:
            if self._closed:
                raise RuntimeError(_CLOSED)
            if self._crew is None or self._crew.process != os.getpid():
                self._crew = _Crew(self.threads, self._code)
                self._dismiss = weakref.finalize(self, self._crew.dismiss)
            return self._crew

    def close(self) -> None:
        """End the workers. The team cannot run afterwards; closing twice is harmless."""
        self._closed = True
        if self._dismiss is not None:
            self._dismiss()

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
