"""Layers that users write: one equation, from which everything else must follow.

Each is unlike the built-in ones in a way that a rule of the derivation could get wrong; all are judged by
central differences, some by plain loops as well.
"""

import numpy as np
import pytest

import pellucid as pc
from pellucid.layers.base import axes
from pellucid.notation import (
    Index,
    Tensor,
    exp,
    expm1,
    indices,
    log,
    max_over,
    maximum,
    minimum,
    sqrt,
    sum_over,
)
from tests.oracles.compare import assert_close, assert_close_in_norm
from tests.oracles.differences import Point, check_gradient
from tests.oracles.inputs import separated


class Swish(pc.Layer):
    """A pointwise function with a slope to learn for every channel."""

    def __init__(self, channels: int) -> None:
        self.slope = pc.Parameter("a", (channels,), init="ones")

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j = indices("n c i j")
        y = Tensor("Y")
        y[n, c, i, j] = x[n, c, i, j] / (1 + exp(-self.slope[c] * x[n, c, i, j]))
        return y


class LocalResponse(pc.Layer):
    """Each channel divided by what its neighbours among the channels show (AlexNet)."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j = axes(x)
        k = Index("k", 3)
        around = Tensor("D", x.extents)
        around[n, c, i, j] = 1 + 0.5 * sum_over([k], x[n, c + k - 1, i, j] ** 2)
        y = Tensor("Y")
        y[n, c, i, j] = x[n, c, i, j] / around[n, c, i, j] ** 0.75
        return y


class Standardise(pc.Layer):
    """Mean 0 and variance 1 for every channel of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j = axes(x)
        m, a, b = indices("m a b")
        count = x.size // x.extents[1]
        mean, variance, y = Tensor("M"), Tensor("V"), Tensor("Y")
        mean[c] = sum_over([m, a, b], x[m, c, a, b]) / count
        variance[c] = sum_over([m, a, b], (x[m, c, a, b] - mean[c]) ** 2) / count
        y[n, c, i, j] = (x[n, c, i, j] - mean[c]) / sqrt(variance[c] + 1e-3)
        return y


class Bilinear(pc.Layer):
    """Every pair of inputs has a weight: the input is read twice in one product."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.weight = pc.Parameter("W", (outputs, inputs, inputs), init="glorot_uniform")

    def forward(self, x: Tensor) -> Tensor:
        n, o, k, m = indices("n o k m")
        y = Tensor("Y")
        y[n, o] = sum_over([k, m], x[n, k] * self.weight[o, k, m] * x[n, m])
        return y


class Mirror(pc.Layer):
    """Each value times its mirror image: one access runs backwards."""

    def forward(self, x: Tensor) -> Tensor:
        n, k = axes(x)
        last = x.extents[1] - 1
        y = Tensor("Y", x.extents)
        y[n, k] = x[n, last - k] * x[n, k]
        return y


class PixelShuffle(pc.Layer):
    """Four channels become an image of twice the size: the output is written in strides."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j = indices("n c i j")
        a, b = Index("a", 2), Index("b", 2)
        y = Tensor("Y", (x.extents[0], x.extents[1] // 4, 2 * x.extents[2], 2 * x.extents[3]))
        c = Index("c", x.extents[1] // 4)
        y[n, c, 2 * i + a, 2 * j + b] = x[n, 4 * c + 2 * a + b, i, j]
        return y


class Interleave(pc.Layer):
    """Two equations write one tensor: the values, and their squares between them."""

    def forward(self, x: Tensor) -> Tensor:
        n, k = axes(x)
        y = Tensor("Y", (x.extents[0], 2 * x.extents[1]))
        y[n, 2 * k] = x[n, k] * 3
        y[n, 2 * k + 1] = x[n, k] ** 2
        return y


class Neighbour(pc.Layer):
    """A quotient whose divisor is read one step aside, outside the image too, where it reads as 0."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j = axes(x)
        y = Tensor("Y", x.extents)
        y[n, c, i, j] = x[n, c, i, j] / (1 + x[n, c, i + 1, j - 1] ** 2)
        return y


class LogSum(pc.Layer):
    """The logarithm of a window's sum: its derivative is not finite where everything reads as 0."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j = axes(x)
        u = Index("u", 3)
        s, y = Tensor("S", x.extents), Tensor("Y")
        s[n, c, i, j] = sum_over([u], x[n, c, i + u - 1, j] ** 2)
        y[n, c, i, j] = sum_over([u], log(s[n, c, i, j]) * x[n, c, i - u + 1, j])
        return y


class ShiftedLog(pc.Layer):
    """A tensor's logarithm read aside: outside, the summand's other factor reads as 0."""

    def __init__(self, taps: int) -> None:
        self.weight = pc.Parameter("W", (taps,), init="ones")

    def forward(self, x: Tensor) -> Tensor:
        n, k = axes(x)
        u = Index("u", self.weight.extents[0])
        power, y = (
            Tensor("Q", x.extents),
            Tensor("Y", (x.extents[0], x.extents[1] - self.weight.extents[0] + 1)),
        )
        power[n, k] = log(x[n, k] ** 2) / x[n, k]
        i = Index("i", x.extents[1] - self.weight.extents[0] + 1)
        y[n, i] = sum_over([u], power[n, i + u] * self.weight[u])
        return y


class Maxout(pc.Layer):
    """The largest of three channels, times their smallest sum with the next."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j = indices("n c i j")
        c = Index("c", x.extents[1] // 3)
        k = Index("k", 3)
        most, y = Tensor("B"), Tensor("Y")
        most[n, c, i, j] = max_over([k], x[n, 3 * c + k, i, j])
        y[n, c, i, j] = most[n, c, i, j] * minimum(x[n, 3 * c, i, j] + x[n, 3 * c + 1, i, j], 2)
        return y


class Pieces(pc.Layer):
    """Several pointwise functions, one inside the other, and a constant power."""

    def forward(self, x: Tensor) -> Tensor:
        every = axes(x)
        y = Tensor("Y")
        y[every] = expm1(maximum(x[every], -2 * x[every])) * sqrt(1 + x[every] ** 4) - 2 / (3 + x[every] ** 2)
        return y


class Gram(pc.Layer):
    """Products of channels with each other, summed over the image: the same tensor at two indices."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, d, i, j = indices("n c d i j")
        y = Tensor("Y")
        y[n, c, d] = sum_over([i, j], x[n, c, i, j] * x[n, d, i, j])
        return y


LAYERS: dict[str, tuple[pc.Layer, tuple[int, ...]]] = {
    "swish": (Swish(3), (2, 3, 4, 5)),
    "local response": (LocalResponse(), (2, 4, 3, 2)),
    "standardise": (Standardise(), (3, 2, 3, 2)),
    "bilinear": (Bilinear(4, 3), (2, 4)),
    "mirror": (Mirror(), (2, 5)),
    "mirror, even": (Mirror(), (2, 4)),
    "pixel shuffle": (PixelShuffle(), (2, 8, 3, 2)),
    "interleave": (Interleave(), (2, 3)),
    "neighbour": (Neighbour(), (2, 2, 4, 5)),
    "logarithm of a sum": (LogSum(), (1, 2, 4, 3)),
    "logarithm aside": (ShiftedLog(3), (2, 6)),
    "maxout": (Maxout(), (2, 6, 3, 2)),
    "pieces": (Pieces(), (3, 7)),
    "gram": (Gram(), (2, 3, 2, 4)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


@every_layer
def test_gradients_agree_with_central_differences(
    name: str, double_engine: str, generator: np.random.Generator, repro: str
) -> None:
    layer, shape = LAYERS[name]
    given = {key: separated(generator, value.shape) for key, value in layer.parameters.items()}
    point = {"x": separated(generator, shape), **given}
    y, dx, gradients = pc.vjp(layer, point["x"], engine=double_engine, dtype="float64", parameters=given)
    dy = separated(generator, y.shape)
    y, dx, gradients = pc.vjp(layer, point["x"], dy, engine=double_engine, dtype="float64", parameters=given)
    assert np.all(np.isfinite(y)) and np.any(y)

    def objective(at: Point) -> float:
        parameters = {key: at[key] for key in given}
        moved, _, _ = pc.vjp(layer, at["x"], dy, engine=double_engine, dtype="float64", parameters=parameters)
        return float(np.sum(moved * dy))

    check_gradient(objective, point, {"x": dx, **gradients}, seed=3, repro=repro, singles=6)


@every_layer
def test_single_precision_agrees_with_double(
    name: str, engine: str, generator: np.random.Generator, repro: str
) -> None:
    """The reference engine's double precision, which the test above judges, judges the engines in turn."""
    layer, shape = LAYERS[name]
    x = separated(generator, shape)
    given = {key: separated(generator, value.shape) for key, value in layer.parameters.items()}
    y, _, _ = pc.vjp(layer, x, engine="numpy", dtype="float64", parameters=given)
    dy = separated(generator, y.shape)
    expected = pc.vjp(layer, x, dy, engine="numpy", dtype="float64", parameters=given)
    actual = pc.vjp(layer, x, dy, engine=engine, parameters=given)
    assert_close_in_norm("y", actual[0], expected[0], rtol=2e-6, repro=repro)
    assert_close_in_norm("d x", actual[1], expected[1], rtol=2e-6, repro=repro)
    for key, gradient in expected[2].items():
        assert_close_in_norm(f"d {key}", actual[2][key], gradient, rtol=2e-6, repro=repro)


def test_values_of_a_learned_slope(double_engine: str, generator: np.random.Generator, repro: str) -> None:
    x, slope = generator.normal(size=(2, 3, 4, 5)), generator.normal(size=3)
    y, _, _ = pc.vjp(Swish(3), x, engine=double_engine, dtype="float64", parameters={"slope": slope})
    expected = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(*x.shape):
        expected[n, c, i, j] = x[n, c, i, j] / (1 + np.exp(-slope[c] * x[n, c, i, j]))
    assert_close("y", y, expected, rtol=1e-12, repro=repro)


def test_values_of_neighbours(double_engine: str, generator: np.random.Generator, repro: str) -> None:
    x = generator.normal(size=(1, 2, 4, 5))
    expected = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(*x.shape):
        beside = x[n, c, i + 1, j - 1] if i + 1 < 4 and j >= 1 else 0.0
        expected[n, c, i, j] = x[n, c, i, j] / (1 + beside**2)
    assert_close(
        "y",
        pc.predict(Neighbour(), x, engine=double_engine, dtype="float64"),
        expected,
        rtol=1e-12,
        repro=repro,
    )


def test_values_of_a_pixel_shuffle(engine: str) -> None:
    x = np.arange(2 * 8 * 3 * 2, dtype=np.float32).reshape(2, 8, 3, 2)
    y = pc.predict(PixelShuffle(), x, engine=engine)
    assert y.shape == (2, 2, 6, 4)
    for n, c, i, j in np.ndindex(*y.shape):
        assert y[n, c, i, j] == x[n, 4 * c + 2 * (i % 2) + j % 2, i // 2, j // 2]


def test_it_trains_is_summed_up_and_reloaded_like_a_built_in_layer(engine: str, generator: np.random.Generator) -> None:
    def network() -> pc.Graph:
        return pc.Sequential(
            [
                ("conv1", pc.layers.Conv2d(1, 3, 3)),
                ("swish", Swish(3)),
                ("gap", pc.layers.GlobalAvgPool2d()),
                ("fc1", pc.layers.Linear(3, 2)),
            ]
        )

    model = network().init(seed=1)
    assert model.parameters["swish.slope"].tolist() == [1, 1, 1]
    rows = {row.name: row for row in model.summary(input_shape=(1, 8, 8)).rows}
    assert (rows["swish"].output_shape, rows["swish"].parameters) == ((3, 6, 6), 3)

    x = generator.normal(size=(16, 1, 8, 8)).astype(np.float32)
    labels = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
    x += labels[:, None, None, None].astype(np.float32)
    step = pc.compile_training(
        model,
        batch_size=16,
        input_shape=(1, 8, 8),
        optimizer=pc.optim.SGD(lr=0.2, momentum=0.9),
        engine=engine,
    )
    first, *_, last = [step(x, labels) for _ in range(40)]
    assert last < first / 2
    step.write_back()
    assert model.parameters["swish.slope"].tolist() != [1, 1, 1]

    again = network().load(model.parameters)
    np.testing.assert_array_equal(pc.predict(again, x, engine=engine), pc.predict(model, x, engine=engine))


def test_a_tensor_used_twice_collects_both_gradients(double_engine: str) -> None:
    """One layer at two places of a graph: its parameters are shared, their gradients add up."""
    shared = pc.layers.Linear(2, 2, bias=False)
    model = pc.Sequential([("one", shared), ("two", shared)])
    assert list(model.parameters) == ["one.weight"]
    w = np.array([[1.0, 2.0], [3.0, 4.0]])
    x, dy = np.array([[5.0, 7.0]]), np.array([[1.0, 10.0]])
    y, dx, gradients = pc.vjp(model, x, dy, engine=double_engine, dtype="float64", parameters={"one.weight": w})
    hidden = x @ w.T
    np.testing.assert_allclose(y, hidden @ w.T)
    np.testing.assert_allclose(dx, dy @ w @ w)
    np.testing.assert_allclose(gradients["one.weight"], dy.T @ hidden + (dy @ w).T @ x)
