"""The layout with channels innermost: what of a layer by itself is copied, and what is read and written as it is."""

from __future__ import annotations

import pytest

from pellucid.bench.programs import gradient, inference
from pellucid.engines.native.lower import Kernel
from pellucid.execution import name_parameters
from pellucid.layers import Conv2d, ReLU
from pellucid.layers.base import Layer
from pellucid.notation import Program, Tensor
from tests.engines.native.programs import TARGETS, assert_exact, compiled

SIZE = 14


def images(channels: int, size: int = SIZE) -> tuple[int, ...]:
    return 2, channels, size, size


def convolution(kernel: int, inputs: int, outputs: int, **options: int) -> Layer:
    return Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options).init(seed=0)


PROGRAMS = {
    "3x3": inference(convolution(3, 32, 64), images(32)),
    "3x3, input gradient": gradient(convolution(3, 32, 64), images(32), "input"),
    "3x3, weight gradient": gradient(convolution(3, 32, 64), images(32), "weight"),
    "1x1": inference(convolution(1, 64, 96), images(64)),
    "1x1, input gradient": gradient(convolution(1, 64, 96), images(64), "input"),
    "1x1, weight gradient": gradient(convolution(1, 64, 96), images(64), "weight"),
    "1x1, narrower result": gradient(convolution(1, 96, 64), images(96), "weight"),
    "1x1, odd sizes": inference(convolution(1, 67, 35), images(67, 7)),
    "stride 2": inference(convolution(3, 32, 64, stride=2), images(32)),
    "groups": inference(convolution(3, 64, 64, groups=2), images(64)),
    "a single column": inference(convolution(1, 64, 64), (2, 64, 20, 1)),
    "planes a power of two apart": gradient(convolution(1, 64, 64), images(64, 16), "weight"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_layers_by_themselves_are_exact(name: str, target: str) -> None:
    for threads in (1, 2):
        assert_exact(PROGRAMS[name], name, target=target, layout="channels", threads=threads)


def kernels(program: Program) -> tuple[Kernel, ...]:
    return compiled(program, target="avx512", layout="channels").kernels


def copies(program: Program) -> list[str]:
    """The tensors that are written by kernels of one copy."""
    return [k.equations[0].tensor.name for k in kernels(program) if len(k.equations) == 1 and _copied(k)]


def _copied(kernel: Kernel) -> bool:
    return not kernel.equations[0].value.children


def test_a_sum_writes_the_callers_order_itself() -> None:
    assert copies(PROGRAMS["3x3"]) == ["weight packed (2, 3, 1, 0) 32", "input by channels"]
    last = kernels(PROGRAMS["3x3"])[-1].equations[-1]
    assert [str(a) for a in last.at] == ["n", "32*O+o", "i", "j"]


def test_a_result_that_is_read_again_is_copied() -> None:
    """The next layer needs it with channels innermost, the caller as images."""
    x = Tensor("X", images(32), role="input", name="input")
    layer = convolution(3, 32, 64)
    name_parameters(layer)
    y = layer.build((x,), "conv", None)
    z = ReLU().build((y,), "act", None)
    program = Program.of([y, z])
    assert y.name in copies(program)
    assert_exact(program, "both", layout="channels")


def test_the_larger_factor_of_a_one_by_one_convolution_stays_as_given() -> None:
    assert copies(PROGRAMS["1x1"]) == ["weight packed (2, 3, 1, 0) 32"]
    # Lanes run over the 64 channels of the other factor, in blocks.
    assert copies(PROGRAMS["1x1, narrower result"])[0] == "incoming gradient by channels in blocks of 32"


def test_pixels_read_at_several_places_are_copied() -> None:
    assert "input by channels" in copies(PROGRAMS["3x3"])
    assert "input by channels" in copies(PROGRAMS["stride 2"])


def test_planes_a_power_of_two_apart_are_copied() -> None:
    named = copies(PROGRAMS["planes a power of two apart"])
    assert "input by channels" in named or any(name.startswith("input by channels in") for name in named)
    assert any(name.startswith("incoming gradient by channels") for name in named)
