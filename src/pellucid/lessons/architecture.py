"""The worked example of the notes `architecture`: a CNN with 4 and 6 feature maps, its backward pass derived
by hand.

Each function computes the item of its name from earlier items, through the product; see `workings.py`. The
notes leave the activation f open; tanh is taken, whose derivative tells its places apart.
"""
# ruff: noqa: D103  what each function computes is said by its item

import math
from fractions import Fraction
from typing import cast

import numpy as np

from pellucid import models
from pellucid.layers import Conv2d, Layer, Softmax
from pellucid.lessons import product
from pellucid.lessons.product import Array
from pellucid.lessons.workings import Comparison, Step
from pellucid.losses import CrossEntropy

Values = dict[str, Array]

# ---- What there is: parameters, bounds, shapes -------------------------------------------------------------


def model() -> models.Graph:
    return models.create("notes-cnn", activation="tanh").init(seed=0)


def parameter_terms(model: models.Graph) -> Array:
    names = ("conv1", "conv2", "fc1", "fc2")
    tensors = model.tensors()
    return np.array([tensors[f"{name}.{part}"].size for name in names for part in ("weight", "bias")])


def parameters(parameter_terms: Array) -> float:
    return float(parameter_terms.sum())


def kernel_bounds(model: models.Graph) -> Array:
    return np.array([_bound(model, "conv1.weight"), _bound(model, "conv2.weight")])


def weight_bounds(model: models.Graph) -> Array:
    return np.array([_bound(model, "fc1.weight"), _bound(model, "fc2.weight")])


def biases(model: models.Graph) -> float:
    values = np.concatenate([values for name, values in model.parameters.items() if name.endswith("bias")])
    return float(np.unique(values).item())


class _Highest:
    """Stands in for a random generator and always draws the upper bound."""

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> Array:
        return np.full(shape, high)


def _bound(model: models.Graph, name: str) -> float:
    """The bound an initialiser draws up to: the root of a fraction, which is recovered from its float32."""
    tensor = model.tensors()[name]
    drawn = tensor.initializer(cast(np.random.Generator, _Highest()), tensor.extents)
    return math.sqrt(Fraction(float(drawn.max()) ** 2).limit_denominator(1000))


def first_maps(model: models.Graph) -> Array:
    return _maps(model, "conv1")


def first_pooled(model: models.Graph) -> Array:
    return _maps(model, "pool1")


def second_maps(model: models.Graph) -> Array:
    return _maps(model, "conv2")


def second_pooled(model: models.Graph) -> Array:
    return _maps(model, "pool2")


def flattened(model: models.Graph) -> float:
    return _shape(model, "flatten")[0]


def dense_neurons(model: models.Graph) -> Array:
    return np.array([_shape(model, "fc1")[0], _shape(model, "fc2")[0]])


def full_convolution_size() -> Array:
    return np.array(product.output_shape(Conv2d(6, 4, 5, padding=4), (1, 6, 8, 8))[2:])


def _shape(model: models.Graph, layer: str) -> tuple[int, ...]:
    return next(row.output_shape for row in model.summary((1, 28, 28)).rows if row.name == layer)


def _maps(model: models.Graph, layer: str) -> Array:
    return np.array(_shape(model, layer)[1:])


# ---- One image forward and backward, layer by layer --------------------------------------------------------


def image() -> Array:
    return np.random.default_rng(3).uniform(0, 1, (1, 1, 28, 28))


def wanted() -> Array:
    return np.eye(10)[[7]]


def forward(model: models.Graph, image: Array) -> Values:
    """What every layer receives, by the layer's name, and the model's output as ``output``."""
    values, x = {}, image
    for name, node in model.nodes.items():
        values[name] = x
        x = product.output(node.layer, x)
    return {**values, "output": x}


def backward(model: models.Graph, forward: Values, wanted: Array) -> Values:
    """The gradients by what every layer gives, under its name, by its parameters, and by the ``image``."""
    _, dy = product.loss(CrossEntropy(), forward["output"], wanted)
    found: Values = {}
    for name, node in reversed(model.nodes.items()):
        found[name] = dy
        _, dy, gradients = product.gradients(node.layer, forward[name], dy)
        found |= {f"{name}.{part}": gradient for part, gradient in gradients.items()}
    return {**found, "image": dy}


def _slope(model: models.Graph, name: str, forward: Values) -> Array:
    """f', the derivative of the activation of that name where it was used."""
    x = forward[name]
    return product.gradients(model.nodes[name].layer, x, np.ones_like(x))[1]


def _weights(model: models.Graph, name: str) -> Array:
    return model.parameters[name].astype(np.float64)


# ---- Forward formulas --------------------------------------------------------------------------------------


def true_convolution(model: models.Graph, image: Array, forward: Values) -> Comparison:
    kernels, bias = _weights(model, "conv1.weight"), _weights(model, "conv1.bias")
    sums = np.zeros((4, 24, 24)) + bias[:, None, None]
    for u in range(-2, 3):
        for v in range(-2, 3):
            sums += kernels[:, 0, u + 2, v + 2, None, None] * image[0, 0, 2 - u : 26 - u, 2 - v : 26 - v]
    activation: Layer = model.nodes["act1"].layer
    return Comparison(forward["pool1"], product.output(activation, sums[None]))


def average_pooling(forward: Values) -> Comparison:
    return Comparison(forward["conv2"], _mean_of_four(forward["pool1"]))


def second_average_pooling(forward: Values) -> Comparison:
    return Comparison(forward["flatten"], _mean_of_four(forward["pool2"]))


def _mean_of_four(maps: Array) -> Array:
    """The mean of C(2i-u, 2j-v) over u and v from 0 to 1, with i and j counted from 1."""
    return np.array(sum(maps[:, :, 1 - u :: 2, 1 - v :: 2] for u in (0, 1) for v in (0, 1))) / 4


def second_convolution(model: models.Graph, forward: Values) -> Comparison:
    kernels, bias, pooled = _weights(model, "conv2.weight"), _weights(model, "conv2.bias"), forward["conv2"][0]
    sums = np.zeros((6, 8, 8)) + bias[:, None, None]
    for u in range(-2, 3):
        for v in range(-2, 3):
            window = pooled[:, 2 - u : 10 - u, 2 - v : 10 - v]
            sums += np.einsum("nm,mij->nij", kernels[:, :, u + 2, v + 2], window)
    return Comparison(forward["pool2"], product.output(model.nodes["act2"].layer, sums[None]))


def hidden_output(model: models.Graph, forward: Values) -> Comparison:
    sums = forward["fc1"] @ _weights(model, "fc1.weight").T + _weights(model, "fc1.bias")
    return Comparison(forward["fc2"], product.output(model.nodes["act3"].layer, sums))


def network_output(model: models.Graph, forward: Values) -> Comparison:
    powers = np.exp(forward["fc2"] @ _weights(model, "fc2.weight").T + _weights(model, "fc2.bias"))
    return Comparison(product.output(Softmax(), forward["output"]), powers / powers.sum())


# ---- Backward formulas -------------------------------------------------------------------------------------


def output_delta(forward: Values, backward: Values, wanted: Array) -> Comparison:
    return Comparison(backward["fc2"], product.output(Softmax(), forward["output"]) - wanted)


def output_weights_gradient(forward: Values, backward: Values) -> Comparison:
    return Comparison(backward["fc2.weight"], backward["fc2"].T @ forward["fc2"])


def output_bias_gradient(backward: Values) -> Comparison:
    return Comparison(backward["fc2.bias"], backward["fc2"][0])


def hidden_delta(model: models.Graph, forward: Values, backward: Values) -> Comparison:
    through = backward["fc2"] @ _weights(model, "fc2.weight")
    return Comparison(backward["fc1"], through * _slope(model, "act3", forward))


def hidden_weights_gradient(forward: Values, backward: Values) -> Comparison:
    return Comparison(backward["fc1.weight"], backward["fc1"].T @ forward["fc1"])


def hidden_bias_gradient(backward: Values) -> Comparison:
    return Comparison(backward["fc1.bias"], backward["fc1"][0])


def flatten_delta(model: models.Graph, backward: Values) -> Comparison:
    return Comparison(backward["flatten"], backward["fc1"] @ _weights(model, "fc1.weight"))


def second_maps_delta(model: models.Graph, forward: Values, backward: Values) -> Comparison:
    spread = _copied(backward["flatten"].reshape(1, 6, 4, 4)) / 4
    return Comparison(backward["conv2"], spread * _slope(model, "act2", forward))


def second_kernels_gradient(forward: Values, backward: Values) -> Comparison:
    maps, pooled = backward["conv2"][0], forward["conv2"][0]
    sums = np.empty((6, 4, 5, 5))
    for u in range(-2, 3):
        for v in range(-2, 3):
            window = pooled[:, 2 - u : 10 - u, 2 - v : 10 - v]
            sums[:, :, u + 2, v + 2] = np.einsum("nij,mij->nm", maps, window)
    return Comparison(backward["conv2.weight"], sums)


def second_kernels_convolution(forward: Values, backward: Values) -> Comparison:
    return Comparison(backward["conv2.weight"], _convolved(backward["conv2"][0], forward["conv2"][0]))


def second_bias_gradient(backward: Values) -> Comparison:
    return Comparison(backward["conv2.bias"], backward["conv2"][0].sum(axis=(1, 2)))


def first_pooled_delta(model: models.Graph, backward: Values) -> Comparison:
    rotated = _weights(model, "conv2.weight")[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    full = Conv2d(6, 4, 5, padding=4, bias=False, flip=True)
    return Comparison(backward["pool1"], product.output(full, backward["conv2"], {"weight": rotated}))


def first_maps_delta(model: models.Graph, forward: Values, backward: Values) -> Comparison:
    spread = _copied(backward["pool1"]) / 4
    return Comparison(backward["conv1"], spread * _slope(model, "act1", forward))


def first_kernels_gradient(image: Array, backward: Values) -> Comparison:
    return Comparison(backward["conv1.weight"], _convolved(backward["conv1"][0], image[0]))


def first_bias_gradient(backward: Values) -> Comparison:
    return Comparison(backward["conv1.bias"], backward["conv1"][0].sum(axis=(1, 2)))


def _copied(pooled: Array) -> Array:
    """Every pooled cell at the four places it was made from: index ceil(i/2), ceil(j/2), counted from 1."""
    return pooled.repeat(2, axis=2).repeat(2, axis=3)


def _convolved(deltas: Array, maps: Array) -> Array:
    """The true convolution of every rotated map with every delta."""
    rotated = maps[:, None, ::-1, ::-1]
    conv = Conv2d(1, len(deltas), (deltas.shape[1], deltas.shape[2]), bias=False, flip=True)
    return product.output(conv, rotated, {"weight": deltas[:, None]}).transpose(1, 0, 2, 3)


# ---- The update --------------------------------------------------------------------------------------------


def parameter(model: models.Graph) -> Array:
    """The first element of each of the eight kernels, weights and biases: the rule is the same for all of them."""
    return np.array([_weights(model, name).flat[0] for name in model.tensors()])


def parameter_gradient(model: models.Graph, backward: Values) -> Array:
    return np.array([backward[name].flat[0] for name in model.tensors()])


def step_size() -> float:
    return 0.05


def update(parameter: Array, parameter_gradient: Array, step_size: float) -> Array:
    return product.descend(parameter, parameter_gradient, step_size)


STEPS: tuple[Step, ...] = (
    model, parameter_terms, parameters, kernel_bounds, weight_bounds, biases, first_maps, first_pooled,
    second_maps, second_pooled, flattened, dense_neurons, full_convolution_size, image, wanted, forward,
    backward, true_convolution, average_pooling, second_convolution, second_average_pooling, hidden_output,
    network_output, output_delta, output_weights_gradient, output_bias_gradient,
    hidden_delta, hidden_weights_gradient, hidden_bias_gradient, flatten_delta, second_maps_delta,
    second_kernels_gradient, second_kernels_convolution, second_bias_gradient, first_pooled_delta, first_maps_delta,
    first_kernels_gradient, first_bias_gradient, parameter, parameter_gradient, step_size, update,
)  # fmt: skip
