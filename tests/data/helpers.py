"""Files made by hand: encoders of our own, so that no test checks a library against itself."""

import gzip
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes, as the format's description says."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + b"".join(struct.pack(">I", n) for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


def png_bytes(samples: np.ndarray, colour_type: int, depth: int = 8, chunks: bytes = b"") -> bytes:
    """A PNG with unfiltered rows; ``samples`` is (H, W) or (H, W, C), already packed when depth < 8."""
    height = samples.shape[0]
    width = samples.shape[1] if depth >= 8 else samples.shape[1] * 8 // depth
    data = samples.astype(">u2" if depth == 16 else np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in data)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + chunks + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def grey_png(seed: int, side: int = 6) -> bytes:
    """A small grey picture that differs for every seed."""
    return png_bytes(np.random.default_rng(seed).integers(0, 256, (side, side)), colour_type=0)


def class_folders(root: Path, counts: dict[str, int], side: int = 6, seed: int = 0) -> Path:
    """CLASS/NN.png below ``root``, all different."""
    for number, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            content = grey_png(seed + 1000 * number + index, side)
            (folder / f"{index:03}.png").write_bytes(content)
    return root


def idx_set(
    folder: Path, name: str = "", train: int = 40, test: int = 20, packed: bool = True
) -> dict[str, np.ndarray]:
    """Four IDX files of 4x5 images in two or more classes; returns the arrays by file stem."""
    generator = np.random.default_rng(7)
    arrays = {}
    for stem, count in (("train", train), ("t10k", test)):
        arrays[f"{stem}-images-idx3-ubyte"] = generator.integers(0, 256, (count, 4, 5))
        arrays[f"{stem}-labels-idx1-ubyte"] = np.arange(count) % 10
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (stem + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return arrays
