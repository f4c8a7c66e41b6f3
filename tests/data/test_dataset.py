"""One split in memory: what it gives, and what it does not accept."""

import numpy as np
import pytest

from pellucid.data import Dataset, Normalisation
from pellucid.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 1, 2, 3)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 0])
PLAIN = Normalisation((0.0,), (1.0,))


def test_images_and_batches():
    dataset = Dataset(IMAGES, LABELS, ("a", "b", "c", "d"), PLAIN)
    assert len(dataset) == 6 and dataset.image_shape == (1, 2, 3)
    assert dataset.counts() == {"a": 3, "b": 2, "c": 1, "d": 0}
    image = dataset.image(4)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, (IMAGES[4] / 255).astype(np.float32))
    x, y = dataset.batch([5, 0, 5])
    assert y.tolist() == [0, 0, 0] and y.dtype == np.int64
    np.testing.assert_array_equal(x, np.stack([dataset.image(5), dataset.image(0), dataset.image(5)]))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            IMAGES[0],
            LABELS,
            r"images must be \(N, C, H, W\) of uint8 or float32, but are \(1, 2, 3\) of uint8",
        ),
        (IMAGES.astype(float), LABELS, "but are .* of float64"),
        (IMAGES, LABELS[:5], r"labels must be \(6,\) of int64, one per image, but are \(5,\)"),
        (IMAGES, LABELS.astype(np.int32), "of int32"),
        (IMAGES[:0], LABELS[:0], "there are no pixels"),
        (IMAGES, LABELS - 1, "labels must go from 0 to 2, but go from -1 to 1"),
        (IMAGES, LABELS + 1, "labels must go from 0 to 2, but go from 1 to 3"),
    ],
)
def test_what_does_not_fit(images, labels, message):
    with pytest.raises(DataError, match=message):
        Dataset(images, labels, ("a", "b", "c"), PLAIN)
