"""From an image file's bytes to pixels: which formats are opened, and what every colour mode becomes.

The rules, so that a picture means the same in training and in prediction:

- Only PNG, JPEG, BMP, GIF (first frame), TIFF, WebP and PPM/PGM/PBM are opened, whatever the name.
- EXIF orientation is applied first: pixels come out as a viewer shows them. Damaged EXIF counts as none.
- Transparency (alpha channel, palette or key colour) is composited on white.
- 16-bit grey is scaled to 8 bits as round(v * 255 / 65535); of 16-bit colour the upper 8 bits.
- 1-bit becomes 0 and 255; palettes, CMYK, YCbCr, LAB become RGB. 32-bit integers and floats have no agreed
  white and are refused.
- One channel from three: the luma of ITU-R BT.601 as Pillow computes it. Three from one: three equal copies.
- Another size: bilinear, the whole picture stretched to (height, width); when shrinking, Pillow's filter
  widens with the scale, so that nothing is skipped.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pellucid.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
    ".ppm", ".pgm", ".pbm", ".pnm",
})  # fmt: skip
MAX_PIXELS = 89_478_485
"""Larger pictures are refused before they are unpacked (Pillow's own bound for decompression bombs)."""
MAX_FILE_BYTES = 1 << 28

_ORIENTATION_TAG = 0x0112


def open_image(data: bytes) -> Image.Image:
    """Decode an image file to a Pillow image of mode "L" or "RGB", following the rules above.

    Raises DataError with the reason alone (the caller knows the path).
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise DataError("the file is empty")
    Image.init()
    known = tuple(name for name in FORMATS if name in Image.OPEN)
    try:
        with Image.open(io.BytesIO(data), formats=known) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{image.width}x{image.height} pixels are more than the allowed {MAX_PIXELS}")
            image.load()
            return _flattened(_upright(image))
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"not an image in one of the formats {', '.join(known)}") from error
    except Exception as error:
        # Pillow reports damage with at least seven exception types, SyntaxError and TypeError among them.
        raise DataError(f"cannot be decoded ({type(error).__name__}: {error})") from error


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation (Pillow has already done so for TIFF)."""
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # A damaged EXIF block says nothing about the picture, which has been decoded without fault.
        turn = None
    return image if turn is None else image.transpose(turn)


def _flattened(image: Image.Image) -> Image.Image:
    """Any mode to "L" or "RGB", transparency composited on white."""
    if image.mode.startswith("I"):
        image = _from_sixteen_bits(image)
    if image.mode == "F":
        raise DataError("holds 32-bit floats, which have no agreed white; save it with 8 or 16 bits")
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode == "PA" or (image.mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
    elif image.mode in ("1", "L") and "transparency" in image.info:
        image = image.convert("LA")
    elif image.mode == "RGB" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        return _on_white(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    """Grey with more than 8 bits to "L", or to "LA" when one value is declared transparent."""
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    # Pillow also reads 16-bit PGM into 32-bit integers, but then the values are known to end at 65535.
    known_range = image.mode != "I" or image.format in ("PNG", "PPM")
    if not known_range or values.min() < 0 or values.max() > 65535:
        raise DataError("holds 32-bit integers, which have no agreed white; save it with 8 or 16 bits")
    grey = Image.fromarray(scale_sixteen_bits(values))
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey
    opaque = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, opaque))


def scale_sixteen_bits(values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """0..65535 to 0..255, rounded to the nearest."""
    return ((values.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    alpha = image.getchannel("A")
    colours = image.convert("L" if image.mode == "LA" else "RGB")
    white = Image.new(colours.mode, colours.size, "white")
    return Image.composite(colours, white, alpha)


def to_pixels(
    image: Image.Image, size: tuple[int, int] | None = None, channels: int | None = None
) -> npt.NDArray[np.uint8]:
    """A Pillow image of mode "L" or "RGB" to pixels (C, H, W), resized to (height, width) if given."""
    from PIL import Image

    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[np.newaxis] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def convert_channels(images: npt.NDArray[np.uint8], channels: int | None) -> npt.NDArray[np.uint8]:
    """Images (N, C, H, W) with 1 or 3 channels to the number asked for (None: as they are)."""
    have = images.shape[1]
    if channels is None or channels == have:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=1)
    red, green, blue = (images[:, channel].astype(np.uint32) for channel in range(3))
    # Pillow's integer form of 0.299 R + 0.587 G + 0.114 B, so that arrays and files give the same grey.
    luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return luma.astype(np.uint8)[:, np.newaxis]


def resize_images(images: npt.NDArray[np.uint8], size: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    """Images (N, C, H, W) to another (height, width), exactly as ``to_pixels`` resizes one picture."""
    if size is None or images.shape[2:] == size:
        return images
    from PIL import Image

    count, channels = images.shape[:2]
    resized = np.empty((count, channels, *size), np.uint8)
    for index, image in enumerate(images):
        picture = Image.fromarray(image[0] if channels == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
        resized[index] = to_pixels(picture, size)
    return resized
