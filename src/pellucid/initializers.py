"""Initial values of parameters.

A weight has the shape (outputs, inputs) or (outputs, inputs, height, width); its fan-in is the number of inputs
that one output reads, its fan-out the number of outputs that one input reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pellucid.errors import UsageError

Values = npt.NDArray[np.float32]
Initializer = Callable[[np.random.Generator, tuple[int, ...]], Values]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan-in and fan-out of a weight of this shape."""
    if len(shape) < 2:
        raise UsageError(f"a weight of shape {shape} has no fan-in: it needs outputs and inputs")
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


def _uniform(generator: np.random.Generator, shape: tuple[int, ...], bound: float) -> Values:
    return generator.uniform(-bound, bound, shape).astype(np.float32)


def _normal(generator: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Values:
    return (generator.standard_normal(shape) * deviation).astype(np.float32)


def zeros(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """All zero."""
    return np.zeros(shape, np.float32)


def ones(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """All one."""
    return np.ones(shape, np.float32)


def notes_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """The notes `architecture`: +-sqrt(maps_out / ((maps_in + maps_out) k^2)); dense weights +-sqrt(6 / (in + out))."""
    outputs, inputs = shape[0], shape[1]
    if len(shape) == 2:
        return _uniform(generator, shape, math.sqrt(6 / (inputs + outputs)))
    return _uniform(generator, shape, math.sqrt(outputs / ((inputs + outputs) * math.prod(shape[2:]))))


def glorot_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """+-sqrt(6 / (fan-in + fan-out)): Glorot and Bengio, AISTATS 2010."""
    return _uniform(generator, shape, math.sqrt(6 / sum(fans(shape))))


def glorot_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Standard deviation sqrt(2 / (fan-in + fan-out)): Glorot and Bengio, AISTATS 2010."""
    return _normal(generator, shape, math.sqrt(2 / sum(fans(shape))))


def he_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """+-sqrt(6 / fan-in), for layers followed by ReLU: He et al., ICCV 2015."""
    return _uniform(generator, shape, math.sqrt(6 / fans(shape)[0]))


def he_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Standard deviation sqrt(2 / fan-in), for layers followed by ReLU: He et al., ICCV 2015."""
    return _normal(generator, shape, math.sqrt(2 / fans(shape)[0]))


def he_normal_fan_out(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Standard deviation sqrt(2 / fan-out), which keeps the gradient's size: He et al., ICCV 2015."""
    return _normal(generator, shape, math.sqrt(2 / fans(shape)[1]))


def lecun_1998(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """+-2.4 / fan-in: LeCun et al., Proc. IEEE 1998, appendix A."""
    return _uniform(generator, shape, 2.4 / fans(shape)[0])


def normal(deviation: float) -> Initializer:
    """An initializer with this standard deviation whatever the fan-in, as the networks before 2015 have it."""

    def drawn(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
        return _normal(generator, shape, deviation)

    return drawn


def fan_in_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """+-sqrt(1 / fan-in): LeCun et al., "Efficient BackProp", 1998 (in spirit); PyTorch's default for weights."""
    return _uniform(generator, shape, math.sqrt(1 / fans(shape)[0]))


_BY_NAME: dict[str, Initializer] = {
    f.__name__: f
    for f in (
        zeros,
        ones,
        notes_uniform,
        glorot_uniform,
        glorot_normal,
        he_uniform,
        he_normal,
        he_normal_fan_out,
        fan_in_uniform,
        lecun_1998,
    )
}


def get(initializer: str | Initializer) -> Initializer:
    """An initializer by name; UsageError if there is none of that name."""
    if callable(initializer):
        return initializer
    if initializer not in _BY_NAME:
        raise UsageError(f"unknown initializer {initializer!r}: choose one of {', '.join(_BY_NAME)}")
    return _BY_NAME[initializer]
