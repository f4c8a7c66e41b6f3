"""Inputs, parameters and output gradients for a case of the table: always the same ones for the same case."""

from dataclasses import dataclass, field
from functools import cache
from math import lcm, prod

import numpy as np

from tests.cases import Case
from tests.oracles.layers import answer, parameter_shapes
from tests.oracles.pool import windows
from tests.oracles.result import Array, Result

INTEGER_KINDS = (
    "conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "global_avg_pool2d", "linear", "relu", "flatten",
    "add_channel", "global_max_pool2d", "embedding", "select_step", "add", "concat", "padded_shortcut",
    "table_conv2d",
)  # fmt: skip
"""Layers that give whole numbers for whole numbers, whatever their arguments."""


STRETCH = {"hardswish": 5.0, "softplus": 5.0}
"""By how much numbers between -1 and 1 are stretched for layers that bend further out."""


@dataclass(frozen=True)
class Inputs:
    """Everything a layer is given; all numbers are exact in float32, so both precisions start alike."""

    x: Array
    parameters: dict[str, Array]
    dy: Array
    states: dict[str, Array] = field(default_factory=dict)
    training: bool = True


def separated(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Distinct numbers between 0.1 and 1 in size: no two close together, none close to 0, the first positive.

    A small step then changes neither which element is the maximum nor the sign of any element.
    """
    count = prod(shape)
    sizes = 0.1 + 0.9 * (1 + generator.permutation(count)) / count
    signs = generator.choice([-1.0, 1.0], count)
    signs[0] = 1.0
    exact: Array = (sizes * signs).astype(np.float32).astype(np.float64)
    return exact.reshape(shape)


def tokens(generator: np.random.Generator, case: Case) -> Array:
    """Whole numbers below the size of the vocabulary."""
    chosen = generator.integers(case.options["num_embeddings"], size=case.x_shape).astype(np.float64)
    if case.options["padding_idx"] is not None:
        chosen.flat[0] = case.options["padding_idx"] ^ 1  # one that is not the padding
    return chosen


def integers(generator: np.random.Generator, shape: tuple[int, ...], zeros: bool) -> Array:
    """Small whole numbers, with many ties, the first one positive; zeros among them if wanted."""
    values = [-3, -2, -1, 0, 1, 2, 3] if zeros else [-2, -1, 1, 2, 3]
    chosen = generator.choice(values, prod(shape)).astype(np.float64)
    chosen[0] = 3.0
    return chosen.reshape(shape)


@cache
def real_inputs(case: Case) -> Inputs:
    """Inputs at which every layer is differentiable."""
    generator = np.random.default_rng(case.seed)
    x = STRETCH.get(case.kind, 1.0) * separated(generator, case.x_shape)
    x = tokens(generator, case) if case.kind == "embedding" else x
    parameters = {
        name: separated(generator, shape) for name, shape in parameter_shapes(case.kind, case.options).items()
    }
    states = running_statistics(generator, case)
    y_shape = answer(case.kind, case.options, x, {**parameters, **states}).y.shape
    return Inputs(x, parameters, separated(generator, y_shape), states, case.options.get("training", True))


def running_statistics(generator: np.random.Generator, case: Case) -> dict[str, Array]:
    """A mean and a positive variance for each channel of a batch normalisation that keeps them."""
    if not case.options.get("track_running_stats"):
        return {}
    shape = case.shape[:1]
    return {"running_mean": separated(generator, shape), "running_var": np.abs(separated(generator, shape))}


@cache
def integer_inputs(case: Case) -> Inputs:
    """Inputs for which every sum, product and mean that the layer forms is a whole number."""
    generator = np.random.default_rng(case.seed)
    scale = common_count(case)
    x = scale * integers(generator, case.x_shape, zeros=True)
    x = tokens(generator, case) if case.kind == "embedding" else x
    parameters = {
        name: integers(generator, shape, zeros=False)
        for name, shape in parameter_shapes(case.kind, case.options).items()
    }
    y_shape = answer(case.kind, case.options, x, parameters).y.shape
    return Inputs(x, parameters, scale * integers(generator, y_shape, zeros=False))


@cache
def real_answer(case: Case) -> Result:
    """What plain loops give for `real_inputs`."""
    given = real_inputs(case)
    return answer(case.kind, case.options, given.x, {**given.parameters, **given.states}, given.dy)


@cache
def integer_answer(case: Case) -> Result:
    """What plain loops give for `integer_inputs`, exactly."""
    given = integer_inputs(case)
    return answer(case.kind, case.options, given.x, given.parameters, given.dy)


def is_exact(case: Case) -> bool:
    """Whether whole numbers give exact results: no exponentials, no fractions but powers of two."""
    options = case.options
    if case.kind == "leaky_relu":
        return float(options["negative_slope"] * 4).is_integer()
    if case.kind == "fixed_filter2d":
        return all(float(value * 16).is_integer() for row in options["kernel"] for value in row)
    if case.kind == "upsample":
        return bool(options["mode"] == "nearest")
    return case.kind in INTEGER_KINDS


def common_count(case: Case) -> int:
    """A number that every mean in the case divides by without remainder."""
    if case.kind == "global_avg_pool2d":
        return prod(case.shape[1:])
    if case.kind != "avg_pool2d":
        return 1
    options = case.options
    names = ("kernel_size", "stride", "padding", "ceil_mode")
    grid = windows((case.shape[1], case.shape[2]), **{name: options[name] for name in names})
    inside = options["count_include_pad"]
    return lcm(*(w.padded_count if inside else len(w.inside) for row in grid for w in row))
