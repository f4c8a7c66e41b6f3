"""One picture for prediction: exactly what training made of it."""

import numpy as np
import pytest
from PIL import Image

from pellucid.data import Normalisation, load, prepare_image
from pellucid.errors import ConfigError, DataError
from tests.data.helpers import class_folders, png_bytes, saved

PLAIN = Normalisation((0.0,), (1.0,))


@pytest.mark.parametrize(("size", "channels"), [(None, None), (9, 1), ((4, 7), 3)])
def test_as_in_training(tmp_path, size, channels):
    class_folders(tmp_path / "train", {"a": 3, "b": 3})
    splits = load(tmp_path, size=size, channels=channels, validation=0)
    for index, path in enumerate(sorted(tmp_path.rglob("*.png"))):
        prepared = prepare_image(path, size=size, channels=channels, normalisation=splits.normalisation)
        assert prepared.dtype == np.float32
        np.testing.assert_array_equal(prepared, splits.train.image(index))
        array = np.asarray(Image.open(path))
        again = prepare_image(array, size=size, channels=channels, normalisation=splits.normalisation)
        np.testing.assert_array_equal(again, prepared)


def test_all_orientations_give_the_same_input(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    stored = {1: picture, 2: picture[:, ::-1], 3: picture[::-1, ::-1], 4: picture[::-1], 5: picture.T,
              6: picture.T[::-1], 7: picture[::-1, ::-1].T, 8: picture.T[:, ::-1]}  # fmt: skip
    for orientation, array in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / "x.png").write_bytes(saved(Image.fromarray(np.ascontiguousarray(array)), "PNG", exif=exif))
        found = prepare_image(tmp_path / "x.png", size=None, channels=1, normalisation=PLAIN)
        np.testing.assert_array_equal(found[0], (picture / 255).astype(np.float32))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[True, False]]), [[[1.0, 0.0]]]),
        (np.array([[[65535], [257]]], np.uint16), [[[1.0, 1 / 255]]]),
        (np.array([[51, 102]], np.uint8), [[[0.2, 0.4]]]),
    ],
)
def test_kinds_of_arrays(array, expected):
    found = prepare_image(array, size=None, channels=None, normalisation=PLAIN)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_nothing_is_inverted(tmp_path):
    (tmp_path / "white.png").write_bytes(png_bytes(np.full((3, 3), 255), 0))
    assert prepare_image(tmp_path / "white.png", size=None, channels=1, normalisation=PLAIN).min() == 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2)), "must hold uint8, uint16 or bool, but holds float64. Scale it to 0..255"),
        (np.zeros((2, 2, 4), np.uint8), r"must be \(H, W\), \(H, W, 1\) or \(H, W, 3\), but is \(2, 2, 4\)"),
        (np.zeros((1, 1, 2, 2), np.uint8), r"but is \(1, 1, 2, 2\)"),
        (np.zeros((0, 2), np.uint8), "but is"),
    ],
)
def test_arrays_that_are_no_picture(array, message):
    with pytest.raises(DataError, match=message):
        prepare_image(array, size=None, channels=None, normalisation=PLAIN)


def test_files_that_are_no_picture(tmp_path):
    (tmp_path / "cut.png").write_bytes(png_bytes(np.zeros((30, 30)), 0)[:50])
    (tmp_path / "text.png").write_text("hello")
    for name, reason in {
        "cut.png": "cannot be decoded",
        "text.png": "not an image",
        "gone.png": "cannot be opened",
    }.items():
        with pytest.raises(DataError, match=reason) as caught:
            prepare_image(tmp_path / name, size=None, channels=None, normalisation=PLAIN)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert str(caught.value).count(name) == 1


def test_channels_that_do_not_fit(tmp_path):
    (tmp_path / "x.png").write_bytes(png_bytes(np.zeros((3, 3, 3)), 2))
    with pytest.raises(DataError, match=r"for images \(N, 1, H, W\)"):
        prepare_image(tmp_path / "x.png", size=None, channels=None, normalisation=PLAIN)
    with pytest.raises(ConfigError, match="channels must be 1"):
        prepare_image(tmp_path / "x.png", size=None, channels=2, normalisation=PLAIN)
