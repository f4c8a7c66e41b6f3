"""Augmented training: the changes asked for are made, to the training images alone, and again after a stop."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.data import RandomCrop, RandomErasing, RandomHorizontalFlip
from pellucid.errors import ConfigError, UsageError
from pellucid.train import augmentation, checkpoint
from tests.train.fakes import figures_of, same_weights


@pytest.fixture(scope="module")
def digits() -> pc.data.Splits:
    """The embedded digits, 8x8, most of them kept for validation: 143 train in an instant."""
    return pc.data.load("digits", validation=0.9)


def train(splits: Any, out: Path | None = None, **changes: Any) -> Any:
    layers = [pc.layers.Conv2d(1, 3, 3), pc.layers.ReLU(), pc.layers.Flatten(), pc.layers.Linear(108, 10)]
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 32, "seed": 3, "report": False, "progress": False}
    return pc.fit(pc.Sequential(layers), splits, out=out, **settings | changes)


def test_names_become_transforms_and_back():
    assert augmentation.get(None) == augmentation.get("none") == ()
    assert augmentation.get("flip,crop") == (RandomHorizontalFlip(0.5), RandomCrop(4))
    assert augmentation.get(" crop:2 , flip:0.25") == (RandomCrop(2), RandomHorizontalFlip(0.25))
    assert augmentation.describe(augmentation.get("flip,crop:3")) == "flip:0.5,crop:3"
    assert augmentation.get("crop-reflect:3,erase:0.25") == (RandomCrop(3, "reflect"), RandomErasing(0.25))
    assert augmentation.describe([RandomErasing(), RandomCrop(2, "reflect")]) == "erase:0.5,crop-reflect:2"
    assert augmentation.describe(()) is None


@dataclasses.dataclass
class Inverted:
    level: int = 255

    def __call__(self, images: Any, draws: Any) -> Any:
        return self.level - images


def test_a_transform_of_ones_own_is_described_by_its_numbers():
    assert augmentation.describe(augmentation.get([Inverted(16)])) == "Inverted(level=16)"


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("flop", r"no augmentation 'flop'; there are flip, crop, crop-reflect, erase\. Separate several by commas"),
        ("flip;crop", "no augmentation 'flip;crop'"),
        ("flip,", "no augmentation ''"),
        ("crop:two", "augmentation 'crop:two': 'two' is not the number that crop takes"),
        ("crop:1.5", "'1.5' is not the number"),
        ("crop:-1", "padding must be 0 or more pixels, but is -1"),
        ("flip:2", r"probability must lie in 0\.\.1, but is 2"),
        ([0.5], r"augment must be names \(\"flip,crop\"\) or transforms, but holds 0\.5"),
    ],
)
def test_what_is_no_augmentation_is_refused(augment: Any, message: str, digits: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(digits, tmp_path / "a", augment=augment)
    assert not (tmp_path / "a").exists()


def test_certain_flips_train_as_mirrored_images_do(digits: Any) -> None:
    """And only the training images are mirrored: the validation images are the same in both trainings."""
    mirrored = dataclasses.replace(digits.train, images=digits.train.images[..., ::-1].copy())
    expected = train(dataclasses.replace(digits, train=mirrored))
    actual = train(digits, augment="flip:1")
    assert figures_of(actual) == figures_of(expected)
    assert same_weights(actual.model.parameters, expected.model.parameters)
    assert not same_weights(actual.model.parameters, train(digits).model.parameters)


def test_every_epoch_sees_other_changes(digits: Any) -> None:
    seen: list[Any] = []

    def watch(images: Any, draws: Any) -> Any:
        changed = RandomCrop(2)(images, draws)
        seen.append((images.sum(axis=(1, 2, 3)), changed.sum(axis=(1, 2, 3))))
        return changed

    train(digits, augment=[watch])
    lost = [np.concatenate([before - after for before, after in seen[5 * epoch : 5 * epoch + 5]]) for epoch in (0, 1)]
    assert len(seen) == 10 and all(len(values) == len(digits.train) for values in lost)
    assert sorted(lost[0].tolist()) != sorted(lost[1].tolist())


def test_stopped_within_an_epoch_and_resumed_it_is_the_same_run(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(digits, augment="flip,crop:2")
    calls = 0
    apply = pc.training.TrainingStep.__call__

    def fail_in_the_second_epoch(*arguments: Any, **named: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        return apply(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(pc.training.TrainingStep, "__call__", fail_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(digits, tmp_path / "a", augment="flip,crop:2", checkpoint_every=1)
    assert checkpoint.load(tmp_path / "a/ckpt/last").position.batch == 2
    resumed = train(digits, tmp_path / "a", augment="flip:0.5,crop:2", resume=True)
    assert figures_of(resumed) == figures_of(whole)
    assert same_weights(resumed.model.parameters, whole.model.parameters)


def test_the_run_folder_knows_it_and_resuming_without_it_is_refused(digits: Any, tmp_path: Path) -> None:
    run = train(digits, tmp_path / "a", epochs=1, augment="crop")
    assert run.config["training"]["augment"] == "crop:4"
    with pytest.raises(UsageError, match="augment was crop:4, now not set"):
        train(digits, tmp_path / "a", resume=True)
