"""The product, asked a single question at a time, in float64: a layer's output, its gradients, a loss, an
update.

Every true value of the lessons comes from here: from the equations of the layers, losses and optimisers, and
from what is derived of them. The lessons themselves only arrange numbers.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pellucid import execution, optim
from pellucid.engines import registry
from pellucid.layers import Conv2d, Layer, Linear
from pellucid.losses import Loss
from pellucid.notation import Program, Tensor

Array = NDArray[np.float64]
Parameters = Mapping[str, Array]


def output(layer: Layer, x: ArrayLike, parameters: Parameters | None = None) -> Array:
    """What a layer or model computes from ``x``, with these parameters or its own."""
    x = np.asarray(x, dtype=np.float64)
    y, _, _ = gradients(layer, x, np.zeros(output_shape(layer, x.shape)), parameters)
    return y


def output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a layer's equations give for an input of this shape; nothing is computed."""
    return layer.forward(Tensor("X", shape, role="input")).extents


def gradients(
    layer: Layer, x: ArrayLike, dy: ArrayLike, parameters: Parameters | None = None
) -> tuple[Array, Array, dict[str, Array]]:
    """A layer's output, the gradient by its input and those by its parameters, for an incoming gradient."""
    x, dy = np.asarray(x, dtype=np.float64), np.asarray(dy, dtype=np.float64)
    return execution.vjp(layer, x, dy, engine="numpy", dtype="float64", parameters=parameters)


def loss(kind: Loss, z: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """A loss and its gradient by what it judges."""
    z = np.asarray(z, dtype=np.float64)
    return execution.loss_and_gradient(kind, z, np.asarray(target), engine="numpy", dtype="float64")


def descend(parameter: ArrayLike, gradient: ArrayLike, rate: float) -> Array:
    """One step of plain gradient descent, by the optimiser's own equation."""
    values = {"W": np.asarray(parameter, dtype=np.float64), "dW": np.asarray(gradient, dtype=np.float64)}
    w, dw = (Tensor(name, array.shape, role="input") for name, array in values.items())
    rate_tensor, step = Tensor("rate", (), role="input"), Tensor("step", (), role="input", kind="int")
    new = optim.SGD(lr=rate).update(w, dw, rate_tensor, step).parameter
    executable = registry.get("numpy").compile(Program.of([new]), dtype="float64")
    return np.asarray(executable.run({**values, "rate": np.array(rate)})[new.name], dtype=np.float64)


def picture(layer: Layer, image: Array) -> Array:
    """What a layer makes of one picture of one channel."""
    y: Array = output(layer, image[None, None])[0, 0]
    return y


def dense(x: Array, weights: Array, biases: Array) -> Array:
    """A dense layer on one row of numbers, with the weights as the notes write them: inputs by outputs."""
    inputs, outputs = weights.shape
    y: Array = output(Linear(inputs, outputs), x[None], {"weight": weights.T, "bias": biases})[0]
    return y


def dense_gradients(x: Array, weights: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients of a dense layer by its one row of inputs and by its weights (inputs by outputs)."""
    inputs, outputs = weights.shape
    layer = Linear(inputs, outputs, bias=False)
    _, dx, found = gradients(layer, x[None], dy[None], {"weight": weights.T})
    return dx[0], found["weight"].T


def row(layer: Layer, x: Array, dy: Array | None = None) -> Array:
    """An activation on one row of numbers: its output, or, given ``dy``, the gradient by its input."""
    found: Array = output(layer, x[None])[0] if dy is None else gradients(layer, x[None], dy[None])[1][0]
    return found


def correlate(image: Array, kernel: Array, *, padding: int = 0) -> Array:
    """A one-channel convolution as the field's libraries mean it, with a given kernel and no bias."""
    y: Array = output(_conv(kernel, padding), image[None, None], {"weight": kernel[None, None]})[0, 0]
    return y


def correlate_gradients(image: Array, kernel: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients of `correlate` by the image and by the kernel."""
    weight = {"weight": kernel[None, None]}
    _, dx, found = gradients(_conv(kernel, 0), image[None, None], dy[None, None], weight)
    return dx[0, 0], found["weight"][0, 0]


def _conv(kernel: Array, padding: int) -> Conv2d:
    return Conv2d(1, 1, (kernel.shape[0], kernel.shape[1]), padding=padding, bias=False)
