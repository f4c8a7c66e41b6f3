"""Taking turns and summing up; how long anything takes is not tested."""

import numpy as np
import pytest

from pellucid.bench.timing import FEWEST, MachinePeak, Spread, interleave, turn


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    assert Spread.of([5, 1, 3, 2, 4]) == Spread(3, 2, 4)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_a_turn_calls_often_enough() -> None:
    calls: list[int] = []
    seconds = turn(lambda: calls.append(1), 0)
    assert len(calls) == FEWEST
    assert seconds >= 0


def test_every_side_begins_in_its_round_and_the_peak_comes_first() -> None:
    order: list[str] = []
    runs = [lambda name=name: order.append(name) for name in "abc"]
    found = interleave(runs, 3, seconds=0, gap=0, between=lambda: order.append("peak"))
    assert [len(side) for side in found] == [3, 3, 3]
    turns = [name for k, name in enumerate(order) if not k or order[k - 1] != name]
    warm, rounds = turns[:3], turns[3:]
    assert warm == ["a", "b", "c"]
    assert rounds == ["peak", "a", "b", "c", "peak", "b", "c", "a", "peak", "c", "a", "b"]
    assert order.count("a") == 4 * FEWEST


def test_every_side_keeps_its_own_times(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(np.arange(10_000.0))
    monkeypatch.setattr("pellucid.bench.timing.time.perf_counter", lambda: next(ticks))
    slow = lambda: [next(ticks) for _ in range(9)]  # noqa: E731
    assert interleave([lambda: None, slow], 2, seconds=0, gap=0) == [[1, 1], [10, 10]]


def test_the_peak_of_two_threads_is_that_of_both() -> None:
    peak = MachinePeak(2)
    rates = [peak.measure(), peak.measure()]
    assert peak.rates == rates
    assert min(rates) > 1e8
