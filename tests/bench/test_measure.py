"""A measurement's result: who ran, what was compared, and that a wrong answer has no speed."""

from dataclasses import replace

import numpy as np
import pytest

from pellucid.bench import memory, opponent, ours, table
from pellucid.bench.measure import Settings, measure
from pellucid.bench.ours import Side
from pellucid.bench.workloads import Convolution, Network, Workload

QUICK = Settings(threads=1, rounds=2, seconds=0, gap=0)
WORKLOADS = (
    Network("notes-cnn", 2, True),
    Network("lenet5", 2, False),
    Convolution(1, 3, 4, 6, 3, 2, "forward"),
    Convolution(1, 3, 4, 6, 3, 1, "input gradient"),
    Convolution(2, 3, 4, 6, 1, 1, "weight gradient"),
)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: f"{w.name} {w.what}")
def test_alone_it_is_compared_with_the_reference(workload: Workload) -> None:
    result = measure(workload, QUICK)
    assert result.correct
    assert result.compared_with == "numpy"
    assert result.distance < 1e-5
    single = isinstance(workload, Convolution)
    assert list(result.times) == (["native", "product"] if single else ["native"])
    assert (result.product_share is not None) == single
    assert not single or result.times["product"].median > 0
    assert result.ratio is None
    assert result.share > 0


def test_a_training_step_compares_every_gradient() -> None:
    first = ours.prepare(Network("notes-cnn", 2, True), 1).first
    assert {"loss", "output", "d conv1.weight", "d conv1.bias", "d conv2.weight"} <= first.keys()
    assert first["d conv1.weight"].shape == (4, 1, 5, 5)
    assert all(np.abs(values).max() > 0 for values in first.values())


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """One number of the native engine's output is off by a thousandth."""
    right = ours.prepare

    def prepare(workload: Workload, threads: int, engine: str = "native") -> Side:
        side = right(workload, threads, engine)
        if engine == "native":
            side.first["output"][0, 0] += 1e-3 * np.abs(side.first["output"]).max()
        return side

    monkeypatch.setattr(ours, "prepare", prepare)


@pytest.mark.usefixtures("wrong")
def test_a_wrong_answer_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = Network("notes-cnn", 2, False)
    stand_in = ours.prepare(workload, 1, "numpy")
    monkeypatch.setattr(opponent, "prepare", lambda workload, mode: replace(stand_in, name=mode))
    result = measure(workload, replace(QUICK, modes=("eager",)))
    assert not result.correct
    assert result.where == "output"
    assert result.ratio is None
    row = dict(zip(table.header([result]), table.rows([result])[0], strict=True))
    assert row["difference"].startswith("WRONG (output: ")
    assert row["speed ratio"] == "no result"


def test_modes_that_fail_or_differ_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(workload: Workload, mode: str) -> Side:
        if mode == "compile":
            raise RuntimeError("no C++ compiler\nsecond line")
        side = replace(ours.prepare(workload, 1, "numpy"), name=mode)
        if mode == "channels_last":
            side.first["output"][...] *= 2
        return side

    monkeypatch.setattr(opponent, "prepare", prepare)
    result = measure(Network("notes-cnn", 1, False), replace(QUICK, modes=opponent.MODES))
    assert result.correct
    assert result.best == "eager"
    assert result.ratio is not None
    assert result.ratio.lower <= result.ratio.median <= result.ratio.upper
    assert result.failed["compile"] == "RuntimeError: no C++ compiler"
    assert result.failed["channels_last"].startswith("its output differs by 1.0e+00 from that of eager")
    remarks = "\n".join(table.remarks([result]))
    assert "mode compile did not count: RuntimeError: no C++ compiler" in remarks


def test_more_than_the_peak_is_said() -> None:
    result = replace(measure(WORKLOADS[2], QUICK), flops=10**18)
    assert "MORE THAN THE PEAK" in table.rows([result])[0]


def test_peak_memory_of_a_process_of_its_own() -> None:
    used = memory.peak(Network("notes-cnn", 1, False), 1, "native")
    if memory.high_water() is None:
        assert used is None
    else:
        assert used is not None
        assert 20e6 < used < 2e9


def test_a_side_that_does_not_run_has_no_memory() -> None:
    assert memory.peak(Network("no-such-model", 1, False), 1, "native") is None
