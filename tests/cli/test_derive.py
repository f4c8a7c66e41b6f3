"""`pellucid derive`: equations on the command line."""

from typing import Any

import pytest

from pellucid.cli.derive import parse_arguments
from pellucid.derivation import derivable_names
from pellucid.errors import UsageError
from tests.cli.conftest import Command


def test_the_convolution_of_the_notes(pellucid: Command) -> None:
    done = pellucid("derive", "conv2d")
    assert done.code == 0
    assert "dX[n,c,x,y] = sum(o,u,v) dY[n,o,x-u,y-v] * W[o,c,u,v]" in done.out
    assert "db[o] = sum(n,i,j) dY[n,o,i,j]" in done.out


def test_arguments_reach_the_layer(pellucid: Command) -> None:
    done = pellucid("derive", "conv2d", "--stride", "2", "--padding=1", "--no-bias", "--json")
    assert "X[n,c,2*i+u-1,2*j+v-1]" in done.json["forward"][0]
    assert all("b[" not in equation for equation in done.json["forward"] + done.json["gradients"])


def test_softmax_before_the_cross_entropy(pellucid: Command) -> None:
    assert "log" not in "".join(pellucid("derive", "softmax+cross_entropy", "--json").json["gradients"])


def test_latex(pellucid: Command) -> None:
    done = pellucid("derive", "linear", "--latex")
    assert done.out.startswith("\\begin{align*}\n")
    assert done.out.endswith("\\end{align*}\n")
    assert pellucid("derive", "linear", "--json").json["latex"].strip() == done.out.strip()


@pytest.mark.parametrize("name", derivable_names())
def test_everything_that_is_listed_can_be_derived(name: str, pellucid: Command) -> None:
    done = pellucid("derive", name)
    assert done.code == 0
    assert " = " in done.out


def test_the_list(pellucid: Command) -> None:
    assert pellucid("derive").out.split() == list(derivable_names())
    assert pellucid("derive", "--json").json == list(derivable_names())


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["--stride", "2"], {"stride": 2}),
        (["--stride=2,1", "--kernel-size", "(3, 5)"], {"stride": (2, 1), "kernel_size": (3, 5)}),
        (["--flip", "--no-bias", "--groups", "2"], {"flip": True, "bias": False, "groups": 2}),
        (["--padding", "same", "--negative-slope", "-0.5"], {"padding": "same", "negative_slope": -0.5}),
        (["--bias", "false"], {"bias": False}),
        ([], {}),
    ],
)
def test_arguments_are_read(words: list[str], arguments: dict[str, Any]) -> None:
    assert parse_arguments(tuple(words)) == arguments


def test_a_word_out_of_place() -> None:
    with pytest.raises(UsageError, match="'2' is not an argument of a layer"):
        parse_arguments(("2",))


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["conv3d"], ["'conv3d'", "Did you mean 'conv2d'"]),
        (["conv2d", "--stried", "2"], ["'stried'", "stride"]),
        (["conv2d", "--stride", "0"], ["stride", "at least 1"]),
        (["conv2d", "--groups", "2", "--in-channels", "3"], ["groups=2 must divide in_channels=3"]),
        (["relu", "--stride", "2"], ["'stride'"]),
        (["conv2d", "2"], ["--stride 2"]),
    ],
)
def test_what_cannot_be_derived(arguments: list[str], phrases: list[str], pellucid: Command) -> None:
    pellucid("derive", *arguments).failed_with(2, *phrases)


def test_step_by_step(pellucid: Command) -> None:
    done = pellucid("derive", "conv2d", "--steps", "--stride", "2")
    assert done.code == 0
    assert "Product rule" in done.out and "A stride has phases" in done.out
    found = pellucid("derive", "conv2d", "--steps", "--json", "--lang", "ko").json
    assert found["steps"][0]["steps"][-1]["equation"] == found["gradients"][0]
    assert "첨자" in found["steps"][0]["steps"][-1]["says"]
    assert pellucid("derive", "conv2d", "--steps", "--latex").out.startswith("\\begin{align*}")


def test_a_path_through_a_model(pellucid: Command) -> None:
    done = pellucid("derive", "lenet5", "--path", "conv2..pool2")
    assert "d conv2[n,c,i,j] = d act2[n,c,i,j] * (1 - act2[n,c,i,j]^2)" in done.out
    assert "Quotient rule" in pellucid("derive", "lenet5", "--path", "conv2..pool2", "--steps").out
    pellucid("derive", "lenet5").failed_with(2, "lenet5 is a model", "--path conv1..loss")
    pellucid("derive", "lenet5", "--path", "conv2").failed_with(2, "START..END")
    pellucid("derive", "lenet6", "--path", "conv2..loss").failed_with(2, "lenet5")
