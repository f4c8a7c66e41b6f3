"""Products of padded convolutions: which windows they have, and that leaving out the halo changes no sum."""

from __future__ import annotations

from math import prod

import pytest

from pellucid.engines.native import cpu
from pellucid.engines.native.contraction import Window
from pellucid.engines.native.product import Product, schedule_of
from pellucid.layers import Conv2d
from pellucid.notation import Index, Program, Tensor
from pellucid.notation.derive import derive
from tests.engines.native.programs import TARGETS, assert_exact, compiled, possible_layouts

LAYERS = {
    "full": Conv2d(3, 8, 5, padding=4, bias=False),
    "padded": Conv2d(3, 8, 3, padding=1, bias=False),
    "strided": Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
    "dilated": Conv2d(3, 8, 3, padding=3, dilation=3, bias=False),
    "strided and dilated": Conv2d(3, 8, 3, stride=3, padding=4, dilation=2, bias=False),
    "flipped": Conv2d(3, 8, 5, padding=2, flip=True, bias=False),
    "as large as the image": Conv2d(3, 8, 7, padding=3, bias=False),
}


def all_three(layer: Conv2d, size: int, images: int) -> Program:
    """The layer's output and both gradients."""
    layer.init(seed=0)
    layer.weight.name = "weight"
    x = Tensor("X", (images, 3, size, size), role="input", name="x")
    y = layer.build((x,), "", None)
    dy = Tensor("dY", y.extents, role="input", name="dy")
    gradients = derive({y: dy}, [x, layer.weight])
    return Program.of([y, gradients[x], gradients[layer.weight]])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", LAYERS)
def test_convolutions_of_small_images_are_exact_in_every_layout(name: str, target: str) -> None:
    program = all_three(LAYERS[name], 7, 18)
    for layout in possible_layouts(program):
        assert_exact(program, f"{name}, {layout}", target=target, layout=layout)


def products(program: Program, layout: str) -> dict[str, Product]:
    """The sums of products by the symbol of what they compute."""
    kernels = compiled(program, target="avx512", layout=layout).kernels
    return {k.out.symbol: k for k in kernels if isinstance(k, Product)}


def test_windows_follow_from_the_equations() -> None:
    found = products(all_three(LAYERS["dilated"], 7, 16), "batch")
    assert found["Y"].windows == (Window("i", "u", 1, 3, -3, 7), Window("j", "v", 1, 3, -3, 7))
    assert found["dX"].windows == (Window("x", "u", 1, -3, 3, 7), Window("y", "v", 1, -3, 3, 7))
    flipped = products(all_three(LAYERS["flipped"], 7, 16), "batch")
    assert flipped["Y"].windows == (Window("i", "u", 1, -1, 2, 7), Window("j", "v", 1, -1, 2, 7))


def test_a_convolution_without_padding_has_windows_in_its_input_gradient_only() -> None:
    found = products(all_three(Conv2d(3, 8, 3, bias=False), 7, 16), "batch")
    assert [len(found[name].windows) for name in ("Y", "dX")] == [0, 2]
    assert "Window(outer='x', inner='u'" in found["dX"].describe()
    assert "Window" not in found["Y"].describe()


def test_windows_are_kept_where_they_pay() -> None:
    """Of a 5x5 gradient's products on 7x7 pixels most are with the halo; of a 3x3 one's on 112x112 next to none are."""
    target = cpu.target("avx512")
    small = products(all_three(Conv2d(3, 8, 5, bias=False), 7, 16), "batch")["dX"]
    contraction, _, _ = schedule_of(small, target)
    assert contraction.windows == small.windows
    # 3 of 7 rows and columns remain after the forward pass: 15 of 35 pairs (x, u) are inside.
    assert contraction.multiply_adds * 35**2 == 15**2 * prod(contraction.extents.values())
    large = products(all_three(LAYERS["padded"], 112, 16), "batch")["dX"]
    without, _, _ = schedule_of(large, target)
    assert len(large.windows) == 2 and not without.windows


def test_a_factor_of_the_callers_is_described_as_such() -> None:
    """Its schedule may be another, and so its code: neither must be taken from the cache for the other."""
    layer = Conv2d(3, 8, 3, bias=False).init(seed=0)
    layer.weight.name = "weight"
    x = Tensor("X", (16, 3, 7, 7), role="input", name="x")
    given = Program.of([layer.build((x,), "", None)])
    between = Tensor("X", (16, 3, 7, 7), name="between")
    n, c, i, j = (Index(name, extent) for name, extent in zip("ncij", between.extents, strict=True))
    between[n, c, i, j] = x[n, c, i, j] * 2
    inner = Program.of([layer.build((between,), "", None)])
    first, second = (products(program, "images")["Y"] for program in (given, inner))
    assert (first.cold, second.cold) == (("a",), ())
    assert first.describe() != second.describe()
    assert first.contraction() == second.contraction()
