"""Operators with windows that move over the last axes: convolutions and pooling, in any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.formats.onnx.rules import Attributes, Operand, Rule, optional, product, required
from pellucid.notation import Affine, Expression, Index, Tensor, bracket, max_over, maximum, sum_over
from pellucid.notation.derive import derive
from pellucid.notation.expression import Reduce

_LIMIT = 1 << 20  # for sizes, steps and padding of a window; no honest model comes near


@dataclass(frozen=True)
class Windows:
    """How windows lie on a grid: for each axis an index of the output, one of the window, and where they read."""

    outputs: tuple[Index, ...]
    taps: tuple[Index, ...]
    cells: tuple[Affine, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def windows(
    attributes: Attributes, sizes: tuple[int, ...], kernel: tuple[int, ...], pads: tuple[int, ...] | None = None
) -> Windows:
    """The windows that a node's attributes describe, over axes of these sizes; `pads` replaces their padding."""
    rank = len(sizes)
    if len(kernel) != rank:
        raise ShapeError(f"a window of {len(kernel)} dimensions does not fit {rank} axes")
    strides = _several(attributes, "strides", rank, 1)
    dilations = _several(attributes, "dilations", rank, 1)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    before, after = _padding(attributes, sizes, reach, strides) if pads is None else (pads[:rank], pads[rank:])
    outputs, taps, cells = [], [], []
    for d in range(rank):
        tap = Index(_letter("uvw", d), kernel[d])
        position = Index(_letter("ijl", d), _extent(attributes, sizes[d], reach[d], strides[d], before[d], after[d]))
        outputs.append(position)
        taps.append(tap)
        cells.append(position * strides[d] + tap * dilations[d] - before[d])
    return Windows(tuple(outputs), tuple(taps), tuple(cells), tuple(before), tuple(after))


def _letter(letters: str, d: int) -> str:
    return letters[d] if d < len(letters) else f"{letters[0]}{d}"


def _several(attributes: Attributes, name: str, count: int, default: int) -> tuple[int, ...]:
    values = attributes.integers(name)
    if values is None:
        return (default,) * count
    if len(values) != count or not all(default <= value <= _LIMIT for value in values):
        raise DataError(f"the attribute {name} must be {count} numbers of at least {default}; it is {values}")
    return values


def _padding(
    attributes: Attributes, sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Padding before and after each axis, given or chosen so that the output has size / stride elements."""
    automatic = attributes.text("auto_pad", "NOTSET")
    rank = len(sizes)
    if automatic == "NOTSET":
        pads = _several(attributes, "pads", 2 * rank, 0)
        return list(pads[:rank]), list(pads[rank:])
    if automatic == "VALID":
        return [0] * rank, [0] * rank
    if automatic not in ("SAME_UPPER", "SAME_LOWER"):
        raise DataError(f"auto_pad is {automatic!r:.40}")
    before, after = [], []
    for size, span, step in zip(sizes, reach, strides, strict=True):
        total = max((-(-size // step) - 1) * step + span - size, 0)
        small, large = total // 2, total - total // 2
        before.append(small if automatic == "SAME_UPPER" else large)
        after.append(large if automatic == "SAME_UPPER" else small)
    return before, after


def _extent(attributes: Attributes, size: int, reach: int, step: int, before: int, after: int) -> int:
    room = size + before + after - reach
    if room < 0:
        raise ShapeError(f"its window spans {reach} elements, but the axis has {size} and {before + after} of padding")
    if not attributes.integer("ceil_mode", 0):
        return room // step + 1
    extent = -(-room // step) + 1
    # The last window must begin inside the image or the padding before it.
    return extent - 1 if (extent - 1) * step >= size + before else extent


def _spatial(x: Tensor) -> tuple[int, ...]:
    if len(x.extents) < 3:
        raise ShapeError(f'it needs images, channels and one axis more, but "{x.name}" has {len(x.extents)} dimensions')
    return x.extents[2:]


def _kernel(attributes: Attributes, weight: Tensor) -> tuple[int, ...]:
    shape = weight.extents[2:]
    if attributes.integers("kernel_shape") not in (None, shape):
        raise ShapeError(f"kernel_shape is {attributes.integers('kernel_shape')}, but the kernels are {shape}")
    return shape


def _conv(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[n,o,i,...] = sum(c,u,...) X[n,c,s*i+d*u-p,...] * W[o,c,u,...] + b[o], in groups of channels."""
    x, weight, bias = required(operands, 0), required(operands, 1), optional(operands, 2)
    return [convolution(attributes, x, weight, bias)]


def convolution(
    attributes: Attributes, x: Tensor, weight: Tensor, bias: Operand, pads: tuple[int, ...] | None = None
) -> Tensor:
    """The equation of Conv; `pads` replaces the padding of the attributes, and may be negative at the ends."""
    groups = attributes.integer("group", 1)
    if len(weight.extents) != len(x.extents) or groups < 1 or weight.extents[0] % groups:
        raise ShapeError(f"kernels of shape {weight.extents} in {groups} groups do not fit images of {x.extents}")
    if x.extents[1] != weight.extents[1] * groups:
        raise ShapeError(f'the kernels take {weight.extents[1] * groups} channels, but "{x.name}" has {x.extents[1]}')
    at = windows(attributes, _spatial(x), _kernel(attributes, weight), pads)
    n, g = Index("n", x.extents[0]), Index("g", groups)
    o, c = Index("o", weight.extents[0] // groups), Index("c", weight.extents[1])
    # With one group the index g is always 0 and stays unwritten.
    out = o if groups == 1 else g * o.size + o
    channel = c if groups == 1 else g * c.size + c
    value: Expression = sum_over([c, *at.taps], x[(n, channel, *at.cells)] * weight[(out, c, *at.taps)])
    y = Tensor("Y")
    y[(n, out, *at.outputs)] = value if bias is None else value + bias[out]
    return y


def _conv_transpose(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """The gradient of a convolution by its input, used forwards: derived, not written.

    Of the convolution that takes an image Z of the wanted size to an image of X's size, dZ for the incoming gradient X.
    """
    x, weight, bias = required(operands, 0), required(operands, 1), optional(operands, 2)
    groups = attributes.integer("group", 1)
    if len(weight.extents) != len(x.extents) or groups < 1 or x.extents[1] % groups:
        raise ShapeError(f"kernels of shape {weight.extents} in {groups} groups do not fit images of {x.extents}")
    sizes, pads = _transposed(attributes, _spatial(x), _kernel(attributes, weight))
    z = Tensor("Z", (x.extents[0], weight.extents[1] * groups, *sizes), role="input")
    image = convolution(attributes, z, weight, None, pads)
    if image.extents != x.extents:
        raise ShapeError(f"an output of {sizes} does not belong to an input of {x.extents}")
    y = derive({image: x}, [z])[z]
    if bias is None:
        return [y]
    every = tuple(Index(name, extent) for name, extent in zip(("n", "o", "i", "j", "l"), y.extents, strict=False))
    shifted = Tensor("Y")
    shifted[every] = y[every] + bias[every[1]]
    return [shifted]


def _transposed(
    attributes: Attributes, sizes: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The size of ConvTranspose's output, and the padding of the convolution it is the gradient of."""
    rank = len(sizes)
    strides, dilations = _several(attributes, "strides", rank, 1), _several(attributes, "dilations", rank, 1)
    extra = _several(attributes, "output_padding", rank, 0)
    wanted = attributes.integers("output_shape")
    automatic = attributes.text("auto_pad", "NOTSET")
    full = [
        s * (n - 1) + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(sizes, strides, dilations, kernel, extra, strict=True)
    ]
    if wanted is None and automatic == "NOTSET":
        pads = _several(attributes, "pads", 2 * rank, 0)
        shape = [n - b - a for n, b, a in zip(full, pads[:rank], pads[rank:], strict=True)]
    else:
        shape = list(wanted[-rank:]) if wanted else [s * n for n, s in zip(sizes, strides, strict=True)]
        if automatic == "VALID" and not wanted:
            shape = full
        total = [n - w for n, w in zip(full, shape, strict=True)]
        upper = automatic == "SAME_UPPER"
        before = [t // 2 if upper else t - t // 2 for t in total]
        pads = (*before, *(t - b for t, b in zip(total, before, strict=True)))
    if min(shape) < 1 or max(shape) > _LIMIT:
        raise ShapeError(f"the output would have the size {tuple(shape)}")
    # The convolution leaves the extra rows at the end unread, so they are not part of its padding.
    after = [a - e for a, e in zip(pads[rank:], extra, strict=True)]
    return tuple(shape), (*pads[:rank], *after)


def _max_pool(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[n,c,i,...] = max(u,...) X[n,c,s*i+d*u-p,...]; and the place of each maximum in the whole input."""
    x = required(operands, 0)
    at = windows(attributes, _spatial(x), attributes.integers("kernel_shape") or ())
    n, c = Index("n", x.extents[0]), Index("c", x.extents[1])
    y = Tensor("Y")
    y[(n, c, *at.outputs)] = max_over(list(at.taps), x[(n, c, *at.cells)])
    return [y, _places_of(attributes, x, at)]


def _places_of(attributes: Attributes, x: Tensor, at: Windows) -> Tensor:
    """Where in the input each window's maximum stands, counted row by row, or column by column if asked for."""
    if x.size >= 1 << 24:
        raise UsageError("the places of maxima are exact below 16,777,216 elements only")
    n, c = Index("n", x.extents[0]), Index("c", x.extents[1])
    argument = Tensor("A", (n.size, c.size, *(i.size for i in at.outputs)), kind="int")
    body = max_over(list(at.taps), x[(n, c, *at.cells)])
    assert isinstance(body, Reduce)
    argument[(n, c, *at.outputs)] = Reduce("argmax", at.taps, body.body)
    tap, place = Affine(), n * x.extents[1] + c
    for index in at.taps:
        tap = tap * index.size + index
    spatial = list(zip(at.cells, x.extents[2:], strict=True))
    inner = Affine()
    for cell, size in spatial if attributes.integer("storage_order", 0) == 0 else reversed(spatial):
        inner = inner * size + cell
    place = place * product(x.extents[2:]) + inner
    indices = Tensor("I", argument.extents, kind="int")
    chosen = bracket(argument[(n, c, *at.outputs)], "==", tap) * Expression.of(place)
    indices[(n, c, *at.outputs)] = sum_over(list(at.taps), chosen)
    return indices


def _average_pool(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[n,c,i,...] = sum(u,...) X[n,c,s*i+d*u-p,...] / K[i,...] with K the number of cells that count."""
    x = required(operands, 0)
    sizes = _spatial(x)
    at = windows(attributes, sizes, attributes.integers("kernel_shape") or ())
    n, c = Index("n", x.extents[0]), Index("c", x.extents[1])
    total = sum_over(list(at.taps), x[(n, c, *at.cells)])
    padded = bool(attributes.integer("count_include_pad", 0))
    inside = [
        condition
        for cell, size, before, after in zip(at.cells, sizes, at.before, at.after, strict=True)
        for condition in _inside(cell, -before if padded else 0, size + after if padded else size)
    ]
    y = Tensor("Y")
    if not inside:
        y[(n, c, *at.outputs)] = total / product([tap.size for tap in at.taps])
        return [y]
    counted = Tensor("K", differentiable=False)
    conditions = inside[0]
    for condition in inside[1:]:
        conditions = conditions * condition
    counted[at.outputs] = sum_over(list(at.taps), conditions)
    y[(n, c, *at.outputs)] = total / counted[at.outputs]
    return [y]


def _inside(cell: Affine, first: int, last: int) -> list[Expression]:
    """The conditions under which a cell counts, leaving out those that always hold."""
    low, high = cell.bounds
    conditions = [bracket(cell, ">=", first)] if low < first else []
    return conditions + ([bracket(cell, "<", last)] if high >= last else [])


def _lp_pool(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y = (sum(u,...) |X|^p)^(1/p) of each window."""
    x = required(operands, 0)
    at = windows(attributes, _spatial(x), attributes.integers("kernel_shape") or ())
    n, c, p = Index("n", x.extents[0]), Index("c", x.extents[1]), attributes.integer("p", 2)
    value = x[(n, c, *at.cells)]
    total, y = Tensor("S"), Tensor("Y")
    total[(n, c, *at.outputs)] = sum_over(list(at.taps), maximum(value, -value) ** p)
    y[(n, c, *at.outputs)] = total[(n, c, *at.outputs)] ** (1 / p)
    return [y]


def _whole(x: Tensor) -> tuple[Index, Index, list[Index], tuple[int, ...]]:
    n, c = Index("n", x.extents[0]), Index("c", x.extents[1])
    taps = [Index(_letter("ijl", d), size) for d, size in enumerate(_spatial(x))]
    return n, c, taps, (n.size, c.size, *(1 for _ in taps))


def _global_average_pool(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[n,c,0,...] = sum(i,...) X[n,c,i,...] / the number of cells."""
    x = required(operands, 0)
    n, c, taps, shape = _whole(x)
    y = Tensor("Y", shape)
    y[(n, c, *(0 for _ in taps))] = sum_over(taps, x[(n, c, *taps)]) / product([tap.size for tap in taps])
    return [y]


def _global_max_pool(attributes: Attributes, operands: Sequence[Operand]) -> list[Tensor]:
    """Y[n,c,0,...] = max(i,...) X[n,c,i,...]."""
    x = required(operands, 0)
    n, c, taps, shape = _whole(x)
    y = Tensor("Y", shape)
    y[(n, c, *(0 for _ in taps))] = max_over(taps, x[(n, c, *taps)])
    return [y]


RULES = {
    "AveragePool": Rule(_average_pool),
    "Conv": Rule(_conv, learned=(1, 2)),
    "ConvTranspose": Rule(_conv_transpose, learned=(1, 2)),
    "GlobalAveragePool": Rule(_global_average_pool),
    "GlobalMaxPool": Rule(_global_max_pool),
    "LpPool": Rule(_lp_pool),
    "MaxPool": Rule(_max_pool, outputs=2),
}
