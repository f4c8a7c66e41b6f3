"""Intervals between checkpoints, and how settings are described and compared."""

from dataclasses import dataclass
from typing import Any

import pytest

from pellucid.errors import ConfigError, UsageError
from pellucid.train.settings import Interval, changes, check_same, describe_object, parse_interval


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Interval(seconds=300.0)),
        (500, Interval(steps=500)),
        ("500", Interval(steps=500)),
        ("90s", Interval(seconds=90.0)),
        ("1.5 min", Interval(seconds=90.0)),
        ("2h", Interval(seconds=7200.0)),
    ],
)
def test_intervals_are_steps_or_times(given: Any, expected: Interval) -> None:
    assert parse_interval(given) == expected


@pytest.mark.parametrize("given", [0, -1, True, 2.5, "0", "0s", "s", "5 days", "", "1e3", "-5s"])
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r'number of steps \(500\) or a time \("90s", "10min"\), but is') as caught:
        parse_interval(given)
    assert repr(given) in str(caught.value)


def test_objects_are_described_by_their_numbers() -> None:
    @dataclass
    class Thing:
        lr: float = 0.1
        betas: tuple[float, float] = (0.9, 0.99)
        note: object = None
        _hidden: int = 3

    class Plain:
        def __init__(self) -> None:
            self.size, self.table = 3, {"a": 1}

    assert describe_object(Thing()) == {"name": "Thing", "lr": 0.1, "betas": [0.9, 0.99]}
    assert describe_object(Plain()) == {"name": "Plain", "size": 3}


def test_differences_are_all_named() -> None:
    stored = {"seed": 0, "optimizer": {"name": "SGD", "momentum": 0.9}, "same": [1]}
    current = {"seed": 1, "optimizer": {"name": "Adam", "eps": 1e-8}, "same": [1]}
    with pytest.raises(UsageError) as caught:
        check_same(stored, current, "runs/a")
    differences = [
        "optimizer.eps was not set, now 1e-08",
        "optimizer.momentum was 0.9, now not set",
        "optimizer.name was SGD, now Adam",
        "seed was 0, now 1",
    ]
    expected = f"runs/a was started with other settings: {'; '.join(differences)}. Resuming continues the same"
    assert str(caught.value).startswith(expected)
    assert changes({"epochs": 1, "x": "a" * 90}, {"epochs": 2}) == [
        "epochs 1 -> 2",
        f"x {'a' * 57}... -> not set",
    ]
    check_same(stored, dict(stored), "runs/a")
