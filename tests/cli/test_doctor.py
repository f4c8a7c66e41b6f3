"""`pellucid doctor`: the report, and its verdict."""

import platform
from pathlib import Path

import pytest

from pellucid import engines
from pellucid.cli import doctor
from tests.cli.conftest import Command


def test_the_report(pellucid: Command) -> None:
    done = pellucid("doctor", "--json")
    report = done.json
    assert done.code == (6 if report["problems"] else 0)
    assert report["python"] == platform.python_version()
    assert report["engines"]["numpy"] == "runs"
    assert report["processor"]["cores"] >= report["processor"]["cores_usable"] >= 1
    assert report["here"]["free_bytes"] > 0
    text = pellucid("doctor").out
    for word in ("python", "processor", "cores", "memory", "engine", "cache", "verdict"):
        assert f"\n{word}" in text


def test_an_engine_that_does_not_run_is_a_problem(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "names", lambda: ("numpy", "absent"))
    done = pellucid("doctor")
    assert done.code == 6
    assert "engine absent: does not run: unknown engine 'absent'" in done.out


def test_a_missing_package_is_a_problem(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "required_packages", lambda: ["surely-not-installed"])
    done = pellucid("doctor")
    assert done.code == 6
    assert "surely-not-installed MISSING" in done.out
    assert "surely-not-installed is not installed" in done.out


def test_a_missing_extra_is_none(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", {"plots": "surely-not-installed"})
    assert 'plots: not installed (pip install "pellucid[plots]")' in pellucid("doctor").out


def test_free_space_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    assert doctor.free_bytes(tmp_path / "a" / "b") == pytest.approx(doctor.free_bytes(tmp_path), rel=0.2)
    assert doctor.writable(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    assert not doctor.writable(Path("/proc/none"))
