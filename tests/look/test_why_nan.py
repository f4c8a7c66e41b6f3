"""The first number at fault, for faults put into a network on purpose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.explain import locate
from pellucid.look.chain import Chain
from pellucid.look.record import Array, record
from pellucid.look.why_nan import why_nan
from pellucid.notation import Expression, Tensor, exp, indices, log, sqrt, sum_over
from pellucid.notation.expression import Access

layers = pc.layers
IMAGE = np.random.default_rng(0).uniform(0.5, 1, (1, 1, 6, 6)).astype(np.float32)


class Pointwise(pc.Layer):
    """Y = f(X), whatever the function makes of it."""

    def __init__(self, function: Callable[[Access], Expression]) -> None:
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        every = indices("n c i j")
        y = Tensor("Y")
        y[every] = self.function(x[every])
        return y


class Ratio(pc.Layer):
    """Y = X / S by way of a sum of its own, which may be 0."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, i, j, u = indices("n c i j u")
        s, y = Tensor("S"), Tensor("Y")
        s[n, c, i] = sum_over([u], x[n, c, i, u])
        y[n, c, i, j] = x[n, c, i, j] / s[n, c, i]
        return y


def followed(model: pc.Layer, what: str, image: Array = IMAGE, target: int | None = None, **options: str) -> Chain:
    name, coordinates = locate.parse(what)
    labels = None if target is None else np.array([target])
    tensor, known = record(model, image, name, labels, **options)
    return why_nan(known, tensor, coordinates)


def network(middle: pc.Layer) -> pc.Graph:
    """A convolution that copies its image, a layer, another convolution."""
    graph = pc.Sequential([("first", layers.Conv2d(1, 1, 1)), ("middle", middle), ("last", layers.Conv2d(1, 2, 3))])
    graph.init(seed=1)
    graph.tensors()["first.weight"].value[...] = 1
    return graph


def changed(place: tuple[int, ...], value: float) -> Array:
    image = IMAGE.copy()
    image[(0, 0, *place)] = value
    return image


@pytest.mark.parametrize(
    ("function", "pixel", "cause", "phrase"),
    [
        (log, 0.0, "log of 0", "log(0) is -inf, of first[0,0,2,3]"),
        (log, -0.5, "log of -0.5", "log(-0.5) is nan"),
        (sqrt, -4.0, "sqrt of -4", "sqrt(-4) is nan"),
        (exp, 100.0, "overflow", "more than the largest float32, 3.4e+38"),
        (lambda x: exp(x) - exp(x), 90.0, "overflow", "inf - inf is nan; exp(90) is inf"),
        (lambda x: x / x, 0.0, "0 / 0", "0 / 0 is nan, and first[0,0,2,3] is the 0"),
        (lambda x: 1 / x, 0.0, "division by zero", "1 / 0 is inf"),
        (lambda x: x**-1, 0.0, "division by zero", "0^(-1) is inf"),
        (lambda x: x * x, 1e30, "overflow", "more than the largest float32"),
        (lambda x: 1 / x * (x * 0), 0.0, "division by zero", "inf * 0 is nan; 1 / 0 is inf"),
    ],
)
def test_an_operation_at_fault(function: Callable[[Access], Expression], pixel: float, cause: str, phrase: str) -> None:
    chain = followed(network(Pointwise(function)), "last", changed((2, 3), pixel))
    assert chain.links[0].tensor == "last" and not np.isfinite(chain.links[0].value)
    assert (chain.links[-1].tensor, chain.links[-1].coordinates) == ("middle", (0, 0, 2, 3))
    assert chain.cause == cause
    assert phrase in chain.links[-1].reason


def test_exp_of_100_is_no_fault_in_double_precision() -> None:
    model = network(Pointwise(exp))
    assert followed(model, "middle", changed((2, 3), 100.0)).cause == "overflow"
    with pytest.raises(UsageError, match="none of the 36 numbers of middle is NaN or infinite"):
        followed(model, "middle", changed((2, 3), 100.0), dtype="float64")


def test_a_zero_sum_of_its_own() -> None:
    image = IMAGE.copy()
    image[0, 0, 4] = 0
    chain = followed(network(Ratio()), "last", image)
    assert chain.cause == "0 / 0"
    assert chain.links[-1].place.startswith("middle[0,0,4,")
    assert "middle.S[0,0,4] is the 0" in chain.links[-1].reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_and_a_pixel(value: float) -> None:
    model = network(layers.MaxPool2d(2, 1))
    chain = followed(model, "last[1,0,0]", changed((1, 1), value if value > 0 or np.isnan(value) else np.nan))
    assert (chain.cause, chain.links[-1].place) == ("input", "input[0,0,1,1]")
    assert [link.tensor for link in chain.links] == ["last", "middle", "first", "input"]
    model.tensors()["last.weight"].value[1, 0, 2, 1] = value
    chain = followed(model, "last")
    assert chain.links[0].coordinates == (0, 1, 0, 0)
    assert (chain.cause, chain.links[-1].place) == ("weight", "last.weight[1,0,2,1]")
    assert "this weight itself is" in str(chain)


def test_infinities_that_meet_in_a_sum_are_followed_to_the_first() -> None:
    model = network(layers.ReLU())
    model.tensors()["first.weight"].value[...] = 3e38
    model.tensors()["last.weight"].value[0, 0] = [[1, 0.5, -1], [1, -1, 1], [0.5, 1, 1]]
    image = IMAGE + 1.5
    chain = followed(model, "last[0,0,0]", image)
    assert "inf - inf is NaN; in the term c=0 u=0 v=0" in chain.links[0].reason
    assert (chain.cause, chain.links[-1].place) == ("overflow", "first[0,0,0,0]")


def test_a_sum_of_finite_terms_that_is_too_large() -> None:
    model = network(layers.ReLU())
    model.tensors()["last.weight"].value[...] = 2e38
    chain = followed(model, "last[0,0,0]")
    assert chain.cause == "overflow"
    assert "the sum of 9 finite terms exceeds the largest float32" in chain.links[-1].reason


def test_backward() -> None:
    """The gradient of sqrt at 0 is a division by 0, and the loss itself is finite."""
    graph = pc.Sequential(
        [("first", layers.Conv2d(1, 1, 1)), ("middle", Pointwise(sqrt)), ("flatten", layers.Flatten())]
    )
    graph.init(seed=1)
    graph.tensors()["first.weight"].value[...] = 1
    image = changed((5, 5), 0.0)
    with pytest.raises(UsageError, match=r"loss is .*, not NaN or infinite"):
        followed(graph, "loss", image, target=3)
    chain = followed(graph, "d first.weight", image, target=3)
    assert (chain.cause, chain.links[-1].place) == ("division by zero", "d first[0,0,5,5]")


def test_questions_without_an_answer() -> None:
    model = network(layers.ReLU())
    with pytest.raises(UsageError, match=r"last\[0,0,1,2\] is .*, not NaN"):
        followed(model, "last[0,1,2]")
    with pytest.raises(UsageError, match="Did you mean 'last'"):
        followed(model, "lst[0,0,0]")
    with pytest.raises(UsageError, match="needs the loss: say the target"):
        followed(model, "d last[0,0,0]")
    with pytest.raises(ShapeError, match="must be 0 to 1, not 2"):
        followed(model, "last[2,0,0]")
    with pytest.raises(UsageError, match="no tensor 'd lost'"):
        followed(pc.models.create("lenet5").init(0), "d lost[0]", np.zeros((1, 1, 28, 28)), target=1)


def test_as_data() -> None:
    answer = followed(network(Pointwise(log)), "last", changed((2, 3), 0.0)).to_json()
    assert answer["at"] == "middle[0,0,2,3]" and answer["cause"] == "log of 0"
    assert [link["value"] for link in answer["chain"]][-1] == "-inf"


def test_a_fault_anywhere_is_found_from_anywhere() -> None:
    """Branches, normalisation and dropout, while training: the weight at fault, from the loss and from gradients."""
    graph = pc.Graph()
    stem = graph.add("stem", layers.Conv2d(1, 2, 3, padding=1))
    graph.add("bn", layers.BatchNorm2d(2))
    body = graph.add("relu", layers.ReLU())
    parts = [graph.add("one", layers.Conv2d(2, 2, 1), body), graph.add("pool", layers.MaxPool2d(3, 1, 1), body)]
    graph.add("concat", layers.Concat(), *parts)
    body = graph.add("mix", layers.Conv2d(4, 2, 3, padding=1))
    graph.add("sum", layers.Add(), body, stem)
    graph.add("flatten", layers.Flatten())
    graph.add("drop", layers.Dropout(0.3))
    graph.add("fc", layers.Linear(72, 3))
    graph.init(seed=3)
    generator = np.random.default_rng(4)
    images, labels = generator.normal(size=(2, 1, 6, 6)), np.array([0, 2])
    for name in graph.parameters:
        weight = graph.tensors()[name].value
        assert weight is not None
        place = tuple(int(generator.integers(extent)) for extent in weight.shape)
        before, weight[place] = weight[place], np.nan
        for what in ("loss", "d fc.bias", "d stem.weight"):
            tensor, known = record(graph, images, what, labels, training=True)
            chain = why_nan(known, tensor)
            assert (chain.links[-1].tensor, chain.links[-1].coordinates) == (name, place)
            assert not any(np.isfinite(link.value) for link in chain.links)
        weight[place] = before
