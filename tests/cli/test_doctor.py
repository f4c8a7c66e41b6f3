"""`pellucid doctor`: the report, and its verdict."""

import platform
from pathlib import Path

import pytest

from pellucid import engines
from pellucid.cli import doctor
from pellucid.engines.native import cpu
from pellucid.errors import ConfigError
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
    for word in ("python", "processor", "target", "speed", "cores", "memory", "engine", "cache", "verdict"):
        assert f"\n{word}" in text


def test_the_native_engine_and_its_speed(pellucid: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, length in (("native/one.object", 3_000_000), ("data/mnist/two", 1_500_000)):
        (tmp_path / "pellucid" / name).parent.mkdir(parents=True)
        (tmp_path / "pellucid" / name).write_bytes(bytes(length))
    monkeypatch.setattr(cpu, "peak_flops", lambda: 123.4e9)
    monkeypatch.setattr(cpu, "memory_bandwidth", lambda: 10.25e9)
    done = pellucid("doctor", "--json")
    assert done.json["speed"] == {"peak_flops_per_core": 123.4e9, "memory_bytes_per_second": 10.25e9}
    assert done.json["processor"]["target"].startswith(cpu.target().name)
    assert set(done.json["processor"]["vector_features"]) <= {name for name, has in cpu.host_features().items() if has}
    cache = done.json["cache"]
    assert cache["folder"] == str(tmp_path / "pellucid")
    assert cache["code_bytes"] >= 3_000_000  # what `doctor` itself compiles is kept there as well
    assert cache["bytes"] - cache["code_bytes"] == 1_500_000
    text = pellucid("doctor").out
    assert "123 GFLOP/s at most per core" in text and "10.2 GB/s" in text
    assert f"{cache['bytes'] / 1e6:.1f} MB" in text


def test_quick_measures_nothing(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "peak_flops", lambda: pytest.fail("measured"))
    done = pellucid("doctor", "--quick", "--json")
    assert done.json["speed"] is None
    assert "speed      not measured" in pellucid("doctor", "--quick").out


def test_where_the_native_engine_does_not_run(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object) -> None:
        raise ConfigError("native engine: no code generator for this CPU")

    monkeypatch.setattr(cpu, "target", none)
    monkeypatch.setattr(cpu, "peak_flops", none)
    done = pellucid("doctor")
    assert done.code == 6
    assert "target     none: the native engine does not run here" in done.out
    assert "engine     native: does not run: native engine: no code generator" in done.out


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
