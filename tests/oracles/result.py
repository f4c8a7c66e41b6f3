"""What an oracle answers: an output and, for a given output gradient, every gradient."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """An output, the input's gradient and the gradient of every parameter by its name."""

    y: Array
    dx: Array
    gradients: dict[str, Array] = field(default_factory=dict)


def flat(array: npt.NDArray[np.generic]) -> list[float]:
    """The elements in row-major order as Python floats: lists are far quicker to loop over than arrays."""
    return [float(value) for value in array.ravel().tolist()]


def shaped(values: list[float], shape: tuple[int, ...]) -> Array:
    """The elements back in an array."""
    if len(values) != prod(shape):
        raise AssertionError(f"{len(values)} values do not fill {shape}")
    return np.array(values, dtype=np.float64).reshape(shape)
