"""One picture, prepared for a trained model exactly as its training pictures were."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid.data.images import convert_channels, open_image, resize_images, scale_sixteen_bits, to_pixels
from pellucid.data.listing import FolderTree, ListedFile
from pellucid.data.normalisation import Normalisation
from pellucid.data.options import as_channels, as_size
from pellucid.data.places import shown
from pellucid.errors import DataError


def prepare_image(
    image: str | os.PathLike[str] | npt.NDArray[np.generic],
    *,
    size: int | tuple[int, int] | None,
    channels: int | None,
    normalisation: Normalisation,
) -> npt.NDArray[np.float32]:
    """A picture as a model's input (C, H, W): from a file, or from pixels (H, W) or (H, W, 1|3).

    Pixels are uint8, uint16 or bool. Colours, size and normalisation follow the rules of training. Nothing is
    inverted: black ink on white paper stays so, even for a model trained on white digits on black. Raises
    DataError naming the path.
    """
    height_width, depth = as_size(size), as_channels(channels)
    if isinstance(image, np.ndarray):
        pixels = resize_images(convert_channels(_as_bytes(image)[np.newaxis], depth), height_width)[0]
    else:
        path = Path(image)
        try:
            data = FolderTree(path.parent).read(ListedFile((path.name,)))
            pixels = to_pixels(open_image(data), height_width, depth)
        except DataError as error:
            raise DataError(f"{shown(path)}: {error}.") from error
    (prepared,) = normalisation.apply(pixels[np.newaxis])
    return np.asarray(prepared)


def _as_bytes(image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Pixels (C, H, W) of uint8."""
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise DataError(f"an image array must be (H, W), (H, W, 1) or (H, W, 3), but is {image.shape}.")
    if image.dtype == np.bool_:
        pixels = image.astype(np.uint8) * np.uint8(255)
    elif image.dtype == np.uint16:
        pixels = scale_sixteen_bits(image.astype(np.int64))
    elif image.dtype == np.uint8:
        pixels = image.astype(np.uint8)
    else:
        raise DataError(
            f"an image array must hold uint8, uint16 or bool, but holds {image.dtype}. "
            "Scale it to 0..255 and convert it with .astype('uint8')."
        )
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
