"""What is special about transposed convolution: it reverses a convolution, and its equation is derived."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.layers import Conv2d, ConvTranspose2d
from pellucid.notation.expression import Bracket


def test_it_is_the_adjoint_of_the_convolution(generator: np.random.Generator) -> None:
    """<conv(y), x> = <y, transposed(x)> for the same weight, whatever x and y are."""
    conv = Conv2d(3, 4, 3, stride=2, padding=1, bias=False).init(1)
    transposed = ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1, bias=False)
    transposed.load(conv.parameters)
    y, x = generator.normal(size=(2, 3, 8, 10)), generator.normal(size=(2, 4, 4, 5))
    left = (pc.predict(conv, y, engine="numpy", dtype="float64") * x).sum()
    right = (y * pc.predict(transposed, x, engine="numpy", dtype="float64")).sum()
    assert left == pytest.approx(right, rel=1e-12)


def test_the_equations() -> None:
    derived = pc.derive(ConvTranspose2d(3, 4, 2, stride=2), (3, 4, 4))
    assert [str(equation) for equation in (*derived.forward, *derived.gradients)] == [
        "Y[n,c,2*i+u,2*j+v] = sum(o) X[n,o,i,j] * W[o,c,u,v] + b[c]",
        "dX[n,o,i,j] = sum(c,u,v) dY[n,c,2*i+u,2*j+v] * W[o,c,u,v]",
        "dW[o,c,u,v] = sum(n,i,j) dY[n,c,2*i+u,2*j+v] * X[n,o,i,j]",
        "db[c] = sum(n,i,u,j,v) dY[n,c,2*i+u,2*j+v]",
    ]


def test_a_stride_gives_phases_without_brackets() -> None:
    derived = pc.derive(ConvTranspose2d(3, 4, 3, stride=2, padding=1), (3, 4, 4))
    assert [str(e).split(" = ")[0] for e in derived.forward] == [
        "Y[n,c,2*x,2*y]",
        "Y[n,c,2*x,2*y+1]",
        "Y[n,c,2*x+1,2*y]",
        "Y[n,c,2*x+1,2*y+1]",
    ]
    assert not any(isinstance(part, Bracket) for e in derived.gradients for part in e.value.walk())


def test_cells_that_no_kernel_reaches_hold_the_bias() -> None:
    layer = ConvTranspose2d(1, 1, 1, stride=2).init(0)
    layer.load({"weight": np.full((1, 1, 1, 1), 2.0), "bias": np.array([5.0])})
    y = pc.predict(layer, np.array([[[[1.0, 3.0]]]]))
    assert y[0, 0].tolist() == [[7.0, 5.0, 11.0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_padding": 1}, r"output_padding=1 must be less than stride=1: from there on the convolution"),
        ({"stride": 2, "output_padding": (1, 2)}, r"output_padding=\(1, 2\) must be less than stride=2"),
        ({"groups": 3}, r"reverses a convolution .* groups=3 must divide in_channels=6 and out_channels=4"),
        ({"kernel_size": 0}, "kernel_size must be an integer of at least 1"),
        ({"padding": "same"}, "ConvTranspose2d: padding must be an integer of at least 0, or two of them; got 'same'"),
    ],
)
def test_arguments_that_mean_nothing(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ConvTranspose2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **arguments})


def test_images_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match='expects 4 channels, but "input" gives 3'):
        pc.predict(ConvTranspose2d(4, 2, 3), np.zeros((1, 3, 4, 4)))
    with pytest.raises(ShapeError, match="its padding of 2 leaves no rows of an image of 2"):
        pc.predict(ConvTranspose2d(1, 1, 3, padding=2), np.zeros((1, 1, 2, 9)))
