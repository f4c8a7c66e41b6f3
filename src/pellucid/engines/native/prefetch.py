"""Asking for cache lines before they are needed, where the processor cannot guess which ones these will be.

Processors follow runs through neighbouring lines by themselves, but not from page to page. A sum over channels in the
order of images (NCHW) reads a few lines of every channel's plane, and planes are further apart than pages are long: a
register tile would wait for memory at every step while it walks through a block of pixels for the first time. Other
tiles then read the same block again, from near by. They ask for the next one, each for a part of it.

What a tile stores goes to a few lines in each of several rows. A line has to be there before a part of it can be
written, so a tile with a long sum asks for its lines when the sum begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from pellucid.engines.native.contraction import Contraction, Schedule
from pellucid.engines.native.cost import FLOATS_PER_LINE
from pellucid.engines.native.memory import ELEMENT

FAR = 2048 // ELEMENT
"""Elements from one step to the next that no processor follows: half a page."""

LONG = 64
"""Steps of a sum that take longer than a line takes to come."""


@dataclass(frozen=True)
class Ahead:
    """Which lines of a factor's next block the tiles of this one ask for.

    distance  elements from a vector to the same one of the next block
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


def ahead(contraction: Contraction, schedule: Schedule, name: str, lanes: int) -> Ahead | None:
    """What to ask for while a factor's blocks are read; None where nobody needs to ask."""
    access, lane = contraction.operands[name], schedule.lane
    rows = [index for index in schedule.reduce if contraction.extents[index] > 1]
    if not rows or access.stride(lane) != 1 or abs(access.stride(rows[-1])) < FAR:
        return None
    loops = [loop for loop in reversed(schedule.order) if contraction.extents[loop.index] > loop.step]
    moved = next((number for number, loop in enumerate(loops) if access.stride(loop.index)), 0)
    if not moved or loops[moved].index != lane or loops[0].index in contraction.reduction:
        return None  # no block is read by several tiles, or the next one is not beside it
    shared = loops[0]
    lines = ceil(schedule.vectors * lanes / FLOATS_PER_LINE) + 1  # blocks need not begin where lines do
    tiles = contraction.extents[shared.index] // shared.step
    group = 1 << max(0, (tiles // lines).bit_length() - 1)
    return Ahead(loops[moved].step, rows[-1], access.stride(rows[-1]), shared.index, shared.step, lines, group)


def claims(contraction: Contraction, schedule: Schedule) -> bool:
    """Whether register tiles ask for the lines they will write: for those they read first, they need not."""
    whole = all(loop.index not in contraction.reduction for loop in schedule.order)
    steps = prod(contraction.extents[index] for index in schedule.reduce)
    vectors = contraction.out.stride(schedule.lane) == 1
    return vectors and whole and contraction.initial != "out" and steps >= LONG
