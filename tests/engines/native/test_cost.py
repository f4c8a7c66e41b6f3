"""The cost model's cache lines against a cache that is played through, access by access."""

from dataclasses import replace

import pytest

from pellucid.engines.native import cpu
from pellucid.engines.native.contraction import Access, Contraction, Loop, Schedule, complete
from pellucid.engines.native.cost import Model, estimate

OUTPUTS = 32
SETS, WAYS, FLOATS = 64, 8, 16  # a first cache of 32 KB, its lines of 64 bytes
SIZES = cpu.Caches(SETS * WAYS * FLOATS * 4, 1 << 20, 32 << 20, "test")


def played(places: int, stride: int, channels: int) -> int:
    """Lines fetched while a register tile adds up all channels; of a full set the least recently used line goes."""
    sets: list[list[int]] = [[] for _ in range(SETS)]
    fetched, weights = 0, 1 << 20
    for c in range(channels):
        pixels = [(j * stride + c) // FLOATS for j in range(places)]
        for line in [*pixels, *(weights + c * OUTPUTS // FLOATS + k for k in range(OUTPUTS // FLOATS))]:
            kept = sets[line % SETS]
            if line in kept:
                kept.remove(line)
            else:
                fetched += 1
            kept.append(line)
            del kept[:-WAYS]
    return fetched


@pytest.mark.parametrize(
    ("places", "stride", "rests"),
    [
        (14, 512, True),  # seven lines in each of two sets; the eighth place is for the weights
        (20, 512, False),
        (20, 528, True),  # a line further each time: all sets
        (14, 256, True),
        (7, 1024, True),
        (14, 1024, False),
    ],
)
def test_lines_that_share_few_sets(places: int, stride: int, rests: bool) -> None:
    channels = min(stride, 512)
    contraction = Contraction(
        {"j": places, "o": OUTPUTS, "c": channels},
        Access({"j": OUTPUTS, "o": 1}),
        Access({"j": stride, "c": 1}),
        Access({"c": OUTPUTS, "o": 1}),
    )
    target = cpu.target("avx512")
    schedule = complete(contraction, Schedule("o", 2, {"j": places}, (Loop("o", OUTPUTS), Loop("j", places))), target)
    once = (places + OUTPUTS) * channels / FLOATS
    for lines in (played(places, stride, channels), estimate(contraction, schedule, target, SIZES).lines[0]):
        assert (lines < 1.2 * once) == rests
        assert lines > 0.9 * once


def test_what_comes_from_the_caller_is_dear_where_it_is_read_with_jumps() -> None:
    """Tiles of pixels go through the planes of an image once for each block of channels, or ask for the next pixels."""
    contraction = Contraction(
        {"p": 196, "O": 8, "o": OUTPUTS, "c": 1024},
        Access({"O": 196 * OUTPUTS, "o": 196, "p": 1}),
        Access({"c": 196, "p": 1}),
        Access({"O": 1024 * OUTPUTS, "c": OUTPUTS, "o": 1}),
    )
    target = cpu.target("avx512")
    tile = Schedule("o", 2, {"p": 14}, (), ("c",))
    through = complete(contraction, replace(tile, order=(Loop("O"), Loop("p", 14), Loop("o", 32))), target)
    shared = complete(contraction, replace(tile, order=(Loop("p", 14), Loop("O"), Loop("o", 32))), target)
    warm, cold = Model(contraction, target, SIZES), Model(contraction, target, SIZES, ("a",))
    pixels = 196 * 1024 / FLOATS
    assert cold.traffic(through)[1] - warm.traffic(through)[1] >= 3 * 8 * pixels
    assert cold.traffic(shared)[1] <= warm.traffic(shared)[1]
    assert warm.estimate(through).cycles < warm.estimate(shared).cycles
    assert cold.estimate(shared).cycles < cold.estimate(through).cycles
