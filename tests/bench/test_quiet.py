"""Telling whether other programs were running."""

import os
import time
from pathlib import Path

import pytest

from pellucid.bench import measure, quiet
from pellucid.bench.measure import Settings
from pellucid.bench.quiet import Clock, others


def test_others_are_what_is_busy_and_not_ours() -> None:
    processors = os.cpu_count() or 1
    start = Clock(wall=10.0, busy=100.0, own=5.0)
    assert others(start, Clock(12.0, 100.0 + 2 * processors, 5.0)) == pytest.approx(1.0)
    assert others(start, Clock(12.0, 101.0, 6.0)) == 0
    assert others(start, Clock(12.0, 101.0, 5.5)) == pytest.approx(0.25 / processors)
    assert others(start, Clock(12.0, 100.0, 5.1)) == 0


def test_it_is_not_known_everywhere(tmp_path: Path) -> None:
    assert Clock.read(tmp_path / "none") is None
    (tmp_path / "stat").write_text("cpu a b c\n")
    assert Clock.read(tmp_path / "stat") is None
    assert others(None, Clock(1, 1, 1)) is None
    assert others(Clock(1, 1, 1), Clock(1, 2, 1)) is None


def test_the_system_is_read(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 999 999 4 5 6 0 0\ncpu0 1 2 3 4\n")
    clock = Clock.read(tmp_path / "stat")
    assert clock is not None
    assert clock.busy * os.sysconf("SC_CLK_TCK") == pytest.approx(100 + 20 + 30 + 4 + 5 + 6)
    assert clock.own == pytest.approx(sum(os.times()[:4]), abs=1)


def test_waiting_ends_when_it_is_calm_or_patience_does(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.5, 0.2, 0.01])
    monkeypatch.setattr(quiet, "others", lambda start, end: next(shares))
    assert quiet.wait(5, look=0)
    monkeypatch.setattr(quiet, "others", lambda start, end: 1.0)
    begin = time.monotonic()
    assert not quiet.wait(0.05, look=0.01)
    assert time.monotonic() - begin >= 0.05


def test_a_disturbed_measurement_is_repeated_and_the_calmest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.6, 0.3, 0.9])
    monkeypatch.setattr(quiet, "others", lambda start, end: next(shares))
    monkeypatch.setattr(quiet, "wait", lambda seconds: False)
    ends = iter([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 99.0])
    monkeypatch.setattr(measure.time, "monotonic", lambda: next(ends))
    calls: list[int] = []
    timed = measure._timed([lambda: calls.append(1)], Settings(1, 1, 0, 0, patience=50))
    assert timed.others == 0.3
    assert len(calls) == 3 * 2 * 3


def test_without_patience_it_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "others", lambda start, end: 0.7)
    monkeypatch.setattr(quiet, "wait", lambda seconds: pytest.fail("waited"))
    assert measure._timed([lambda: None], Settings(1, 1, 0, 0)).others == 0.7
