"""The race to an accuracy, on a data set that is small and easy."""

from pathlib import Path

import numpy as np
import pytest

from pellucid import data, models
from pellucid.bench.accuracy import Epoch, Race, _Runner, race
from pellucid.errors import DataError
from tests.data.helpers import idx_bytes


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """MNIST's four files, but with a bright bar at a height that tells the class."""
    generator = np.random.default_rng(3)
    for stem, count in (("train", 330), ("t10k", 50)):
        labels = np.arange(count) % 10
        images = generator.integers(0, 60, (count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label] += 190
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


def test_training_stops_where_the_accuracy_is_reached(bars: Path) -> None:
    said: list[str] = []
    done = race(0.5, threads=1, root=bars, epochs=40, say=said.append)
    assert done.reached == len(done.epochs) == len(said)
    assert done.epochs[-1].accuracy >= 0.5
    assert all(epoch.accuracy < 0.5 for epoch in done.epochs[:-1])
    assert done.images == 330
    assert done.lines()[0].startswith(f"50.00% reached after {done.reached} epochs: ")


def test_an_accuracy_that_is_not_reached(bars: Path) -> None:
    done = race(1.01, threads=1, root=bars, epochs=2)
    assert done.reached is None
    assert len(done.epochs) == 2
    assert "101.00% NOT reached in 2 epochs; the best was " in done.lines()[0]
    assert done.epochs[0].loss != done.epochs[1].loss


def test_nothing_is_learnt_while_compiling(bars: Path) -> None:
    runner = _Runner(data.load("mnist", root=bars, validation=0.0), threads=1, epochs=1)
    state = runner.step.state_dict()
    initial = models.create("lenet5").init(seed=0).parameters
    assert all(np.array_equal(state[f"model.{name}"], values) for name, values in initial.items())
    assert state["counter.step"] == 0
    assert all(not values.any() for name, values in state.items() if name.startswith("optimizer."))
    runner.close()


def test_times_apart() -> None:
    done = Race(0.99, 100, 1.0, 2.0, (Epoch(3, 0.5, 0.1, 0.98), Epoch(4, 0.5, 0.1, 0.99)))
    assert done.training == 7
    assert done.lines() == [
        "99.00% reached after 2 epochs: 7.00 s of training",
        "besides: reading 1.00 s, compiling 2.00 s, evaluating 1.00 s",
        "29 images per second of training, preparing the batches included",
    ]
    assert done.to_json()["reached"] == 2


def test_without_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELLUCID_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match='"mnist" needs four IDX files'):
        race(0.9, threads=1, root=tmp_path / "none")
