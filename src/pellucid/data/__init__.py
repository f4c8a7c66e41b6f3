"""Data: named sets and folders of images, cut into splits, normalised, and handed out in batches.

splits = pc.data.load("digits", size=28)
for x, y in pc.data.Batches(splits.train, batch_size=64, seed=0, epoch=0): ...
"""

from pellucid.data.batches import Batches
from pellucid.data.dataset import Dataset
from pellucid.data.load import NamedDataset, from_arrays, load, names, restore
from pellucid.data.normalisation import Normalisation
from pellucid.data.places import cache_folder
from pellucid.data.prepare import prepare_image
from pellucid.data.progress import Progress, ProgressCallback
from pellucid.data.splits import Splits
from pellucid.data.transforms import RandomCrop, RandomErasing, RandomHorizontalFlip, Transform

__all__ = [
    "Batches",
    "Dataset",
    "NamedDataset",
    "Normalisation",
    "Progress",
    "ProgressCallback",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "Splits",
    "Transform",
    "cache_folder",
    "from_arrays",
    "load",
    "names",
    "prepare_image",
    "restore",
]
