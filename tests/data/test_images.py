"""Decoding pictures: every listed format and mode against values made by hand, the rest refused."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from pellucid.data.images import MAX_PIXELS, convert_channels, open_image, resize_images, to_pixels
from pellucid.errors import DataError
from tests.data.helpers import png_bytes, png_chunk, saved

GENERATOR = np.random.default_rng(1)
GREY = GENERATOR.integers(0, 256, (5, 7)).astype(np.uint8)
COLOUR = GENERATOR.integers(0, 256, (5, 7, 3)).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(16) * 8, np.arange(24) * 5).astype(np.uint8)


def pixels(data: bytes, **options: object) -> np.ndarray:
    return to_pixels(open_image(data), **options)


def channels_first(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 0, 1)


def test_grey_and_colour_png():
    np.testing.assert_array_equal(pixels(png_bytes(GREY, 0)), GREY[None])
    np.testing.assert_array_equal(pixels(png_bytes(COLOUR, 2)), channels_first(COLOUR))


def test_portable_maps():
    np.testing.assert_array_equal(pixels(b"P5 7 5 255\n" + GREY.tobytes()), GREY[None])
    np.testing.assert_array_equal(pixels(b"P6 7 5 255\n" + COLOUR.tobytes()), channels_first(COLOUR))
    # In a bitmap 1 is black.
    np.testing.assert_array_equal(pixels(b"P1 3 2\n1 0 1\n0 0 1\n"), [[[0, 255, 0], [255, 255, 0]]])


def test_bmp():
    # Rows bottom-up, blue green red, each padded to four bytes.
    rows = b"".join(row[:, ::-1].tobytes() + b"\0" * (-21 % 4) for row in COLOUR[::-1])
    data = b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54)
    data += struct.pack("<IiiHHIIiiII", 40, 7, 5, 1, 24, 0, len(rows), 0, 0, 0, 0) + rows
    np.testing.assert_array_equal(pixels(data), channels_first(COLOUR))


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [("TIFF", {}, 0), ("TIFF", {"compression": "tiff_lzw"}, 0), ("WEBP", {"lossless": True}, 0),
     ("JPEG", {"quality": 95}, 10), ("WEBP", {"quality": 95}, 12)],
)  # fmt: skip
def test_other_formats(format, options, tolerance):
    colour = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH // 2], axis=2)
    found = pixels(saved(Image.fromarray(colour), format, **options))
    assert np.abs(found.astype(int) - channels_first(colour)).max() <= tolerance


def test_grey_jpeg_keeps_one_channel():
    found = pixels(saved(Image.fromarray(SMOOTH), "JPEG", quality=95))
    assert found.shape == (1, 16, 24)
    assert np.abs(found.astype(int) - SMOOTH).max() <= 4


def test_the_first_frame_of_a_gif():
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(pixels(data), channels_first(np.full((3, 4, 3), (255, 0, 0))))


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    alpha = alpha[..., None] if colour.ndim == 3 else alpha
    return colour * (alpha / 255) + 255 * (1 - alpha / 255)


def test_alpha_is_composited_on_white():
    alpha = GENERATOR.integers(0, 256, (5, 7))
    alpha[0, :3] = 0, 128, 255
    found = pixels(png_bytes(np.dstack([COLOUR, alpha]), 6))
    assert np.abs(found - channels_first(over_white(COLOUR, alpha))).max() <= 0.51
    assert found[:, 0, 0].tolist() == [255, 255, 255]
    assert found[:, 0, 2].tolist() == COLOUR[0, 2].tolist()
    found = pixels(png_bytes(np.dstack([GREY, alpha]), 4))
    assert found.shape == (1, 5, 7)
    assert np.abs(found[0] - over_white(GREY, alpha)).max() <= 0.51


def test_palette_with_transparency():
    palette = png_chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 0, 0, 0, 0]))
    indices = np.array([[0, 1, 2], [2, 1, 0]])
    plain = pixels(png_bytes(indices, 3, chunks=palette))
    np.testing.assert_array_equal(plain[:, 0], [[10, 200, 0], [20, 100, 0], [30, 0, 0]])
    clear = pixels(png_bytes(indices, 3, chunks=palette + png_chunk(b"tRNS", bytes([255, 0, 51]))))
    # 51/255 = 20% black over white leaves 204.
    np.testing.assert_array_equal(clear[:, 0], [[10, 255, 204], [20, 255, 204], [30, 255, 204]])


def test_a_key_colour_is_transparent():
    grey = np.array([[7, 8], [9, 7]])
    found = pixels(png_bytes(grey, 0, chunks=png_chunk(b"tRNS", struct.pack(">H", 7))))
    np.testing.assert_array_equal(found, [[[255, 8], [9, 255]]])
    colour = np.array([[[1, 2, 3], [1, 2, 4]]])
    found = pixels(png_bytes(colour, 2, chunks=png_chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))))
    np.testing.assert_array_equal(found[:, 0], [[255, 1], [255, 2], [255, 4]])


def test_cmyk():
    ink = np.zeros((1, 3, 4), np.uint8)
    ink[0, 1, 0] = 255
    ink[0, 2, 3] = 255
    found = pixels(saved(Image.frombytes("CMYK", (3, 1), ink.tobytes()), "TIFF"))
    np.testing.assert_array_equal(found[:, 0], [[255, 0, 0], [255, 255, 0], [255, 255, 0]])


def test_lab_becomes_colour():
    found = pixels(saved(Image.frombytes("LAB", (2, 1), bytes([0, 0, 0, 255, 0, 0])), "TIFF"))
    assert found.shape == (3, 1, 2)
    assert found[:, 0, 0].max() <= 3 and found[:, 0, 1].min() >= 252


SIXTEEN = np.array([[0, 1, 128, 129], [255, 256, 257, 32896], [40000, 65278, 65534, 65535]])
EIGHT = np.floor(SIXTEEN * 255 / 65535 + 0.5)


@pytest.mark.parametrize(
    "data",
    [
        png_bytes(SIXTEEN, 0, depth=16),
        b"P5 4 3 65535\n" + SIXTEEN.astype(">u2").tobytes(),
        saved(Image.fromarray(SIXTEEN.astype(np.uint16)), "TIFF"),
    ],
    ids=["png", "pgm", "tiff"],
)
def test_sixteen_bits_are_scaled_not_cut(data):
    np.testing.assert_array_equal(pixels(data), EIGHT[None])


def test_big_endian_tiff_of_sixteen_bits():
    image = Image.frombytes("I;16B", (4, 3), SIXTEEN.astype(">u2").tobytes())
    np.testing.assert_array_equal(pixels(saved(image, "TIFF")), EIGHT[None])


def test_sixteen_bits_with_a_transparent_value():
    data = png_bytes(SIXTEEN, 0, depth=16, chunks=png_chunk(b"tRNS", struct.pack(">H", 256)))
    expected = EIGHT.copy()
    expected[1, 1] = 255
    np.testing.assert_array_equal(pixels(data), expected[None])


def test_sixteen_bit_colour_keeps_the_upper_byte():
    colour = GENERATOR.integers(0, 65536, (2, 3, 3))
    np.testing.assert_array_equal(pixels(png_bytes(colour, 2, depth=16)), channels_first(colour // 256))


def test_one_bit():
    found = pixels(png_bytes(np.array([[0b10110000], [0b00000001]]), 0, depth=1))
    np.testing.assert_array_equal(found, [[[255, 0, 255, 255, 0, 0, 0, 0], [0] * 7 + [255]]])


@pytest.mark.parametrize(
    ("array", "reason"),
    [(np.ones((2, 2), np.float32), "32-bit floats, which have no agreed white"),
     (np.full((2, 2), 70000, np.int32), "32-bit integers, which have no agreed white")],
)  # fmt: skip
def test_values_without_an_agreed_white_are_refused(array, reason):
    with pytest.raises(DataError, match=reason):
        open_image(saved(Image.fromarray(array), "TIFF"))


# What a viewer shows for each orientation: where the stored first row and first column belong.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: a.T[:, ::-1],
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: a.T[::-1],
}


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "JPEG" else {}
    found = pixels(saved(Image.fromarray(SMOOTH), format, exif=exif, **options), channels=1)[0]
    expected = UPRIGHT[orientation](SMOOTH)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (3 if format == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0rubbish" * 3])
def test_damaged_exif_does_not_cost_the_picture(exif, recwarn):
    plain = saved(Image.fromarray(SMOOTH), "JPEG", quality=100)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    found = pixels(plain[:2] + segment + plain[2:])
    assert np.abs(found[0].astype(int) - SMOOTH).max() <= 2


@pytest.mark.parametrize("exif", [b"", b"II", b"rubbish, not a TIFF header", b"MM\0*\xff\xff\xff\xff"])
def test_damaged_exif_in_a_png(exif):
    np.testing.assert_array_equal(pixels(png_bytes(GREY, 0, chunks=png_chunk(b"eXIf", exif))), GREY[None])


def test_a_picture_of_several_is_the_first(recwarn):
    """Cameras write JPEG files with further pictures behind the first (MPO)."""
    second = Image.fromarray(SMOOTH[::-1].copy())
    data = saved(Image.fromarray(SMOOTH), "MPO", save_all=True, append_images=[second], quality=100)
    assert np.abs(pixels(data, channels=1)[0].astype(int) - SMOOTH).max() <= 3


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_unknown_orientation_is_none(value):
    exif = Image.Exif()
    exif[0x0112] = value
    np.testing.assert_array_equal(pixels(saved(Image.fromarray(SMOOTH), "PNG", exif=exif)), SMOOTH[None])


@pytest.mark.parametrize("format", ["ICO", "TGA", "PCX", "EPS", "SGI", "ICNS"])
def test_formats_that_are_not_listed_are_not_opened(format):
    side = 32 if format == "ICNS" else 16
    data = saved(Image.new("RGB", (side, side), "red"), format)
    Image.open(io.BytesIO(data)).close()
    with pytest.raises(DataError, match="not an image in one of the formats PNG, JPEG, BMP, GIF, TIFF, WEBP, PPM"):
        open_image(data)


@pytest.mark.parametrize("data", [b"x", b"hello world", b"%PDF-1.7\n", b"<svg></svg>", bytes(1000)])
def test_other_contents_are_refused(data):
    with pytest.raises(DataError, match="not an image in one of the formats"):
        open_image(data)


def test_empty_files():
    with pytest.raises(DataError, match="the file is empty"):
        open_image(b"")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_truncated_files_are_refused(format, recwarn):
    data = saved(Image.fromarray(GENERATOR.integers(0, 256, (20, 20, 3)).astype(np.uint8)), format)
    whole = pixels(data)
    for length in range(1, len(data) - 2, max(1, len(data) // 60)):
        try:
            found = pixels(data[:length])
        except DataError:
            continue
        # What decodes nevertheless (only trailing bytes were lost) must be the whole picture.
        np.testing.assert_array_equal(found, whole)
    with pytest.raises(DataError):
        open_image(data[: len(data) // 2])


def test_damaged_files_raise_nothing_but_data_errors(recwarn):
    """A little fuzzing: random bytes overwritten in every format."""
    picture = Image.fromarray(GENERATOR.integers(0, 256, (12, 12, 3)).astype(np.uint8))
    generator = np.random.default_rng(5)
    refused = 0
    for format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        data = saved(picture, format)
        for _ in range(60):
            damaged = bytearray(data)
            for position in generator.integers(0, min(len(data), 200), 3):
                damaged[position] = generator.integers(0, 256)
            try:
                open_image(bytes(damaged))
            except DataError:
                refused += 1
    assert refused > 100


def one_bit_png(side: int) -> bytes:
    """A black square; a good file, but for the pixels that a larger ``side`` promises."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(9460 * (1 + 9460 // 8)), 9)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    ("side", "reason"),
    [(9460, "9460x9460 pixels are more than the allowed 89478485"), (60000, "DecompressionBombError")],
)
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side, reason):
    assert side * side > MAX_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(DataError, match=reason):
            open_image(one_bit_png(side))


def test_grey_from_colour_and_back():
    images = GENERATOR.integers(0, 256, (6, 3, 4, 5)).astype(np.uint8)
    grey = convert_channels(images, 1)
    luma = images[:, 0] * 0.299 + images[:, 1] * 0.587 + images[:, 2] * 0.114
    assert np.abs(grey[:, 0] - luma).max() <= 0.51
    for image, expected in zip(images, grey, strict=True):
        file = png_bytes(image.transpose(1, 2, 0), 2)
        np.testing.assert_array_equal(pixels(file, channels=1), expected)
    tripled = convert_channels(grey, 3)
    assert tripled.shape == images.shape
    for channel in range(3):
        np.testing.assert_array_equal(tripled[:, channel], grey[:, 0])
    assert convert_channels(images, None) is images and convert_channels(images, 3) is images


def test_resizing_keeps_a_ramp_and_averages_when_shrinking():
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))[None, None]
    halved = resize_images(ramp, (32, 32))[0, 0]
    # A triangle over four pixels of a straight ramp is the mean of the two in the middle.
    assert np.abs(halved[:, 1:-1] - (ramp[0, 0, 0, 2:-2:2] + 2.0)).max() <= 1
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    grey = resize_images(board.astype(np.uint8)[None, None], (16, 16))
    assert grey.min() >= 110 and grey.max() <= 145


def test_files_and_arrays_are_resized_alike():
    images = GENERATOR.integers(0, 256, (3, 3, 9, 11)).astype(np.uint8)
    together = resize_images(images, (6, 20))
    assert together.shape == (3, 3, 6, 20)
    for image, expected in zip(images, together, strict=True):
        np.testing.assert_array_equal(pixels(png_bytes(image.transpose(1, 2, 0), 2), size=(6, 20)), expected)
    assert resize_images(images, None) is images and resize_images(images, (9, 11)) is images
