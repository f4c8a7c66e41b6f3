"""Asking for cache lines before they are needed, where the processor cannot guess which ones these will be.

Processors follow runs through neighbouring lines by themselves, but not long jumps, and none from page to page. A sum
over channels in the order of images (NCHW) reads a few lines of every channel's plane: a register tile would wait for
memory at every step while it walks through a block of pixels for the first time. Other tiles then read the same block
again, from near by. They ask for the next one, each for a part of it.

What a tile stores goes to a few lines in each of several rows. A line has to be there before a part of it can be
written, so a tile with a long sum asks for its lines when the sum begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from pellucid.engines.native.contraction import Contraction, Schedule
from pellucid.engines.native.cpu import FLOATS_PER_LINE

SPARSE = 12
"""Steps so many times as long as what is read at each leave most lines out: no processor follows them."""

LONG = 64
"""Steps of a sum that take longer than a line takes to come."""


@dataclass(frozen=True)
class Ahead:
    """Which lines of a factor's next block the tiles of this one ask for.

    distance  elements from a vector, or from a tile's pixel, to the same one of the next block
    row, jump the index whose steps each read a row of lines, and how many elements these rows lie apart
    by, step  the loop whose tiles share this block, and its step: tile number value / step takes its turn
    lines     of each row; a tile asks for one of them in every `group` rows
    """

    distance: int
    row: str
    jump: int
    by: str
    step: int
    lines: int
    group: int


def sparse(contraction: Contraction, schedule: Schedule, name: str, lanes: int) -> bool:
    """Whether a factor's vectors, or its neighbouring elements in a register tile, are read with long jumps."""
    access, along = contraction.operands[name], neighbours(contraction, schedule, name)
    row = _row(contraction, schedule)
    if along is None or row is None or schedule.lane in contraction.reduction:
        return False
    return abs(access.stride(row)) >= SPARSE * schedule.step(along, lanes)


def neighbours(contraction: Contraction, schedule: Schedule, name: str) -> str | None:
    """The index of a register tile along which a factor's elements are neighbours."""
    access = contraction.operands[name]
    return next((index for index in (schedule.lane, *schedule.tiles) if access.stride(index) == 1), None)


def _row(contraction: Contraction, schedule: Schedule) -> str | None:
    """The innermost index that is summed over."""
    return next((index for index in reversed(schedule.reduce) if contraction.extents[index] > 1), None)


def ahead(contraction: Contraction, schedule: Schedule, name: str, lanes: int) -> Ahead | None:
    """What to ask for while a factor's blocks are read; None where nobody needs to ask."""
    access, along = contraction.operands[name], neighbours(contraction, schedule, name)
    row = _row(contraction, schedule)
    if row is None or along is None or not sparse(contraction, schedule, name, lanes):
        return None
    loops = [loop for loop in reversed(schedule.order) if contraction.extents[loop.index] > loop.step]
    moved = next((number for number, loop in enumerate(loops) if access.stride(loop.index)), 0)
    if not moved or loops[moved].index != along or loops[0].index in contraction.reduction:
        return None  # no block is read by several tiles, or the next one is not beside it
    shared = loops[0]
    lines = ceil(schedule.step(along, lanes) / FLOATS_PER_LINE) + 1  # blocks need not begin where lines do
    tiles = contraction.extents[shared.index] // shared.step
    group = 1 << max(0, (tiles // lines).bit_length() - 1)
    return Ahead(loops[moved].step, row, access.stride(row), shared.index, shared.step, lines, group)


def claims(contraction: Contraction, schedule: Schedule) -> bool:
    """Whether register tiles ask for the lines they will write: for those they read first, they need not."""
    whole = all(loop.index not in contraction.reduction for loop in schedule.order)
    steps = prod(contraction.extents[index] for index in schedule.reduce)
    vectors = contraction.out.stride(schedule.lane) == 1 or contraction.row(schedule.lane) in schedule.tiles
    return vectors and whole and contraction.initial != "out" and steps >= LONG
