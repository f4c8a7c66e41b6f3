"""Which oracle answers for which kind of layer, under one signature."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.oracles import activation, conv, dense, join, norm, pool, recurrent, sequence, upsample
from tests.oracles.result import Array, Result
from tests.oracles.windows import pair

ACTIVATIONS: dict[str, Callable[..., Result]] = {
    "relu": activation.relu,
    "leaky_relu": activation.leaky_relu,
    "sigmoid": activation.sigmoid,
    "tanh": activation.tanh,
    "scaled_tanh": activation.scaled_tanh,
    "elu": activation.elu,
    "softplus": activation.softplus,
    "silu": activation.silu,
    "hardswish": activation.hardswish,
    "gelu": activation.gelu,
    "softmax": activation.softmax,
    "log_softmax": activation.log_softmax,
}
PLAIN: dict[str, Callable[..., Result]] = {
    **ACTIVATIONS,
    "max_pool2d": pool.max_pool2d,
    "avg_pool2d": pool.avg_pool2d,
    "global_avg_pool2d": pool.global_avg_pool2d,
    "adaptive_avg_pool2d": pool.adaptive_avg_pool2d,
    "local_response_norm": norm.local_response_norm,
    "code_distance": dense.code_distance,
    "padded_shortcut": join.padded_shortcut,
    "add": join.add,
    "concat": join.concat,
    "flatten": dense.flatten,
    "add_channel": dense.add_channel,
    "upsample": upsample.upsample,
    "global_max_pool2d": pool.global_max_pool2d,
    "select_step": sequence.select_step,
}


def parameter_shapes(kind: str, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a layer's parameters, as PyTorch has them."""
    if kind == "conv2d":
        depth = options["in_channels"] // options["groups"]
        shapes: dict[str, tuple[int, ...]] = {
            "weight": (options["out_channels"], depth, *pair(options["kernel_size"])),
            "bias": (options["out_channels"],),
        }
    elif kind == "conv_transpose2d":
        depth = options["out_channels"] // options["groups"]
        shapes = {
            "weight": (options["in_channels"], depth, *pair(options["kernel_size"])),
            "bias": (options["out_channels"],),
        }
    elif kind == "embedding":
        return {"weight": (options["num_embeddings"], options["embedding_dim"])}
    elif kind in recurrent.GATES:
        return recurrent.parameter_shapes(recurrent.GATES[kind], options)
    elif kind == "linear":
        shapes = {
            "weight": (options["out_features"], options["in_features"]),
            "bias": (options["out_features"],),
        }
    elif kind == "table_conv2d":
        connections = sum(map(len, options["table"]))
        return {"weight": (connections, *pair(options["kernel_size"])), "bias": (len(options["table"]),)}
    elif kind == "subsampling2d" or (kind == "batch_norm2d" and options["affine"]):
        return {"weight": (options["num_features"],), "bias": (options["num_features"],)}
    else:
        return {}
    if not options["bias"]:
        del shapes["bias"]
    return shapes


def answer(
    kind: str, options: Mapping[str, Any], x: Array, parameters: Mapping[str, Array], dy: Array | None = None
) -> Result:
    """A layer's output and gradients by plain loops; without `dy` the output gradient is all ones."""
    if kind == "conv2d":
        names = ("stride", "padding", "dilation", "groups", "flip")
        movement = {name: options[name] for name in names}
        return conv.conv2d(x, parameters["weight"], parameters.get("bias"), dy, **movement)
    if kind == "conv_transpose2d":
        names = ("stride", "padding", "output_padding", "dilation", "groups")
        movement = {name: options[name] for name in names}
        return conv.conv_transpose2d(x, parameters["weight"], parameters.get("bias"), dy, **movement)
    if kind == "embedding":
        return sequence.embedding(x, parameters["weight"], options["padding_idx"], dy)
    if kind in recurrent.GATES:
        return recurrent.recurrent(kind, options, x, parameters, dy)
    if kind == "linear":
        return dense.linear(x, parameters["weight"], parameters.get("bias"), dy)
    if kind == "table_conv2d":
        return conv.table_conv2d(x, parameters["weight"], parameters["bias"], dy, table=options["table"])
    if kind == "subsampling2d":
        return pool.subsampling2d(x, parameters["weight"], parameters["bias"], dy, kernel_size=options["kernel_size"])
    if kind == "batch_norm2d":
        own = options["training"] or not options["track_running_stats"]
        return norm.batch_norm2d(
            x,
            dy,
            weight=parameters.get("weight"),
            bias=parameters.get("bias"),
            running=None if own else (parameters["running_mean"], parameters["running_var"]),
            eps=options["eps"],
        )
    if kind == "fixed_filter2d":
        kernel = np.array(options["kernel"], dtype=np.float64)
        return conv.fixed_filter2d(x, kernel, dy, stride=options["stride"], padding=options["padding"])
    return PLAIN[kind](x, dy, **options)
