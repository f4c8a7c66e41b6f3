"""The embedded digits: the original values, a fixed and stratified test split, and their licence."""

import hashlib
from importlib import resources

import numpy as np
import pytest

from pellucid.data import load
from pellucid.data.digits import load_digits
from pellucid.data.source import Request
from pellucid.errors import UsageError

PER_CLASS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def archive() -> dict[str, np.ndarray]:
    with (
        resources.files("pellucid.data").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        return dict(arrays)


def test_the_published_counts():
    arrays = archive()
    assert arrays["images"].shape == (1797, 8, 8)
    assert arrays["images"].min() == 0 and arrays["images"].max() == 16
    # The class distribution of the test set in the UCI description.
    assert np.bincount(arrays["labels"]).tolist() == PER_CLASS


def test_the_values_have_not_changed():
    arrays = archive()
    assert hashlib.sha256(arrays["images"].tobytes() + arrays["labels"].tobytes()).hexdigest() == (
        "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    )


def test_equal_to_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="compares with scikit-learn")
    original = datasets.load_digits()
    arrays = archive()
    np.testing.assert_array_equal(arrays["images"], original.images)
    np.testing.assert_array_equal(arrays["labels"], original.target)


def test_ink_is_stretched_to_bytes():
    part = load_digits(Request()).parts["all"]
    expected = np.floor(archive()["images"] * (255 / 16) + 0.5)
    assert part.images.dtype == np.uint8
    np.testing.assert_array_equal(part.images[:, 0], expected)


def test_the_test_split_is_fixed_and_stratified():
    splits = load("digits")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1293, 145, 359)
    for name, whole in zip(splits.classes, PER_CLASS, strict=True):
        assert abs(splits.test.counts()[name] - 0.2 * whole) <= 0.5
    assert hashlib.sha256(splits.test.images.tobytes()).hexdigest() == (
        "a1fc493e545a31e4a060d20c8669a99acca3358f63b5f685164abf3e2afc57ad"
    )
    other = load("digits", seed=123, validation=0.3)
    np.testing.assert_array_equal(splits.test.images, other.test.images)
    assert not np.array_equal(splits.validation.labels, other.validation.labels[: len(splits.validation)])


def test_no_image_is_in_two_splits_or_lost():
    splits = load("digits")
    parts = [splits.train, splits.validation, splits.test]
    found = sorted(
        image.tobytes() + bytes([label])
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    )
    source = load_digits(Request()).parts["all"]
    assert found == sorted(
        image.tobytes() + bytes([label]) for image, label in zip(source.images, source.labels, strict=True)
    )


@pytest.mark.parametrize("side", [28, 32])
def test_resized_bilinearly(side):
    """Against plain bilinear interpolation: pixel centres at half steps, the edge repeated."""
    small = load("digits").train.images[:20, 0].astype(np.float64)
    large = load("digits", size=side).train.images[:20, 0]
    assert large.shape == (20, side, side)
    position = np.clip((np.arange(side) + 0.5) * 8 / side - 0.5, 0, 7)
    low = np.floor(position).astype(int)
    high, weight = np.minimum(low + 1, 7), position - low
    rows = small[:, low] * (1 - weight)[:, None] + small[:, high] * weight[:, None]
    expected = rows[:, :, low] * (1 - weight) + rows[:, :, high] * weight
    # Pillow rounds to whole numbers after each direction.
    assert np.abs(large - expected).max() <= 1.01


def test_ships_with_its_licence():
    text = resources.files("pellucid.data").joinpath("digits-LICENCE.txt").read_text("utf-8")
    for needed in (
        "Alpaydin",
        "10.24432/C50P49",
        "CC BY 4.0",
        "https://creativecommons.org/licenses/by/4.0/",
        "Changes made",
    ):
        assert needed in text


def test_root_is_refused():
    with pytest.raises(UsageError, match="needs no folder: leave root out"):
        load("digits", root="somewhere")
