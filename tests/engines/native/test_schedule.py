"""Choosing a schedule: which lanes are tried, which register tiles are taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pellucid.engines.native import cpu
from pellucid.engines.native.contraction import Access, Contraction, Loop, Schedule
from pellucid.engines.native.cost import estimate
from pellucid.engines.native.schedule import _lanes as lanes_worth_trying
from pellucid.engines.native.schedule import choose
from tests.engines.native.test_contraction import matrix_product, turned_product


def test_lanes_that_lie_apart_are_chosen_if_nothing_else_is_scattered() -> None:
    """196 pixels leave most of a vector empty at the end of each row; 64 channels fill theirs."""
    target, sizes = cpu.target("avx512"), cpu.Caches(32 << 10, 1 << 20, 32 << 20, "test")
    contraction = turned_product(196, 64, 256)
    planes = replace(contraction, a=Access({"i": 1, "k": 196}))
    assert choose(planes, target, sizes).lane == "j"
    beside = (Access({"j": 1}),)
    assert choose(planes, target, sizes, around=beside).lane == "j"
    apart = (Access({"j": 196, "i": 1}),)
    assert choose(planes, target, sizes, around=apart).lane == "i"


def test_lanes_that_would_be_gathered_are_not_even_tried() -> None:
    """Images n lie far apart in a factor and in the result: trying them takes time and memory, and none is chosen."""
    contraction = Contraction(
        {"n": 4, "p": 196, "o": 64, "c": 32},
        Access({"n": 64 * 196, "o": 196, "p": 1}),
        Access({"n": 32 * 196, "c": 196, "p": 1}),
        Access({"c": 64, "o": 1}),
    )
    assert contraction.row("n") == contraction.row("o") == "p"
    assert lanes_worth_trying(contraction, ("n", "o")) == ["p", "o"]
    assert lanes_worth_trying(contraction, ("n",)) == ["p"]


def test_schedules_and_estimates_can_be_read() -> None:
    target = cpu.target("avx512")
    contraction = matrix_product(196, 256, 256)
    schedule = Schedule("j", 2, {"i": 14}, (Loop("j", 32), Loop("i", 14)), ("k",))
    assert str(schedule) == "lane j x 2, tile [i:14], outer [j:32 |i:14], reduce [k]"
    sizes = cpu.Caches(48 << 10, 1 << 20, 32 << 20, "test")
    assert "% of peak" in str(estimate(contraction, schedule, target, sizes))
    assert choose(contraction, target, sizes) == choose(contraction, target, sizes)


@pytest.mark.parametrize("name", ["avx512", "avx2", "sse", "aarch64"])
def test_chosen_register_tiles_fit_and_keep_the_multipliers_busy(name: str) -> None:
    target = cpu.target(name)
    sizes = cpu.Caches(48 << 10, 1 << 20, 32 << 20, "test")
    contraction = matrix_product(196, 256, 256)
    schedule = choose(contraction, target, sizes)
    sums = schedule.vectors * int(np.prod(list(schedule.tiles.values())))
    assert sums >= 8  # two multiply-adds per cycle, four cycles each
    assert sums < target.registers
    assert estimate(contraction, schedule, target, sizes).ideal > 0
