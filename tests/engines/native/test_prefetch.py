"""Which cache lines are asked for ahead: all of the next block, each by one tile's turn, and those of the output."""

from __future__ import annotations

from dataclasses import replace

import pytest
from llvmlite import ir

from pellucid.engines.native import cpu
from pellucid.engines.native.contraction import Access, Contraction, Loop, Schedule, complete
from pellucid.engines.native.cpu import FLOATS_PER_LINE
from pellucid.engines.native.kernel import emit_contraction
from pellucid.engines.native.prefetch import Ahead, ahead, claims

TARGET = cpu.target("avx512")
PLANE = 784


def one_by_one(channels: int, plane: int = PLANE, outputs: int = 128) -> Contraction:
    """Y[o,p] = sum(c) X[c,p] * W[o,c], images as they are."""
    return Contraction(
        {"o": outputs, "p": plane, "c": channels},
        Access({"o": plane, "p": 1}),
        Access({"c": plane, "p": 1}),
        Access({"o": channels, "c": 1}),
    )


BLOCKS = Schedule("p", 3, {"o": 9}, (Loop("p", 48), Loop("o", 9)), ("c",))


def text(contraction: Contraction, schedule: Schedule) -> str:
    module = ir.Module()
    emit_contraction(module, "kernel", contraction, schedule, TARGET)
    return str(module)


def test_the_tiles_of_a_block_ask_for_every_line_of_the_next() -> None:
    contraction = one_by_one(512)
    found = ahead(contraction, complete(contraction, BLOCKS, TARGET), "a", TARGET.lanes)
    assert found == Ahead(distance=48, row="c", jump=PLANE, by="o", step=9, lines=4, group=2)
    asked = set()
    for number in range(128 // 9):  # as `kernel` does it: a line of each row of the turn
        turn, line = divmod(number, found.lines)
        for row in range(512):
            place = row + turn % found.group - row % found.group
            asked.add((place, line * FLOATS_PER_LINE))
    assert asked == {(row, FLOATS_PER_LINE * line) for row in range(512) for line in range(4)}


@pytest.mark.parametrize(
    ("contraction", "schedule", "why"),
    [
        (one_by_one(512, plane=196), BLOCKS, "a quarter of the lines is read: the processor follows"),
        (one_by_one(1), BLOCKS, "there is a single row"),
        (one_by_one(512, outputs=9), BLOCKS, "a single tile reads each block"),
        (one_by_one(512), replace(BLOCKS, order=(Loop("o", 9), Loop("p", 48))), "each tile reads another block"),
        (one_by_one(512), Schedule("c", 1, {"o": 5, "p": 5}, (Loop("p", 5), Loop("o", 5))), "lanes are summed"),
    ],
)
def test_nobody_asks_where(contraction: Contraction, schedule: Schedule, why: str) -> None:
    assert ahead(contraction, complete(contraction, schedule, TARGET), "a", TARGET.lanes) is None, why


def test_tiles_of_pixels_ask_for_the_next_pixels() -> None:
    """Where lanes are output channels, a tile goes along the row."""
    contraction = replace(one_by_one(512), b=Access({"o": 1, "c": 128}))
    across = Schedule("o", 2, {"p": 14}, (Loop("p", 14), Loop("o", 32)), ("c",))
    found = ahead(contraction, complete(contraction, across, TARGET), "a", TARGET.lanes)
    assert found == Ahead(distance=14, row="c", jump=PLANE, by="o", step=32, lines=2, group=2)


def test_the_weights_are_no_vectors() -> None:
    contraction = one_by_one(512)
    assert ahead(contraction, complete(contraction, BLOCKS, TARGET), "b", TARGET.lanes) is None


def test_tiles_with_a_long_sum_claim_what_they_write() -> None:
    assert claims(one_by_one(64), BLOCKS)
    assert not claims(one_by_one(63), BLOCKS)
    assert not claims(replace(one_by_one(64), initial="out"), BLOCKS)
    parts = replace(BLOCKS, order=(Loop("p", 48), Loop("c", 128), Loop("o", 9)))
    assert not claims(one_by_one(512), parts), "partial sums are read first"


def test_turned_tiles_claim_whole_rows() -> None:
    """Both ends of fourteen pixels of each of 32 channels."""
    contraction = replace(one_by_one(64, plane=28), b=Access({"o": 1, "c": 128}))
    across = complete(contraction, Schedule("o", 2, {"p": 14}, (), ("c",)), TARGET)
    assert claims(contraction, across) and not claims(contraction, replace(across, tiles={}))
    assert text(contraction, across).count('call void @"llvm.prefetch.p0"') == 2 * 32


def test_what_is_asked_for_stands_in_the_code() -> None:
    """One line of the next block for each step; four lines of each of the nine rows of a whole tile's output."""
    contraction = one_by_one(512, plane=96, outputs=18)
    schedule = complete(contraction, BLOCKS, TARGET)
    assert text(contraction, schedule).count('call void @"llvm.prefetch.p0"') == 9 * 4
    far = replace(one_by_one(512, outputs=18), extents={"o": 18, "p": 768, "c": 512})
    assert text(far, complete(far, BLOCKS, TARGET)).count('call void @"llvm.prefetch.p0"') == 9 * 4 + 1
