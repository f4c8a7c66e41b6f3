"""The cost model's cache lines against a cache that is played through, access by access."""

import pytest

from pellucid.engines.native import cpu
from pellucid.engines.native.contraction import Access, Contraction, Loop, Schedule, complete
from pellucid.engines.native.cost import estimate

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
