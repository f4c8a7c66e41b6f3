"""Sheets: tiles with captions in rows, as one picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pellucid.look.colours import Array, Pixels

if TYPE_CHECKING:
    from PIL import Image, ImageFont

PAPER, INK, QUIET, FRAME = (255, 255, 255), (26, 26, 26), (96, 104, 114), (207, 214, 222)
GAP, MARGIN = 8, 14
TEXT = 13
WIDTH = 880
"""About so wide is a sheet at most."""


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3), its caption of one line or several, and boxes (top, left, bottom, right) drawn into it."""

    pixels: Pixels
    caption: str = ""
    boxes: tuple[tuple[int, int, int, int], ...] = ()


def sheet(title: str, tiles: Sequence[Tile], *, note: str = "", columns: int | None = None, side: int = 0) -> bytes:
    """The tiles in rows below a title, as a PNG.

    All tiles are enlarged by the same whole number, so that every pixel stays a square; with `side` each is fitted
    into a square of so many pixels instead. `note` stands below.
    """
    pictures = [_fitted(tile, side) if side else _enlarged(tile, _factor(tiles)) for tile in tiles]
    font, bold = _font(TEXT), _font(TEXT + 3)
    wide = max(max(p.width for p in pictures), max(_text_width(font, t.caption) for t in tiles))
    columns = columns or max(1, min(len(tiles), (WIDTH - 2 * MARGIN + GAP) // (wide + GAP)))
    lines = max(tile.caption.count("\n") + bool(tile.caption) for tile in tiles)
    high = max(p.height for p in pictures) + lines * (TEXT + 4) + GAP
    rows = math.ceil(len(tiles) / columns)
    inner = max(
        columns * (wide + GAP) - GAP, _text_width(bold, title), min(_text_width(font, note), WIDTH - 2 * MARGIN)
    )
    below = _wrapped(font, note, inner)
    height = 2 * MARGIN + TEXT + 14 + rows * high + len(below) * (TEXT + 5)
    return _drawn(title, tiles, pictures, (inner + 2 * MARGIN, height), columns, (wide, high), below)


def small(png: bytes, width: int = 320) -> bytes:
    """A copy of a sheet that is at most so wide, in 256 colours: it is embedded where many stand together."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        copy = picture.convert("RGB")
    copy.thumbnail((width, 2 * width))
    stream = io.BytesIO()
    copy.quantize(256).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _drawn(
    title: str,
    tiles: Sequence[Tile],
    pictures: Sequence[Image.Image],
    size: tuple[int, int],
    columns: int,
    cell: tuple[int, int],
    below: Sequence[str],
) -> bytes:
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    font = _font(TEXT)
    draw.text((MARGIN, MARGIN - 4), title, INK, _font(TEXT + 3))
    top = MARGIN + TEXT + 14
    for number, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        left, upper = MARGIN + number % columns * (cell[0] + GAP), top + number // columns * cell[1]
        canvas.paste(picture, (left, upper))
        draw.rectangle((left - 1, upper - 1, left + picture.width, upper + picture.height), outline=FRAME)
        draw.multiline_text((left, upper + picture.height + 2), tile.caption, QUIET, font, spacing=2)
    foot = size[1] - MARGIN - len(below) * (TEXT + 5) + 4
    for number, line in enumerate(below):
        draw.text((MARGIN, foot + number * (TEXT + 5)), line, QUIET, font)
    return png(canvas)


def png(picture: Image.Image) -> bytes:
    """A picture as a PNG, with a palette where that loses nothing."""
    from PIL import Image

    colours = picture.getcolors(256)
    if colours is not None:
        picture = picture.quantize(len(colours), dither=Image.Dither.NONE)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _factor(tiles: Sequence[Tile]) -> int:
    """By how much tiles are enlarged: small maps until they can be seen, large images not at all."""
    largest = max(max(tile.pixels.shape[:2]) for tile in tiles)
    return max(1, min(16, 96 // int(largest)))


def _enlarged(tile: Tile, factor: int) -> Image.Image:
    from PIL import Image

    pixels = tile.pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    return _with_boxes(Image.fromarray(np.ascontiguousarray(pixels)), tile, factor)


def _fitted(tile: Tile, side: int) -> Image.Image:
    from PIL import Image

    height, width = tile.pixels.shape[:2]
    factor = side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    smooth = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    return _with_boxes(Image.fromarray(np.ascontiguousarray(tile.pixels)).resize(size, smooth), tile, factor)


def _with_boxes(picture: Image.Image, tile: Tile, factor: float) -> Image.Image:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    for top, left, bottom, right in tile.boxes:
        corners = [round(k * factor) for k in (left, top, right + 1, bottom + 1)]
        draw.rectangle((corners[0], corners[1], corners[2] - 1, corners[3] - 1), outline=(213, 94, 0), width=2)
    return picture


def smooth(values: Array, height: int, width: int) -> Array:
    """A map (H', W') drawn over an image of another size, bilinear."""
    from PIL import Image

    picture = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _text_width(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> int:
    return math.ceil(max((font.getlength(line) for line in text.split("\n")), default=0))


def _wrapped(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and _text_width(font, f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
