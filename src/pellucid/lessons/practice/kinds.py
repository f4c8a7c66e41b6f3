"""The kinds of exercises. Answers, right or misconceived, come from the layers themselves, asked in different ways.

Each kind draws numbers until every misconception gives an answer of its own: then a wrong answer can be recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pellucid.errors import UsageError
from pellucid.layers import AvgPool2d, Conv2d, Linear, MaxPool2d
from pellucid.lessons import product
from pellucid.lessons.practice.exercise import Array, Exercise, Mistake, Question

Random = np.random.Generator
Drawn = tuple[str, Mapping[str, int | str], Mapping[str, Array], tuple[Question, ...]]
"""The task's key, the values of its gaps, what is given, the questions."""

ATTEMPTS = 200


def kinds() -> tuple[str, ...]:
    """The kinds of exercises there are."""
    return tuple(_KINDS)


def make(kind: str, seed: int) -> Exercise:
    """The exercise of a kind and seed, always the same; UsageError for an unknown kind or a negative seed."""
    if kind not in _KINDS:
        raise UsageError(f"there is no kind of exercise {kind!r}; there are {', '.join(_KINDS)}")
    if seed < 0:
        raise UsageError(f"a seed is a whole number of at least 0; got {seed}")
    random = np.random.default_rng([seed, kinds().index(kind)])
    for _ in range(ATTEMPTS):
        exercise = Exercise(kind, seed, *_KINDS[kind](random))
        if exercise.telling:
            return exercise
    raise AssertionError(f"{kind}: no numbers tell the misconceptions apart")


def _image(random: Random, *shape: int) -> Array:
    return random.integers(-3, 6, shape).astype(np.float64)


def _kernel(random: Random, *shape: int) -> Array:
    return random.integers(-2, 3, shape).astype(np.float64)


def _convolved(x: Array, w: Array, b: Array | None = None, **arguments: Any) -> Array:
    """A convolution of one image (C, H, W)."""
    layer = Conv2d(w.shape[1], w.shape[0], (w.shape[2], w.shape[3]), bias=b is not None, **arguments)
    parameters = {"weight": w} if b is None else {"weight": w, "bias": b}
    y: Array = product.output(layer, x[None], parameters)[0]
    return y


# ---- forward -----------------------------------------------------------------------------------------------


def _convolution(random: Random) -> Drawn:
    x, w = _image(random, 2, 3, 3), _kernel(random, 1, 2, 2, 2)
    b = random.integers(1, 4, (1,)).astype(np.float64)
    first = w.copy()
    first[:, 1] = 0
    mistakes = (
        Mistake("flipped", _convolved(x, w, b, flip=True)),
        Mistake("channel_sum", _convolved(x, first, b)),
        Mistake("bias", _convolved(x, w)),
    )
    return "task.convolution", {}, {"X": x, "W": w, "b": b}, (Question("Y", _convolved(x, w, b), mistakes),)


def _padding(random: Random) -> Drawn:
    x, w = _image(random, 1, 3, 3), _kernel(random, 1, 1, 3, 3)
    b = random.integers(1, 4, (1,)).astype(np.float64)
    mistakes = (
        Mistake("flipped", _convolved(x, w, b, padding=1, flip=True)),
        Mistake("padding", _convolved(x, w, b)),
        Mistake("bias", _convolved(x, w, padding=1)),
    )
    answer = _convolved(x, w, b, padding=1)
    return "task.padding", {"padding": 1}, {"X": x, "W": w, "b": b}, (Question("Y", answer, mistakes),)


def _stride(random: Random) -> Drawn:
    x, w = _image(random, 1, 5, 5), _kernel(random, 1, 1, 3, 3)
    mistakes = (
        Mistake("flipped", _convolved(x, w, stride=2, flip=True)),
        Mistake("stride", _convolved(x, w)),
    )
    answer = _convolved(x, w, stride=2)
    return "task.stride", {"stride": 2}, {"X": x, "W": w}, (Question("Y", answer, mistakes),)


def _dilation(random: Random) -> Drawn:
    x, w = _image(random, 1, 4, 4), _kernel(random, 1, 1, 2, 2)
    mistakes = (
        Mistake("flipped", _convolved(x, w, dilation=2, flip=True)),
        Mistake("dilation", _convolved(x, w)),
    )
    answer = _convolved(x, w, dilation=2)
    return "task.dilation", {"dilation": 2}, {"X": x, "W": w}, (Question("Y", answer, mistakes),)


def _pooling(random: Random) -> Drawn:
    x = _image(random, 1, 4, 4)
    largest, mean = (product.output(layer, x[None])[0] for layer in (MaxPool2d(2), AvgPool2d(2)))
    first = x[:, ::2, ::2]
    if random.integers(2):
        mistakes = (
            Mistake("mean_for_max", mean),
            Mistake("first_cell", first),
            Mistake("stride", product.output(MaxPool2d(2, 1), x[None])[0]),
        )
        return "task.max_pooling", {}, {"X": x}, (Question("Y", largest, mistakes),)
    mistakes = (
        Mistake("missing_n", mean * 4),
        Mistake("max_for_mean", largest),
        Mistake("stride", product.output(AvgPool2d(2, 1), x[None])[0]),
    )
    return "task.average_pooling", {}, {"X": x}, (Question("Y", mean, mistakes),)


# ---- backward ----------------------------------------------------------------------------------------------


def _backward(random: Random) -> Drawn:
    return (_convolution_backward, _max_backward, _average_backward)[random.integers(3)](random)


def _convolution_backward(random: Random) -> Drawn:
    x, w, dy = _image(random, 1, 3, 3), _kernel(random, 1, 1, 2, 2), _kernel(random, 1, 2, 2)
    _, dx, found = product.gradients(Conv2d(1, 1, 2), x[None], dy[None], {"weight": w, "bias": np.zeros(1)})
    first = np.zeros_like(x)
    first[:, :2, :2] = dy * w[0, 0, 0, 0]
    questions = (
        Question("dX", dx[0], (Mistake("no_flip", _convolved(dy, w, padding=1)), Mistake("first_weight", first))),
        Question("dW", found["weight"], (Mistake("flipped", _convolved(x, dy[None], flip=True)[None]),)),
        Question("db", found["bias"], (Mistake("bias_mean", found["bias"] / dy.size),)),
    )
    return "task.convolution_backward", {}, {"X": x, "W": w, "dY": dy}, questions


def _max_backward(random: Random) -> Drawn:
    x = random.permutation(16).reshape(1, 4, 4).astype(np.float64)
    dy = random.permutation(np.array([-2.0, 1, 3, 4])).reshape(1, 2, 2)
    _, dx, _ = product.gradients(MaxPool2d(2), x[None], dy[None])
    first = np.zeros_like(x)
    first[:, ::2, ::2] = dy
    every = dy.repeat(2, axis=1).repeat(2, axis=2)
    mistakes = (Mistake("wrong_cell", first), Mistake("every_cell", every))
    return "task.max_backward", {}, {"X": x, "dY": dy}, (Question("dX", dx[0], mistakes),)


def _average_backward(random: Random) -> Drawn:
    dy = random.permutation(np.array([-4.0, 2, 6, 8])).reshape(1, 2, 2)
    _, dx, _ = product.gradients(AvgPool2d(2), np.zeros((1, 1, 4, 4)), dy[None])
    first = np.zeros_like(dx[0])
    first[:, ::2, ::2] = dy
    mistakes = (Mistake("missing_n", dx[0] * 4), Mistake("wrong_cell", first))
    return "task.average_backward", {}, {"dY": dy}, (Question("dX", dx[0], mistakes),)


# ---- counts ------------------------------------------------------------------------------------------------


def _parameters(random: Random) -> Drawn:
    channels, maps, size = int(random.integers(2, 5)), int(random.integers(3, 9)), int(random.choice([3, 5]))
    inputs, outputs = int(random.integers(4, 13)), int(random.integers(2, 11))
    conv, dense = Conv2d(channels, maps, size), Linear(inputs, outputs)
    questions = (
        Question(
            "conv",
            _count(conv),
            (
                Mistake("bias", _count(Conv2d(channels, maps, size, bias=False))),
                Mistake("channels", _count(Conv2d(1, maps, size))),
                Mistake("maps", _count(Conv2d(channels, 1, size))),
            ),
        ),
        Question("fc", _count(dense), (Mistake("bias", _count(Linear(inputs, outputs, bias=False))),)),
    )
    values = {"channels": channels, "maps": maps, "size": size, "inputs": inputs, "outputs": outputs}
    return "task.parameters", values, {}, questions


def _count(layer: Conv2d | Linear) -> Array:
    return np.array(float(sum(tensor.size for tensor in layer.tensors().values())))


def _sizes(random: Random) -> Drawn:
    # A padding of 1 at stride 2 could not be told from the forgotten + 1.
    n, size = int(random.integers(16, 65)), int(random.choice([5, 7, 9]))
    stride, padding, dilation = 2, int(random.integers(3, 5)), int(random.integers(1, 3))

    def rows(image: int = n, **changed: int) -> Array:
        arguments: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, **changed}
        return np.array(float(product.output_shape(Conv2d(1, 1, size, **arguments), (1, 1, image, image))[2]))

    mistakes = [
        Mistake("padding", rows(padding=0)),
        Mistake("padding_once", rows(n + padding, padding=0)),
        Mistake("stride", rows(stride=1)),
        Mistake("plus_one", rows() - 1),
    ]
    mistakes += [Mistake("dilation", rows(dilation=1))] if dilation > 1 else []
    values = {"n": n, "size": size, "stride": stride, "padding": padding, "dilation": dilation}
    return "task.sizes", values, {}, (Question("rows", rows(), tuple(mistakes)),)


_KINDS: Mapping[str, Callable[[Random], Drawn]] = {
    "convolution": _convolution,
    "padding": _padding,
    "stride": _stride,
    "dilation": _dilation,
    "pooling": _pooling,
    "backward": _backward,
    "parameters": _parameters,
    "sizes": _sizes,
}
