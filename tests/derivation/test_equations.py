"""Derivations as a whole: of every layer, loss and optimiser, as text and as LaTeX."""

import re

import pytest

import pellucid as pc
from pellucid.derivation import derivable_names, derive, derive_by_name
from pellucid.errors import ShapeError, UsageError


def test_a_convolution_as_text() -> None:
    assert derive(pc.layers.Conv2d(1, 2, 3), (1, 6, 6)).text() == (
        "Conv2d(in_channels=1, out_channels=2, kernel_size=(3, 3), stride=(1, 1), dilation=(1, 1), groups=1, "
        "flip=False, padding=(0, 0)), X of shape (2, 1, 6, 6)\n"
        "\n"
        "forward\n"
        "  Y[n,o,i,j] = sum(c,u,v) X[n,c,i+u,j+v] * W[o,c,u,v] + b[o]\n"
        "\n"
        "gradients\n"
        "  dX[n,c,x,y] = sum(o,u,v) dY[n,o,x-u,y-v] * W[o,c,u,v]\n"
        "  dW[o,c,u,v] = sum(n,i,j) dY[n,o,i,j] * X[n,c,i+u,j+v]\n"
        "  db[o] = sum(n,i,j) dY[n,o,i,j]\n"
        "\n"
        "indices\n"
        "  Y[n,o,i,j]: n < 2, o < 2, i < 4, j < 4, c < 1, u < 3, v < 3\n"
        "  dX[n,c,x,y]: n < 2, c < 1, x < 6, y < 6, o < 2, u < 3, v < 3\n"
        "  dW[o,c,u,v]: o < 2, c < 1, u < 3, v < 3, n < 2, i < 4, j < 4\n"
        "  db[o]: o < 2, n < 2, i < 4, j < 4\n"
    )


def test_a_convolution_as_latex() -> None:
    assert derive(pc.layers.Conv2d(1, 2, 3, stride=2, padding=1, bias=False), (1, 5, 5)).latex().splitlines() == [
        r"\begin{align*}",
        r"Y_{n,o,i,j} &= \sum_{c,u,v} X_{n,c,2i+u-1,2j+v-1} \, W_{o,c,u,v} \\",
        r"\frac{\partial L}{\partial X_{n,c,2x,2y}} &= \sum_{o,u,v} \frac{\partial L}{\partial Y_{n,o,x-u,y-v}}"
        r" \, W_{o,c,2u+1,2v+1} \\",
        r"\frac{\partial L}{\partial X_{n,c,2x,2y+1}} &= \sum_{o,u,v} \frac{\partial L}{\partial Y_{n,o,x-u,y-v+1}}"
        r" \, W_{o,c,2u+1,2v} \\",
        r"\frac{\partial L}{\partial X_{n,c,2x+1,2y}} &= \sum_{o,u,v} \frac{\partial L}{\partial Y_{n,o,x-u+1,y-v}}"
        r" \, W_{o,c,2u,2v+1} \\",
        r"\frac{\partial L}{\partial X_{n,c,2x+1,2y+1}} &= \sum_{o,u,v} \frac{\partial L}{\partial Y_{n,o,x-u+1,y-v+1}}"
        r" \, W_{o,c,2u,2v} \\",
        r"\frac{\partial L}{\partial W_{o,c,u,v}} &= \sum_{n,i,j} \frac{\partial L}{\partial Y_{n,o,i,j}}"
        r" \, X_{n,c,2i+u-1,2j+v-1}",
        r"\end{align*}",
    ]


def test_softmax_followed_by_the_cross_entropy() -> None:
    found = derive_by_name("softmax+cross_entropy")
    assert [str(e) for e in found.gradients] == ["dZ[n,k] = (P[n,k] - [k == y[n]]) / 2"]
    assert [e.tensor.symbol for e in found.forward] == ["M", "E", "S", "P", "L"]
    assert found.title == "Softmax followed by cross_entropy of 2 images and 10 classes"


def test_losses_and_optimisers() -> None:
    assert [str(e) for e in derive_by_name("mse").gradients] == ["dZ[n,k] = (Z[n,k] - T[n,k]) / 10"]
    momentum = derive_by_name("sgd", {"lr": 0.5, "momentum": 0.25})
    assert [str(e) for e in momentum.forward] == [
        "V'[o,k] = V[o,k] * 0.25 + dW[o,k]",
        "W'[o,k] = W[o,k] - lr * V'[o,k]",
    ]
    assert momentum.gradients == ()
    assert r"\sqrt{" in derive_by_name("adam").latex()


@pytest.mark.parametrize("name", derivable_names())
def test_everything_can_be_derived_and_printed(name: str) -> None:
    found = derive_by_name(name)
    text, latex = found.text(), found.latex()
    assert found.forward and text.startswith(found.title)
    for equation in (*found.forward, *found.gradients):
        assert f"  {equation}\n" in text
    assert text.count("(") == text.count(")") and text.count("[") == text.count("]")
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    assert latex.count("&=") == len(found.forward) + len(found.gradients)
    assert not re.search(r"\d\.?\d*e[-+]?\d", latex), "numbers with an e are no mathematics"
    defined = [e.tensor.symbol for e in (*found.forward, *found.gradients)]
    for equation in (*found.forward, *found.gradients):
        bound = {i.name for i in equation.indices}
        assert len(bound) == len(equation.indices)
        assert equation.tensor.symbol in defined


def test_arguments_and_groups() -> None:
    assert derive_by_name("conv2d", {"groups": 3}).title.startswith("Conv2d(in_channels=6, out_channels=6,")
    assert derive_by_name("conv2d", {"groups": 2, "in_channels": 4, "out_channels": 4}).forward
    assert derive_by_name("maxpool2d", {"kernel_size": 3, "ties": "all"}).gradients


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("conv", {}, "nothing to derive by the name 'conv'. Did you mean 'conv2d'? There are conv2d, maxpool2d"),
        ("xyzzy", {}, "nothing to derive by the name 'xyzzy'. There are conv2d"),
        ("relu", {"slope": 1}, "ReLU takes no argument 'slope'; it takes none"),
        ("conv2d", {"strides": 2}, "Conv2d takes no argument 'strides'; it takes in_channels, out_channels"),
        ("sgd", {"momentum": 2}, "SGD: momentum must be a number of at least 0 and less than 1; got 2"),
    ],
)
def test_what_there_is_not(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        derive_by_name(name, arguments)
    assert str(error.value).startswith(message)


def test_a_shape_that_does_not_fit() -> None:
    with pytest.raises(ShapeError, match='Conv2d: expects 1 channels, but "x" gives 3'):
        derive(pc.layers.Conv2d(1, 2, 3), (3, 6, 6))
