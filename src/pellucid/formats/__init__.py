"""Files other programs read and write: weights as safetensors."""

from pellucid.formats.safetensors import (
    Weights,
    difference_report,
    load_into,
    load_weights,
    save_weights,
)

__all__ = ["Weights", "difference_report", "load_into", "load_weights", "save_weights"]
