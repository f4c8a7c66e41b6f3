"""Costs, against the formulas one writes by hand."""

import pytest

import pellucid as pc
from pellucid.notation import Tensor, indices, max_over, sum_over, tanh
from pellucid.notation.counting import floating_point_operations, multiply_adds

R, K = indices("i k")


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({"in_channels": 3, "out_channels": 8, "kernel_size": 5}, 12),
        ({"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 1, "groups": 2}, 9),
        ({"in_channels": 2, "out_channels": 2, "kernel_size": 3, "dilation": 2, "bias": False}, 9),
    ],
)
def test_convolutions(arguments: dict[str, int], size: int) -> None:
    layer = pc.layers.Conv2d(**arguments)  # type: ignore[arg-type]
    y = layer.forward(Tensor("X", (1, layer.in_channels, size, size), role="input"))
    reach = arguments.get("dilation", 1) * (arguments["kernel_size"] - 1) + 1
    side = (size + 2 * arguments.get("padding", 0) - reach) // arguments.get("stride", 1) + 1
    outputs = arguments["out_channels"] * side**2
    taps = arguments["in_channels"] // arguments.get("groups", 1) * arguments["kernel_size"] ** 2
    (equation,) = y.definition
    assert multiply_adds(equation) == outputs * taps
    bias = outputs if arguments.get("bias", True) else 0
    assert floating_point_operations(equation) == 2 * outputs * taps + bias


def test_what_is_no_sum_of_products_has_no_multiply_adds() -> None:
    x = Tensor("X", (6,), role="input")
    y = Tensor("Y")
    y[R] = tanh(x[R] * x[R]) + 1
    assert multiply_adds(y.definition[0]) == 0
    assert floating_point_operations(y.definition[0]) == 6 * 3
    z = Tensor("Z")
    z[()] = max_over([K], x[K] * 2)
    assert (multiply_adds(z.definition[0]), floating_point_operations(z.definition[0])) == (0, 12)
    w = Tensor("W")
    w[()] = -sum_over([K], x[K])
    assert floating_point_operations(w.definition[0]) == 6 + 0
