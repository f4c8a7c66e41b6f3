"""Files other programs read and write: weights as safetensors and from PyTorch's checkpoints."""

from pellucid.formats.checkpoint import convert_checkpoint, read_checkpoint
from pellucid.formats.safetensors import (
    Weights,
    difference_report,
    load_into,
    load_weights,
    save_model,
    save_weights,
)

__all__ = [
    "Weights",
    "convert_checkpoint",
    "difference_report",
    "load_into",
    "load_weights",
    "read_checkpoint",
    "save_model",
    "save_weights",
]
