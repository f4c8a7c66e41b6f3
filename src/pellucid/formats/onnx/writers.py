"""How each layer is written in ONNX: a table of small functions, by the layer's class.

A function gets the writer, the layer and the names of the values that it reads, and returns the name of its result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pellucid import layers
from pellucid.errors import UsageError
from pellucid.formats.onnx import sequences
from pellucid.formats.onnx.operators import Operator, Slot
from pellucid.formats.onnx.writing import Writer
from pellucid.layers.base import Layer
from pellucid.notation import Tensor

Write = Callable[[Writer, Any, Sequence[str]], str]


def simple(op: str, **attributes: Any) -> Write:
    """A layer that is one node with fixed attributes."""
    return lambda w, layer, inputs: w.put(op, *inputs, **attributes)


def _conv(w: Writer, layer: layers.Conv2d, inputs: Sequence[str]) -> str:
    # ONNX correlates only: the kernel of a convolution in the mathematicians' sense is written rotated.
    weight = w.rotated(layer.weight) if layer.flip else w.tensor(layer.weight)
    if isinstance(layer.padding, str):
        reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        pads = [r // 2 for r in reach] + [r - r // 2 for r in reach]
    else:
        pads = [*layer.padding, *layer.padding]
    bias = [] if layer.bias is None else [w.tensor(layer.bias)]
    return w.put(
        "Conv", *inputs, weight, *bias, kernel_shape=layer.kernel_size, strides=layer.stride, pads=pads,
        dilations=layer.dilation, group=layer.groups,
    )  # fmt: skip


def _table_conv(w: Writer, layer: layers.TableConv2d, inputs: Sequence[str]) -> str:
    """A convolution of all maps: zeros where the table connects nothing."""
    kernels = iter(w.values(layer.weight))
    weight = np.zeros((len(layer.table), layer.in_channels, *layer.kernel_size), np.float32)
    for output, connected in enumerate(layer.table):
        for channel in connected:
            weight[output, channel] = next(kernels)
    return w.put("Conv", *inputs, w.constant(weight), w.tensor(layer.bias), kernel_shape=layer.kernel_size)


def _code_distance(w: Writer, layer: layers.CodeDistance, inputs: Sequence[str]) -> str:
    """Minus the sum of the squared differences between the vector, (N, 1, O), and the codes, (K, O)."""
    row = w.put("Unsqueeze", *inputs, w.constant([1], np.int64))
    apart = w.put("Sub", row, w.constant(layer.codes.value))
    total = w.put("ReduceSum", w.put("Mul", apart, apart), w.constant([2], np.int64), keepdims=0)
    return w.put("Neg", total)


def _fixed_filter(w: Writer, layer: layers.FixedFilter2d, inputs: Sequence[str]) -> str:
    channels = w.shapes[inputs[0]][1]
    assert layer.kernel.value is not None
    kernel = np.asarray(layer.kernel.value, np.float64) * float(layer.scale)
    weight = w.constant(np.broadcast_to(kernel, (channels, 1, *kernel.shape)))
    pads = [*layer.padding, *layer.padding]
    return w.put("Conv", *inputs, weight, kernel_shape=kernel.shape, strides=layer.stride, pads=pads, group=channels)


def _conv_transpose(w: Writer, layer: layers.ConvTranspose2d, inputs: Sequence[str]) -> str:
    bias = [] if layer.bias is None else [w.tensor(layer.bias)]
    return w.put(
        "ConvTranspose", *inputs, w.tensor(layer.weight), *bias, kernel_shape=layer.kernel_size, strides=layer.stride,
        pads=[*layer.padding, *layer.padding], output_padding=layer.output_padding, dilations=layer.dilation,
        group=layer.groups,
    )  # fmt: skip


def _linear(w: Writer, layer: layers.Linear, inputs: Sequence[str]) -> str:
    bias = [] if layer.bias is None else [w.tensor(layer.bias)]
    return w.put("Gemm", *inputs, w.tensor(layer.weight), *bias, transB=1)


def _max_pool(w: Writer, layer: layers.MaxPool2d, inputs: Sequence[str]) -> str:
    pads = _pads(layer, w.shapes[inputs[0]][2:])
    return w.put("MaxPool", *inputs, kernel_shape=layer.kernel_size, strides=layer.stride, pads=pads,
                 dilations=layer.dilation)  # fmt: skip


def _average_pool(w: Writer, layer: layers.AvgPool2d, inputs: Sequence[str]) -> str:
    pads = _pads(layer, w.shapes[inputs[0]][2:])
    own = [*layer.padding, *layer.padding]
    attributes: dict[str, Any] = {"kernel_shape": layer.kernel_size, "strides": layer.stride}
    if pads == own or not layer.count_include_pad:
        return w.put("AveragePool", *inputs, pads=pads, count_include_pad=int(layer.count_include_pad), **attributes)
    # What a window reaches beyond the padding does not count, so the padding that counts is written by itself.
    padded = w.put("Pad", *inputs, w.constant([0, 0, *layer.padding] * 2, np.int64))
    beyond = [0, 0, *(a - p for a, p in zip(pads[2:], layer.padding, strict=True))]
    return w.put("AveragePool", padded, pads=beyond, count_include_pad=0, **attributes)


def _pads(layer: layers.MaxPool2d | layers.AvgPool2d, sizes: Sequence[int]) -> list[int]:
    """Padding before and after; with `ceil_mode` as much after as the last window reaches."""
    after = []
    for axis, size in enumerate(sizes):
        stride, padding = layer.stride[axis], layer.padding[axis]
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
        room = size + 2 * padding - reach
        extent = (-(-room // stride) if layer.ceil_mode else room // stride) + 1
        if layer.ceil_mode and (extent - 1) * stride >= size + padding:
            extent -= 1
        after.append(max(padding, (extent - 1) * stride + reach - size - padding))
    return [*layer.padding, *after]


def _adaptive_pool(w: Writer, layer: layers.AdaptiveAvgPool2d, inputs: Sequence[str]) -> str:
    """Average pooling where the windows are alike, otherwise a product with a matrix of weights along each axis."""
    sizes = w.shapes[inputs[0]][2:]
    outputs = [out or size for out, size in zip(layer.output_size, sizes, strict=True)]
    if all(size % out == 0 for size, out in zip(sizes, outputs, strict=True)):
        window = [size // out for size, out in zip(sizes, outputs, strict=True)]
        return w.put("AveragePool", *inputs, kernel_shape=window, strides=window)
    rows, columns = (_window_means(size, out) for size, out in zip(sizes, outputs, strict=True))
    return w.put("MatMul", w.put("MatMul", w.constant(rows), *inputs), w.constant(columns.T))


def _window_means(size: int, out: int) -> np.ndarray[Any, Any]:
    matrix = np.zeros((out, size))
    for i in range(out):
        first, last = i * size // out, -(-(i + 1) * size // out)
        matrix[i, first:last] = 1 / (last - first)
    return matrix


def _subsampling(w: Writer, layer: layers.Subsampling2d, inputs: Sequence[str]) -> str:
    mean = w.put("AveragePool", *inputs, kernel_shape=layer.kernel_size, strides=layer.kernel_size)
    channels = w.constant([layer.num_features, 1, 1], np.int64)
    scale, shift = (w.put("Reshape", w.tensor(tensor), channels) for tensor in (layer.weight, layer.bias))
    return w.put("Add", w.put("Mul", mean, scale), shift)


def _global(op: str) -> Write:
    return lambda w, layer, inputs: w.put("Flatten", w.put(op, *inputs), axis=1)


def _upsample(w: Writer, layer: layers.Upsample, inputs: Sequence[str]) -> str:
    """By a factor where one is given, which then also says where the cells lie; otherwise to a size."""
    way = "asymmetric" if layer.mode == "nearest" else "align_corners" if layer.align_corners else "half_pixel"
    kind: dict[str, Any] = {
        "mode": "nearest" if layer.mode == "nearest" else "linear", "nearest_mode": "floor", "axes": [2, 3],
        "coordinate_transformation_mode": way,
    }  # fmt: skip
    if layer.scale_factor is not None and way != "align_corners":
        return w.put("Resize", *inputs, "", w.constant(layer.scale_factor), **kind)
    old = w.shapes[inputs[0]][2:]
    size = layer.size or [int(extent * factor) for extent, factor in zip(old, layer.scale_factor or (), strict=True)]
    return w.put("Resize", *inputs, "", "", w.constant(size, np.int64), **kind)


def _padded_shortcut(w: Writer, layer: layers.PaddedShortcut, inputs: Sequence[str]) -> str:
    ends = w.constant([np.iinfo(np.int64).max] * 2, np.int64)
    steps = w.constant([layer.stride] * 2, np.int64)
    kept = w.put("Slice", *inputs, w.constant([0, 0], np.int64), ends, w.constant([2, 3], np.int64), steps)
    more = layer.out_channels - w.shapes[inputs[0]][1]
    return w.put("Pad", kept, w.constant([0, 0, 0, 0, 0, more, 0, 0], np.int64))


def _batch_norm(w: Writer, layer: layers.BatchNorm2d, inputs: Sequence[str]) -> str:
    if layer.running_mean is None or layer.running_var is None:
        raise UsageError("ONNX has no batch normalisation by the batch's own statistics at inference")
    scale = w.constant(np.ones(layer.num_features)) if layer.weight is None else w.tensor(layer.weight)
    shift = w.constant(np.zeros(layer.num_features)) if layer.bias is None else w.tensor(layer.bias)
    statistics = w.tensor(layer.running_mean), w.tensor(layer.running_var)
    return w.put("BatchNormalization", *inputs, scale, shift, *statistics, epsilon=layer.eps,
                 momentum=1 - layer.momentum)  # fmt: skip


def _local_response(w: Writer, layer: layers.LocalResponseNorm, inputs: Sequence[str]) -> str:
    if layer.size % 2 == 0:
        raise UsageError(f"ONNX puts the window of {layer.size} channels elsewhere; only odd sizes can be written")
    return w.put("LRN", *inputs, size=layer.size, alpha=layer.alpha, beta=layer.beta, bias=layer.k)


def _dropout(w: Writer, layer: layers.Dropout, inputs: Sequence[str]) -> str:
    if w.opset < 12:  # the share was an attribute then
        return w.put("Dropout", *inputs, ratio=layer.p)
    return w.put("Dropout", *inputs, w.constant(layer.p))


def _scaled_tanh(w: Writer, layer: layers.ScaledTanh, inputs: Sequence[str]) -> str:
    inner = w.put("Tanh", w.put("Mul", *inputs, w.constant(layer.slope)))
    return w.put("Mul", inner, w.constant(layer.amplitude))


def _softplus(w: Writer, layer: layers.Softplus, inputs: Sequence[str]) -> str:
    """Beyond the threshold the two differ by less than exp(-threshold)."""
    if layer.threshold < 15:
        raise UsageError("ONNX's Softplus has no threshold; one below 15 would be seen")
    if layer.beta == 1:
        return w.put("Softplus", *inputs)
    return w.put("Div", w.put("Softplus", w.put("Mul", *inputs, w.constant(layer.beta))), w.constant(layer.beta))


def _silu(w: Writer, layer: Layer, inputs: Sequence[str]) -> str:
    return w.put("Mul", *inputs, w.put("Sigmoid", *inputs))


def _operator(w: Writer, layer: Operator, inputs: Sequence[str]) -> str:
    """A node that was read is written as it was."""
    operands = []
    for operand in layer.operands:
        if operand is None:
            operands.append("")
        elif isinstance(operand, Slot):
            operands.append(inputs[operand.place])
        elif isinstance(operand, Tensor):
            operands.append(w.tensor(operand))
        else:
            operands.append(w.constant(operand, operand.dtype.type))
    attributes = {name: value for name, value in layer.attributes.values.items() if " " not in name}
    if layer.op == "Split" and "num_outputs" not in attributes:
        return _part_of_split(w, layer, operands, attributes)
    return w.put(layer.op, *operands, outputs=layer.output + 1, **attributes)


def _part_of_split(w: Writer, layer: Operator, operands: list[str], attributes: dict[str, Any]) -> str:
    """Every part of a split is a layer of its own, so the node is written for each, with all its outputs."""
    count = layer.attributes.integer("outputs of the node", 1)
    w.put(layer.op, *operands, outputs=count, **attributes)
    return w.nodes[-1].outputs[layer.output]


WRITERS: dict[type[Layer], Write] = {
    layers.AdaptiveAvgPool2d: _adaptive_pool,
    layers.AddChannel: lambda w, layer, inputs: w.put("Unsqueeze", *inputs, w.constant([1], np.int64)),
    layers.Add: lambda w, layer, inputs: w.put("Add" if len(inputs) == 2 else "Sum", *inputs),
    layers.AvgPool2d: _average_pool,
    layers.BatchNorm2d: _batch_norm,
    layers.Concat: lambda w, layer, inputs: w.put("Concat", *inputs, axis=layer.dim),
    layers.Conv2d: _conv,
    layers.ConvTranspose2d: _conv_transpose,
    layers.Dropout: _dropout,
    layers.Embedding: sequences.embedding,
    layers.ELU: lambda w, layer, inputs: w.put("Elu", *inputs, alpha=layer.alpha),
    layers.FixedFilter2d: _fixed_filter,
    layers.TableConv2d: _table_conv,
    layers.CodeDistance: _code_distance,
    layers.Flatten: simple("Flatten", axis=1),
    layers.GRU: sequences.recurrent,
    layers.GELU: lambda w, layer, inputs: w.put("Gelu", *inputs, approximate=layer.approximate),
    layers.GlobalAvgPool2d: _global("GlobalAveragePool"),
    layers.GlobalMaxPool2d: _global("GlobalMaxPool"),
    layers.Hardswish: simple("HardSwish"),
    layers.LSTM: sequences.recurrent,
    layers.LeakyReLU: lambda w, layer, inputs: w.put("LeakyRelu", *inputs, alpha=layer.negative_slope),
    layers.Linear: _linear,
    layers.LocalResponseNorm: _local_response,
    layers.LogSoftmax: simple("LogSoftmax", axis=1),
    layers.MaxPool2d: _max_pool,
    layers.PaddedShortcut: _padded_shortcut,
    layers.RNN: sequences.recurrent,
    layers.ReLU: simple("Relu"),
    layers.ScaledTanh: _scaled_tanh,
    layers.SelectStep: sequences.select_step,
    layers.SiLU: _silu,
    layers.Sigmoid: simple("Sigmoid"),
    layers.Softmax: simple("Softmax", axis=1),
    layers.Softplus: _softplus,
    layers.Subsampling2d: _subsampling,
    layers.Tanh: simple("Tanh"),
    layers.Upsample: _upsample,
}


def writer_of(layer: Layer) -> Write | None:
    """The function that writes a layer; None if there is none. A subclass may compute something else, and has none."""
    return _operator if isinstance(layer, Operator) else WRITERS.get(type(layer))
