"""The embedded data set: 1,797 real handwritten digits of 8x8 pixels with 17 grey levels.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
1998, doi:10.24432/C50P49, licence CC BY 4.0; these are its test images, in the original order, as
scikit-learn carries them. See ``digits-LICENCE.txt`` beside this file.
"""

from __future__ import annotations

from importlib import resources

import numpy as np

from pellucid.data.source import Part, Request, Source, array_fingerprint
from pellucid.errors import UsageError

LEVELS = 16
"""Ink per 8x8 cell: the number of black pixels in a 4x4 block of the original 32x32 bitmap, 0 to 16."""


def load_digits(request: Request) -> Source:
    """The digits as uint8 images (1797, 1, 8, 8), ink 0..16 stretched to 0..255; not yet split."""
    if request.root is not None:
        raise UsageError('"digits" is part of the package and needs no folder: leave root out.')
    with (
        resources.files(__package__).joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        ink = arrays["images"].astype(np.uint16)
        labels = arrays["labels"].astype(np.int64)
    images = ((ink * 255 + LEVELS // 2) // LEVELS).astype(np.uint8)[:, np.newaxis]
    part = Part(images, labels, array_fingerprint(images, labels), "the embedded images")
    classes = tuple(str(digit) for digit in range(10))
    return Source("digits", classes, {"all": part}, place="inside the package")
