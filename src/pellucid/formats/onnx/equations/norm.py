"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.errors import DataError, ShapeError
from pellucid.formats.onnx.equations.reduce import Axes
from pellucid.formats.onnx.rules import Attributes, Operand, Rule, axis, optional, places, required, spread
from pellucid.notation import Expression, Index, Tensor, maximum, sqrt, sum_over


def _batch(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y = (X - mean[c]) / sqrt(variance[c] + eps) * scale[c] + shift[c], with the statistics given or, in
    training mode, those of the batch; then the running ones are returned, too.
    """
    x, scale, shift, mean, variance = (required(operands, place) for place in range(5))
    every = places(x.extents)
    if len(every) < 2 or any(t.extents != (x.extents[1],) for t in (scale, shift, mean, variance)):
        raise ShapeError(f'its statistics do not fit the channels of "{x.name}", which is {x.extents}')
    c = every[1]
    outputs: list[Tensor] = []
    if attributes.integer("training_mode", 0):
        own_mean, own_variance = _moments(x, Axes(x, [d for d in range(len(every)) if d != 1], False))
        momentum = attributes.real("momentum", 0.9)
        for symbol, old, new in (("R", mean, own_mean), ("Q", variance, own_variance)):
            updated = Tensor(symbol)
            updated[c] = old[c] * momentum + new[c] * (1 - momentum)
            outputs.append(updated)
        mean, variance = own_mean, own_variance
    y = Tensor("Y")
    root = sqrt(variance[c] + attributes.real("epsilon", 1e-5))
    y[every] = (x[every] - mean[c]) / root * scale[c] + shift[c]
    return [y, *outputs]


def _moments(x: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """Mean and variance over axes."""
    mean = axes.result("M", sum_over(axes.over, x[axes.every]) / axes.count)
    deviation = x[axes.every] - mean[axes.left]
    return mean, axes.result("V", sum_over(axes.over, deviation * deviation) / axes.count)


def _instance(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """The mean and the variance of every image's every channel, then scale and shift of the channel."""
    x, scale, shift = (required(operands, place) for place in range(3))
    axes = Axes(x, range(2, len(x.extents)), False)
    mean, variance = _moments(x, axes)
    c, y = axes.every[1], Tensor("Y")
    root = sqrt(variance[axes.left] + attributes.real("epsilon", 1e-5))
    y[axes.every] = (x[axes.every] - mean[axes.left]) / root * scale[c] + shift[c]
    return [y]


def _layer(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """The mean and the variance over all axes from one on; they are outputs, too."""
    x, scale, shift = required(operands, 0), required(operands, 1), optional(operands, 2)
    axes = Axes(x, range(axis(attributes.integer("axis", -1), len(x.extents)), len(x.extents)), True)
    mean, variance = _moments(x, axes)
    inverse = axes.result("R", 1 / sqrt(variance[axes.left] + attributes.real("epsilon", 1e-5)))
    y = Tensor("Y")
    value = (x[axes.every] - mean[axes.left]) * inverse[axes.left] * spread(scale, axes.every)
    y[axes.every] = value if shift is None else value + spread(shift, axes.every)
    return [y, mean, inverse]


def _root_mean_square(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y = X / sqrt(mean of X^2 + eps) * scale, the mean over all axes from one on."""
    x, scale = required(operands, 0), required(operands, 1)
    axes = Axes(x, range(axis(attributes.integer("axis", -1), len(x.extents)), len(x.extents)), True)
    value = x[axes.every]
    square = axes.result("S", sum_over(axes.over, value * value) / axes.count)
    y = Tensor("Y")
    y[axes.every] = value / sqrt(square[axes.left] + attributes.real("epsilon", 1e-5)) * spread(scale, axes.every)
    return [y]


def _group(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """The mean and the variance of every image's every group of channels; scale and shift of the channel."""
    x, scale, shift = (required(operands, place) for place in range(3))
    groups = attributes.integer("num_groups", 0)
    if groups < 1 or x.extents[1] % groups or scale.extents != (x.extents[1],):
        raise DataError(f"{groups} groups do not fit {x.extents[1]} channels with a scale of {scale.extents}")
    n, g, d = Index("n", x.extents[0]), Index("g", groups), Index("d", x.extents[1] // groups)
    rest = [Index(f"x{k}", extent) for k, extent in enumerate(x.extents[2:])]
    c = g * d.size + d
    value, count = x[(n, c, *rest)], d.size
    for index in rest:
        count *= index.size
    mean, variance, y = Tensor("M"), Tensor("V"), Tensor("Y")
    mean[n, g] = sum_over([d, *rest], value) / count
    variance[n, g] = sum_over([d, *rest], (value - mean[n, g]) * (value - mean[n, g])) / count
    root = sqrt(variance[n, g] + attributes.real("epsilon", 1e-5))
    y[(n, c, *rest)] = (value - mean[n, g]) / root * scale[c] + shift[c]
    return [y]


def _local_response(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[n,c] = X[n,c] / (bias + alpha / size * sum(k) X[n, c + k - before]^2)^beta."""
    x, size = required(operands, 0), attributes.integer("size", 0)
    if size < 1 or len(x.extents) < 2:
        raise DataError(f"the size must be positive; it is {size}")
    n, c, *rest = places(x.extents)
    k = Index("r", size)
    neighbour = x[(n, c + k - (size - 1) // 2, *rest)]
    s, y = Tensor("S"), Tensor("Y")
    total: Expression = sum_over([k], neighbour * neighbour)
    s[(n, c, *rest)] = attributes.real("bias", 1.0) + attributes.real("alpha", 1e-4) / size * total
    y[(n, c, *rest)] = x[(n, c, *rest)] * s[(n, c, *rest)] ** -attributes.real("beta", 0.75)
    return [y]


def _mean_variance(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y = (X - mean) / sqrt(variance) over the given axes."""
    x = required(operands, 0)
    chosen = attributes.integers("axes") or (0, 2, 3)
    axes = Axes(x, sorted({axis(number, len(x.extents)) for number in chosen}), True)
    mean, variance = _moments(x, axes)
    y = Tensor("Y")
    y[axes.every] = (x[axes.every] - mean[axes.left]) / (sqrt(variance[axes.left]) + 1e-9)
    return [y]


def _lp(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y = X / (sum(k) |X|^p)^(1/p) along one axis, with p 1 or 2; 0 where all are 0."""
    x, p = required(operands, 0), attributes.integer("p", 2)
    if p not in (1, 2):
        raise DataError(f"p must be 1 or 2; it is {p}")
    axes = Axes(x, [axis(attributes.integer("axis", -1), len(x.extents))], False)
    value = x[axes.every]
    s, y = axes.result("S", sum_over(axes.over, maximum(value, -value) if p == 1 else value * value)), Tensor("Y")
    # The smallest normal number of float32 keeps 0 / 0 away.
    total = maximum(s[axes.left], 1.1754944e-38)
    y[axes.every] = value / (total if p == 1 else sqrt(total))
    return [y]


RULES = {
    "BatchNormalization": Rule(_batch, learned=(1, 2), scales=(1, 4), states=(3, 4), outputs=3),
    "GroupNormalization": Rule(_group, learned=(1, 2), scales=(1,)),
    "InstanceNormalization": Rule(_instance, learned=(1, 2), scales=(1,)),
    "LRN": Rule(_local_response),
    "LayerNormalization": Rule(_layer, learned=(1, 2), scales=(1,), outputs=3),
    "LpNormalization": Rule(_lp),
    "MeanVarianceNormalization": Rule(_mean_variance),
    "RMSNormalization": Rule(_root_mean_square, learned=(1,), scales=(1,)),
}
