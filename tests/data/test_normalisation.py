"""Normalisation: the formula, its exactness, and its way through data.json."""

import json

import numpy as np
import pytest

from pellucid.data import Normalisation
from pellucid.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 6)).astype(np.uint8)
IMAGES[:, 1] //= 3


def test_measured_per_channel():
    measured = Normalisation.measured_on(IMAGES)
    for channel in range(3):
        values = [int(value) / 255 for value in IMAGES[:, channel].ravel()]
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        assert measured.mean[channel] == pytest.approx(mean, rel=1e-12)
        assert measured.std[channel] == pytest.approx(variance**0.5, rel=1e-12)
    assert measured.full_scale == 255


def test_measured_in_pieces_or_at_once(monkeypatch):
    from pellucid.data import normalisation

    at_once = Normalisation.measured_on(IMAGES)
    monkeypatch.setattr(normalisation, "COUNTED_TOGETHER", 7)
    assert Normalisation.measured_on(IMAGES) == at_once


def test_floats_are_measured_as_they_are():
    images = np.random.default_rng(1).normal(3, 2, (50, 2, 4, 4)).astype(np.float32)
    measured = Normalisation.measured_on(images)
    assert measured.full_scale == 1
    assert measured.mean == pytest.approx(images.astype(np.float64).mean((0, 2, 3)), rel=1e-9)
    applied = measured.apply(images)
    assert applied.dtype == np.float32
    assert abs(float(applied.mean())) < 1e-5 and float(applied.std()) == pytest.approx(1, abs=1e-5)


def test_the_formula():
    normalisation = Normalisation((0.5, 0.25, 0.0), (0.5, 0.125, 2.0))
    applied = normalisation.apply(IMAGES)
    assert applied.dtype == np.float32 and applied.shape == IMAGES.shape
    expected = (IMAGES / 255.0 - np.array([0.5, 0.25, 0.0])[:, None, None]) / np.array([0.5, 0.125, 2.0])[:, None, None]
    np.testing.assert_array_equal(applied, expected.astype(np.float32))


def test_a_channel_without_variation():
    images = np.full((3, 2, 4, 4), 51, np.uint8)
    images[0, 1] = 0
    measured = Normalisation.measured_on(images)
    assert measured.std[0] == 1.0
    assert np.isfinite(measured.apply(images)).all()
    np.testing.assert_allclose(measured.apply(images)[:, 0], 0, atol=1e-7)


def test_through_json():
    measured = Normalisation.measured_on(IMAGES)
    assert Normalisation.from_json(json.loads(json.dumps(measured.to_json()))) == measured


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"mean": [0.1], "std": [1.0]},
        {"mean": 0.1, "std": [1.0], "full_scale": 255},
        {"mean": ["0.1"], "std": [1.0], "full_scale": 255},
        {"mean": [True], "std": [1.0], "full_scale": 255},
        {"mean": [0.1], "std": [1.0], "full_scale": None},
    ],
)
def test_other_documents(document):
    with pytest.raises(DataError, match="a stored normalisation has the numbers mean, std and full_scale"):
        Normalisation.from_json(document)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((), (), "one finite mean and deviation per channel"),
        ((0.1, 0.2), (1.0,), "one finite mean and deviation per channel"),
        ((float("nan"),), (1.0,), "one finite mean and deviation per channel"),
        ((0.1,), (0.0,), "must be positive"),
        ((0.1,), (-1.0,), "must be positive"),
    ],
)
def test_numbers_that_cannot_be(mean, std, message):
    with pytest.raises(DataError, match=message):
        Normalisation(mean, std)


def test_images_with_other_channels():
    with pytest.raises(DataError, match=r"for images \(N, 1, H, W\), but these are \(40, 3, 5, 6\)"):
        Normalisation((0.1,), (1.0,)).apply(IMAGES)
