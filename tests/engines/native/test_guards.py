"""Nothing is written beside a buffer, nothing read beside it, and nothing depends on what lay in it before.

Three ways of looking: guard zones of a rare bit pattern around every array and between the buffers of the arena;
memory filled with not-a-number where no defined value may be taken from; and arrays that end where the next page
must not be touched, so that even a load whose value is not used ends the process.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines.native.executable import ready
from pellucid.engines.native.memory import ALIGNMENT, ELEMENT, Arena
from pellucid.notation import Program
from tests.engines.native.networks import MODELS, training_step
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
    searching,
    sheets,
    single,
    thrown,
)

GUARD = 67
"""Elements before and after each array: more than any vector, and no multiple of one."""
POISON = np.uint32(0x7FC0DEAD)
"""A not-a-number with a payload: it spreads when read, and is missed when overwritten."""


class Zone:
    """An array with poison on both sides."""

    def __init__(self, array: Array) -> None:
        self.whole = np.full(array.size + 2 * GUARD, POISON)
        self.array = self.whole[GUARD : GUARD + array.size].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    def made_by(self, make: Callable[[], Array], *, whole: bool) -> Callable[[], Array]:
        """This array where another would have been made, with the same content; where that may be anything, poison."""

        def guarded() -> Array:
            self.array[...] = make()
            if whole:  # every element has to be written
                self.array.ravel().view(np.uint32)[...] = POISON
            return self.array

        return guarded

    def check(self, name: str) -> None:
        outside = np.concatenate([self.whole[:GUARD], self.whole[self.whole.size - GUARD :]])
        assert (outside == POISON).all(), f"{name}: {(outside != POISON).sum()} elements beside it were overwritten"


class Watched:
    """A compiled program whose every buffer has poison around it, and poison in it before the first step."""

    def __init__(self, program: Program, *, layout: str | None, target: str | None, threads: int) -> None:
        plan = compiled(program, layout=layout, target=target, threads=threads)
        offsets, end = {}, ALIGNMENT
        for tensor in plan.arena.offsets:
            offsets[tensor] = end
            end += -(-(plan.buffers[tensor].elements + GUARD) * ELEMENT // ALIGNMENT) * ALIGNMENT
        self.plan = replace(plan, arena=Arena(end + ALIGNMENT, offsets))
        self.executable = ready(self.plan, STORE)
        memory = self.executable._memory.view(np.uint32)
        first = (self.executable._base - self.executable._memory.ctypes.data) // ELEMENT
        self.arena = memory[first : first + self.plan.arena.size // ELEMENT]
        self.inside = np.zeros(self.arena.shape, bool)
        self.margins = np.zeros(self.arena.shape, bool)
        for tensor, offset in offsets.items():
            self._fill(tensor, offset)  # type: ignore[arg-type]
        self.arena[~self.inside] = POISON
        self.outputs = self._guard_outputs()

    def _fill(self, tensor: object, offset: int) -> None:
        """Poison what an equation will write; zeros, as documented, in margins and in what no equation writes."""
        buffer = self.plan.buffers[tensor]  # type: ignore[index]
        place = slice(offset // ELEMENT, offset // ELEMENT + buffer.elements)
        self.inside[place] = True
        own = np.zeros(buffer.extents, bool)
        sides = zip(buffer.margins, buffer.tensor.extents, strict=True)
        own[tuple(slice(low, low + extent) for (low, _), extent in sides)] = True
        self.margins[place] = ~own.ravel()
        if any(e.covers for e in self.plan.program.definition(buffer.tensor)):
            self.arena[place][own.ravel()] = POISON

    def _guard_outputs(self) -> dict[str, Zone]:
        zones = {}
        for returned in self.executable._returned:
            zones[returned.name] = Zone(np.zeros(returned.shape, returned.dtype))
            returned.make = zones[returned.name].made_by(returned.make, whole=returned.whole)
        return zones

    def run(self, arrays: Mapping[str, Array]) -> Arrays:
        """The outputs, and the states as they are afterwards; everything around them is as it was."""
        zones = {name: Zone(array) for name, array in arrays.items()}
        results = dict(self.executable.run({name: zone.array for name, zone in zones.items()}))
        for name, zone in (zones | self.outputs).items():
            zone.check(name)
        assert (self.arena[~self.inside] == POISON).all(), "something between the buffers was overwritten"
        assert not self.arena[self.margins].any(), "a margin is no longer zero"
        for name, array in arrays.items():
            if name not in {old.name for old, _ in self.plan.program.updates}:
                assert zones[name].array.tobytes() == array.tobytes(), f"{name} was overwritten"
        return results | {old.name: zones[old.name].array for old, _ in self.plan.program.updates}


def check(program: Program, arrays: Mapping[str, Array], *, steps: int = 2, **choices: object) -> None:
    """Guarded and poisoned, the program gives the same bits as in the arena that its buffers share."""
    watched = Watched(program, **choices)  # type: ignore[arg-type]
    plain = native(program, **choices)  # type: ignore[arg-type]
    given_plain, given_watched = single(arrays), single(arrays)
    for step in range(steps):
        wanted = dict(plain.run(given_plain)) | {old.name: given_plain[old.name] for old, _ in program.updates}
        got = watched.run(given_watched)
        given_watched |= {old.name: got[old.name].copy() for old, _ in program.updates}
        assert_same(got, wanted, f"step {step}, {choices}")
    plain.close()
    watched.executable.close()


@searching(80)
@given(sheets(moves=4), st.data())
def test_random_programs_stay_in_their_buffers(sheet: Sheet, data: st.DataObject) -> None:
    check(
        sheet.program,
        sheet.arrays,
        layout=data.draw(st.sampled_from(possible_layouts(sheet.program))),
        target=data.draw(st.sampled_from(TARGETS)),
        threads=data.draw(st.sampled_from((1, 1, 2))),
    )


STEPS = [
    (name, size, ("images", "batch", "channels")[(k + m) % 3], TARGETS[k % len(TARGETS)])
    for m, name in enumerate(MODELS)
    for k, size in enumerate((1, 5, 17, 32))
    if DEPTH > 1 or (k % 2 == m % 2 and (name != "lenet5" or size == 5))
]


@pytest.mark.parametrize(("name", "size", "layout", "target"), STEPS)
def test_training_steps_stay_in_their_buffers(name: str, size: int, layout: str, target: str) -> None:
    """Parameters and momenta are updated in the caller's arrays, with poison right beside them."""
    program, arrays = training_step(name, size)
    chosen = layout if layout in possible_layouts(program) else "images"
    check(program, arrays, layout=chosen, target=target, threads=1)


def test_the_guards_would_notice() -> None:
    """A write one element beside an array, or into a margin, is found."""
    zone = Zone(np.zeros(5, np.float32))
    zone.check("fine")
    zone.whole[GUARD + 5] = 0
    with pytest.raises(AssertionError, match="1 elements beside it"):
        zone.check("x")
    program, arrays = training_step("branching", 2)
    watched = Watched(program, layout="images", target=None, threads=1)
    watched.arena[np.flatnonzero(watched.margins)[0]] = 1
    with pytest.raises(AssertionError, match="margin"):
        watched.run(single(arrays))
    watched.executable.close()


# ---- pages that must not be touched

PAGE = mmap.PAGESIZE


class Edge:
    """Memory between two pages that end the process when touched; arrays lie against one of them."""

    def __init__(self) -> None:
        self.protect = ctypes.CDLL(None, use_errno=True).mprotect
        self.protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self.maps: list[mmap.mmap] = []

    def place(self, size: int, *, at_end: bool) -> Array:
        """So many bytes (uint8) that begin right after a forbidden page, or end right before one."""
        pages = -(-max(size, 1) // PAGE)
        block = mmap.mmap(-1, (pages + 2) * PAGE)
        self.maps.append(block)
        whole = np.frombuffer(block, np.uint8)
        address = whole.ctypes.data
        for guard in (address, address + (pages + 1) * PAGE):
            if self.protect(guard, PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        begin = PAGE + (pages * PAGE - size if at_end else 0)
        return whole[begin : begin + size]

    def copy(self, array: Array, *, at_end: bool) -> Array:
        here = self.place(array.nbytes, at_end=at_end).view(array.dtype).reshape(array.shape)
        here[...] = array
        return here


def at_the_edge(count: int) -> None:
    """Run random programs with all their memory at an edge; called in a process of its own."""
    for seed in range(count):
        sheet, random = thrown(seed), np.random.default_rng(seed)
        layouts = possible_layouts(sheet.program)
        executable = native(
            sheet.program, layout=str(random.choice(layouts)), target=str(random.choice(TARGETS)), threads=1
        )
        given_now = single(sheet.arrays)
        wanted = executable.run(given_now)
        for at_end in (True, False):
            edge = Edge()
            base = edge.place(-(-executable.compiled.arena.size // 64) * 64, at_end=at_end)
            executable._table[0] = base.ctypes.data
            for returned in executable._returned:
                array = edge.copy(np.zeros(returned.shape, returned.dtype), at_end=at_end)
                returned.make = lambda array=array: array
            got = executable.run({name: edge.copy(a, at_end=at_end) for name, a in given_now.items()})
            assert_same(got, wanted, f"seed {seed}")
        executable.close()
    print("done", count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages by a Linux call")
def test_nothing_is_read_beyond_the_end_of_memory() -> None:
    code = f"from tests.engines.native.test_guards import at_the_edge; at_the_edge({40 * DEPTH})"
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"ended with {run.returncode}:\n{run.stderr[-3000:]}"
    assert run.stdout.split() == ["done", str(40 * DEPTH)]
