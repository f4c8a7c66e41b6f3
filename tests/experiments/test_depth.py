"""The depth experiment with small networks in place of deep ones: what it trains, writes, continues and says."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ConfigError, UsageError
from pellucid.experiments import Budget, run
from pellucid.experiments.curves import Curve, draw, summary, verdict
from pellucid.experiments.depth import networks, replace_training
from pellucid.train import TrainingInterrupted

BUDGET = Budget(epochs=2, batch_size=32, lr=0.05, augment="flip")


@pytest.fixture(scope="module")
def digits() -> pc.data.Splits:
    return pc.data.load("digits", validation=0.9)


class Create:
    """Makes networks of one layer, and keeps count; residual ones are wider, so that the two kinds differ."""

    def __init__(self) -> None:
        self.trained: list[str] = []

    def __call__(self, name: str, classes: int, in_channels: int, image_size: int) -> pc.Sequential:
        width = 8 if name.startswith("resnet") else 4
        self.trained.append(name)
        conv = pc.layers.Conv2d(in_channels, width, 3, padding=1)
        layers = [conv, pc.layers.ReLU(), pc.layers.Flatten(), pc.layers.Linear(width * image_size**2, classes)]
        return pc.Sequential(layers)


def experiment(splits: Any, out: Path, **changes: Any) -> tuple[list[Curve], list[str]]:
    told: list[str] = []
    settings: dict[str, Any] = {"depths": (20, 56), "seeds": (0,), "budget": BUDGET, "create": Create()}
    settings |= {"engine": "numpy", "progress": False, "tell": told.append}
    return run(splits, out, **settings | changes), told


def test_every_network_of_every_depth_and_seed() -> None:
    assert [(network.model, network.folder) for network in networks((56, 20), (0, 3))] == [
        ("plain20", "plain20-seed0"),
        ("resnet20", "resnet20-seed0"),
        ("plain20", "plain20-seed3"),
        ("resnet20", "resnet20-seed3"),
        ("plain56", "plain56-seed0"),
        ("resnet56", "resnet56-seed0"),
        ("plain56", "plain56-seed3"),
        ("resnet56", "resnet56-seed3"),
    ]
    with pytest.raises(ConfigError, match=r"no plain and residual networks of depths \[21\]; there are \[20, 32"):
        networks((20, 21), (0,))
    with pytest.raises(ConfigError, match="at least one seed"):
        networks((20,), ())


def test_it_writes_what_it_measured(digits: Any, tmp_path: Path) -> None:
    curves, told = experiment(digits, tmp_path / "a")
    assert [curve.name for curve in curves] == ["plain20", "resnet20", "plain56", "resnet56"]
    assert told[0] == "network 1 of 4: plain20, seed 0"
    with open(tmp_path / "a/curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    with open(tmp_path / "a/resnet56-seed0/metrics.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(rows[-1]["train_error"]) == pytest.approx(1 - float(last["train_accuracy"]))
    document = json.loads((tmp_path / "a/curves.json").read_text())
    assert document["budget"]["augment"] == "flip" and len(document["curves"]) == 8
    assert document["summary"][3]["train_error"] == pytest.approx(float(rows[-1]["train_error"]))
    config = (tmp_path / "a/plain20-seed0/config.toml").read_text()
    assert 'augment = "flip:0.5"' in config and 'schedule = "step"' in config


def test_finished_networks_are_not_trained_again(digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = experiment(digits, tmp_path / "whole")
    step, calls = pc.training.TrainingStep.__call__, 0

    def counted(*arguments: Any, **named: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 13:  # the second network's third step; five make an epoch, two epochs a network
            raise KeyboardInterrupt
        return step(*arguments, **named)

    monkeypatch.setattr(pc.training.TrainingStep, "__call__", counted)
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        experiment(digits, tmp_path / "a")
    assert (tmp_path / "a/curves.csv").read_text().count("plain20") == 2
    calls = 100
    again, told = experiment(digits, tmp_path / "a")
    assert calls == 130, "three networks of ten steps"
    assert told[0].endswith("plain20, seed 0: already trained") and told[1].endswith("resnet20, seed 0")
    assert [c.train_errors for c in again] == [c.train_errors for c in whole]
    more, _ = experiment(digits, tmp_path / "a", seeds=(0, 1))
    assert calls == 170 and len(more) == 8, "more seeds are added to the experiment"


def test_it_continues_only_the_same_experiment(digits: Any, tmp_path: Path) -> None:
    experiment(digits, tmp_path / "a", depths=(20,))
    with pytest.raises(UsageError, match=r"was started with other settings: lr was 0\.05, now 0\.1"):
        experiment(digits, tmp_path / "a", budget=Budget(epochs=2, batch_size=32, augment="flip"))
    with pytest.raises(UsageError, match="the data or their split are not the same"):
        experiment(pc.data.load("digits", validation=0.8), tmp_path / "a", depths=(20,))
    (tmp_path / "b").mkdir()
    (tmp_path / "b/letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there already, and holds no experiment"):
        experiment(digits, tmp_path / "b")


def test_a_part_of_the_training_images(digits: Any) -> None:
    part = replace_training(digits, 60)
    assert abs(len(part.train) - 60) <= 5
    assert min(part.train.counts().values()) >= 5, "of every class"
    assert part.validation is digits.validation
    assert replace_training(digits, None) is digits
    with pytest.raises(ConfigError, match="images must be from 1 to 143, the number of training images, but is 144"):
        replace_training(digits, 144)


@pytest.fixture
def curve() -> Callable[..., Curve]:
    def made(kind: str, depth: int, seed: int, *accuracies: float) -> Curve:
        rows = [
            {"epoch": k, "train_accuracy": a, "validation_accuracy": None, "train_loss": 1.0, "seconds": 2.0,
             "learning_rate": 0.1}
            for k, a in enumerate(accuracies, 1)
        ]  # fmt: skip
        return Curve(kind, depth, seed, tuple(rows))

    return made


def test_the_verdict_says_what_was_measured(curve: Callable[..., Curve]) -> None:
    curves = [
        curve("plain", 20, 0, 0.5, 0.8),
        curve("resnet", 20, 0, 0.5, 0.85),
        curve("plain", 56, 0, 0.4, 0.7),
        curve("resnet", 56, 0, 0.5, 0.9),
    ]
    assert verdict(curves).splitlines() == [
        "plain56 ends with a training error of 30.00%, above the 20.00% of plain20.",
        "resnet56 ends with a training error of 10.00%, below the 15.00% of resnet20.",
        "resnet20 ends with a training error of 15.00%, below the 20.00% of plain20.",
        "resnet56 ends with a training error of 10.00%, below the 30.00% of plain56.",
        "One seed each: small differences may be chance.",
    ]


def test_seeds_that_disagree_are_said_to(curve: Callable[..., Curve]) -> None:
    curves = [
        curve("plain", 20, 0, 0.80), curve("plain", 20, 1, 0.90),
        curve("resnet", 20, 0, 0.85), curve("resnet", 20, 1, 0.95),
    ]  # fmt: skip
    assert verdict(curves) == (
        "resnet20 ends with a training error of 10.00%, below the 15.00% of plain20, but the seeds overlap."
    )
    apart = [*curves[:2], curve("resnet", 20, 0, 0.95), curve("resnet", 20, 1, 0.97)]
    assert verdict(apart).endswith("of plain20, for every pair of seeds.")
    (plain, _) = summary(curves)
    assert plain["train_error_range"] == pytest.approx([0.1, 0.2]) and plain["seconds"] == 4.0


def test_the_picture(curve: Callable[..., Curve]) -> None:
    """Each network's line is there: leaving one out changes the picture."""
    pytest.importorskip("matplotlib")
    falling = np.linspace(0.2, 0.9, 10)
    curves = [curve(kind, depth, 0, *(falling - depth / 500)) for kind in ("plain", "resnet") for depth in (20, 56)]
    pictures = [draw([c for c in curves if c is not missing]) for missing in (None, *curves)]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert len(set(pictures)) == 5
