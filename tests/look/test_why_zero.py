"""Zeros of each kind, and the chain that leads to where they begin."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import UsageError
from pellucid.explain import locate
from pellucid.look.chain import Chain
from pellucid.look.record import Array, record
from pellucid.look.why_zero import why_zero

layers = pc.layers
IMAGE = np.random.default_rng(0).uniform(0.5, 1, (1, 1, 6, 6)).astype(np.float32)


def network(*, bias: float = 0.0) -> pc.Graph:
    """Convolution, ReLU, max pooling, dense: the classes are two."""
    blocks = [
        ("conv", layers.Conv2d(1, 2, 3, padding=1)), ("relu", layers.ReLU()), ("pool", layers.MaxPool2d(2)),
        ("flatten", layers.Flatten()), ("drop", layers.Dropout(0.5)), ("fc", layers.Linear(18, 2)),
    ]  # fmt: skip
    graph = pc.Sequential(blocks).init(seed=1)
    graph.tensors()["conv.weight"].value[0] = np.abs(graph.tensors()["conv.weight"].value[0]) + 0.1
    graph.tensors()["conv.weight"].value[1] = -np.abs(graph.tensors()["conv.weight"].value[1]) - 0.1
    graph.tensors()["conv.bias"].value[1] = bias
    return graph


def followed(
    model: pc.Layer, what: str, image: Array = IMAGE, target: int | None = None, *, training: bool = False
) -> Chain:
    name, coordinates = locate.parse(what)
    labels = None if target is None else np.array([target])
    tensor, known = record(model, image, name, labels, training=training)
    chain = why_zero(known, tensor, coordinates)
    assert all(link.value == 0 for link in chain.links)
    return chain


def test_a_closed_relu_forward_and_backward() -> None:
    chain = followed(network(), "flatten[9]")
    assert [link.tensor for link in chain.links] == ["flatten", "pool", "relu"]
    assert chain.cause == "relu" and chain.links[-1].coordinates == (0, 1, 0, 0)
    assert "ReLU: conv[0,1,0,0] is -" in chain.links[-1].reason
    chain = followed(network(), "d conv.bias[1]", target=0)
    assert chain.cause == "relu" and chain.links[-1].place == "d conv[0,1,0,0]"
    assert "all 36 terms are 0 (d conv is 0 in 36)" in chain.links[0].reason


def test_a_cell_that_max_pooling_did_not_take() -> None:
    tensor, known = record(network(), IMAGE, "d relu", np.array([0]))
    window = known.arrays["d relu"][0, 0, :2, :2]
    assert np.count_nonzero(window) == 1
    row, column = (int(k) for k in np.argwhere(window == 0)[0])
    chain = why_zero(known, tensor, (0, row, column))
    taken = int(np.flatnonzero(window)[0])
    assert chain.cause == "max pooling"
    assert f"pool[0,0,0,0] takes the cell {taken} of its window, and this one is {2 * row + column}" in str(chain)


def test_a_weight_a_pixel_and_padding() -> None:
    model = network()
    model.tensors()["conv.weight"].value[0] = 0
    chain = followed(model, "conv[0,2,2]")
    assert (chain.cause, chain.links[-1].place) == ("weight", "conv.weight[0,0,0,0]")
    assert "conv.weight is 0 in 9" in chain.links[0].reason
    chain = followed(network(), "conv[0,2,2]", np.zeros_like(IMAGE))
    assert (chain.cause, chain.links[-1].place) == ("input", "input[0,0,1,1]")
    outside = pc.Sequential([("conv", layers.Conv2d(1, 1, 1, padding=1, bias=False))]).init(seed=0)
    chain = followed(outside, "conv[0,0,0]")
    assert chain.cause == "padding" and "input[0,0,-1,-1] lies outside its tensor" in str(chain)


def test_a_dropped_value() -> None:
    model = network()
    tensor, known = record(model, IMAGE, "drop", training=True)
    dropped = [k for k in range(9) if known.arrays["drop"][0, k] == 0]
    assert dropped
    chain = why_zero(known, tensor, (0, dropped[0]))
    assert chain.cause == "dropout" and chain.links[-1].place == f"drop.K[0,{dropped[0]}]"
    assert "is below 0.5" in chain.links[-1].reason
    assert followed(model, f"d flatten[{dropped[0]}]", target=1, training=True).cause == "dropout"


def test_underflow_and_cancellation() -> None:
    blocks = [("conv", layers.Conv2d(1, 1, 1, bias=False)), ("flat", layers.Flatten()), ("soft", layers.Softmax())]
    model = pc.Sequential(blocks)
    model.init(seed=0).tensors()["conv.weight"].value[...] = 1000
    image = IMAGE.copy()
    image[0, 0, 0, 3] = 5
    chain = followed(model, "soft[0]", image)
    assert chain.cause == "underflow" and "exp(-" in str(chain) and "least float32" in str(chain)
    twins = pc.Graph()
    for name in ("one", "two"):
        twins.add(name, layers.Conv2d(1, 1, 1, bias=False), "input")
    twins.add("sum", layers.Add(), "one", "two")
    twins.init(seed=0)
    twins.tensors()["one.weight"].value[...], twins.tensors()["two.weight"].value[...] = 1, -1
    chain = followed(twins, "sum[0,1,1]")
    assert chain.cause == "cancellation" and len(chain.links) == 1


def test_what_no_equation_writes() -> None:
    model = pc.Sequential([("short", layers.PaddedShortcut(3, stride=2))])
    chain = followed(model, "short[2,1,1]")
    assert chain.cause == "unwritten" and "no equation writes this element" in str(chain)


def test_the_first_zero_of_a_tensor_and_none() -> None:
    chain = followed(network(), "relu")
    assert chain.links[0].coordinates == (0, 1, 0, 0)
    with pytest.raises(UsageError, match="none of the 36 numbers of input is 0"):
        followed(network(), "input")
    with pytest.raises(UsageError, match=r"input\[0,0,1,1\] is .*, not 0"):
        followed(network(), "input[0,1,1]")
