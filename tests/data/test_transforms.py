"""Random flips and crops: right pixels, right frequencies, reproducible numbers."""

import numpy as np
import pytest

from pellucid.data import RandomCrop, RandomErasing, RandomHorizontalFlip
from pellucid.data.counter import _GOLDEN, Draws, _mixed
from pellucid.errors import ConfigError

IMAGES = np.random.default_rng(0).integers(1, 256, (400, 2, 5, 7)).astype(np.uint8)


def draws(seed: int = 0, epoch: int = 0, count: int = 400) -> Draws:
    return Draws((seed, epoch, 0), np.arange(count))


def test_the_mixing_function_is_splitmix64():
    # The first output of SplitMix64 started at 0, as published with its reference implementation.
    assert int(_mixed(np.array([_GOLDEN]))[0]) == 0xE220A8397B1DCDAF


def test_draws_are_uniform_and_independent():
    source = draws(count=20000)
    first, second = source.uniform(), source.uniform()
    for values in (first, second):
        assert values.min() >= 0 and values.max() < 1
        histogram = np.histogram(values, 20, (0, 1))[0]
        # 19 degrees of freedom, 99.99%: 51.
        assert ((histogram - 1000) ** 2 / 1000).sum() < 51
    for left, right in ((first, second), (first[:-1], first[1:])):
        assert abs(np.corrcoef(left, right)[0, 1]) < 0.03


def test_draws_depend_on_every_part_of_the_key():
    samples = np.arange(50)
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**62, 0, 0), (0, 0, 0, 0)]
    assert len({tuple(Draws(key, samples).uniform()) for key in keys}) == len(keys)


def test_draws_belong_to_the_sample():
    whole = Draws((4, 5, 6), np.arange(100))
    some = Draws((4, 5, 6), np.array([70, 3, 70]))
    for _ in range(3):
        expected = whole.uniform()
        np.testing.assert_array_equal(some.uniform(), expected[[70, 3, 70]])


def test_integers_cover_their_range():
    counts = np.bincount(draws(count=9000).integers(9), minlength=9)
    assert len(counts) == 9 and counts.min() > 850 and counts.max() < 1150


def test_flips():
    flipped = RandomHorizontalFlip()(IMAGES, draws())
    mirrored = np.array([not np.array_equal(image, old) for image, old in zip(flipped, IMAGES, strict=True)])
    assert 150 < mirrored.sum() < 250
    for image, old, is_mirrored in zip(flipped, IMAGES, mirrored, strict=True):
        np.testing.assert_array_equal(image, np.flip(old, axis=2) if is_mirrored else old)
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(IMAGES, draws()), IMAGES)
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(IMAGES, draws()), IMAGES[..., ::-1])


def test_crops_are_shifted_windows():
    cropped = RandomCrop(2)(IMAGES, draws())
    assert cropped.shape == IMAGES.shape and cropped.dtype == np.uint8
    seen = set()
    for image, old in zip(cropped, IMAGES, strict=True):
        matches = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                expected = np.zeros_like(old)
                for row in range(5):
                    for column in range(7):
                        if 0 <= row + down < 5 and 0 <= column + right < 7:
                            expected[:, row, column] = old[:, row + down, column + right]
                if np.array_equal(image, expected):
                    matches.append((down, right))
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 25
    np.testing.assert_array_equal(RandomCrop(0)(IMAGES, draws()), IMAGES)


def test_reflecting_crops_show_the_mirror_image_outside():
    cropped = RandomCrop(2, padding_mode="reflect")(IMAGES, draws())
    shifted = RandomCrop(2)(IMAGES, draws())
    inside = shifted > 0  # no pixel of IMAGES is black
    np.testing.assert_array_equal(cropped[inside], shifted[inside])
    rows, columns = np.arange(-2, 7), np.arange(-2, 9)
    mirrored = np.minimum(abs(rows), 8 - abs(rows)), np.minimum(abs(columns), 12 - abs(columns))
    for image, old in zip(cropped, IMAGES, strict=True):
        whole = old[:, mirrored[0]][:, :, mirrored[1]]
        windows = np.lib.stride_tricks.sliding_window_view(whole, (2, 5, 7))[0]
        assert (windows == image).all(axis=(2, 3, 4)).any()


def test_erased_rectangles():
    images = np.random.default_rng(1).integers(0, 256, (2000, 3, 30, 40)).astype(np.uint8)
    erased = RandomErasing(0.6)(images, draws(count=2000))
    sizes, upright = [], 0
    for image, old in zip(erased, images, strict=True):
        mean = np.floor(old.mean(axis=(1, 2))).astype(np.uint8)
        rows, columns = np.nonzero((image != old).any(axis=0))
        if len(rows) == 0:
            continue
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        box = image[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        np.testing.assert_array_equal(box, np.broadcast_to(mean[:, None, None], box.shape))
        sizes.append(height * width / 1200)
        upright += height / 30 > width / 40
    assert 1100 < len(sizes) < 1300
    assert 0.01 < min(sizes) < 0.03 and 0.3 < max(sizes) < 0.37
    assert 0.15 < np.mean(sizes) < 0.2
    assert 0.4 < upright / len(sizes) < 0.6
    np.testing.assert_array_equal(RandomErasing(0)(IMAGES, draws()), IMAGES)


def test_erasing_depends_on_the_image_and_its_numbers_alone():
    whole = RandomErasing()(IMAGES, draws())
    some = RandomErasing()(IMAGES[5:9], Draws((0, 0, 0), np.arange(5, 9)))
    np.testing.assert_array_equal(whole[5:9], some)


def test_arguments_that_cannot_be():
    with pytest.raises(ConfigError, match=r"probability must lie in 0\.\.1, but is 1\.5"):
        RandomHorizontalFlip(1.5)
    with pytest.raises(ConfigError, match="padding must be 0 or more pixels, but is -1"):
        RandomCrop(-1)
    with pytest.raises(ConfigError, match='padding_mode is "constant" or "reflect", but is \'wrap\''):
        RandomCrop(4, "wrap")
    with pytest.raises(ConfigError, match=r"probability must lie in 0\.\.1, but is -0\.5"):
        RandomErasing(-0.5)
