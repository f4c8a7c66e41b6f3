"""PyTorch's answer for a case of the table, in the same form as an oracle's."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tests.cases import Case
from tests.oracles.inputs import Inputs
from tests.oracles.result import Result

Parameters = Mapping[str, Tensor]


def conv2d(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """Cross-correlation; true convolution by turning the kernels around."""
    weight = parameters["weight"]
    if options["flip"]:
        weight = torch.flip(weight, (2, 3))
    movement = {name: options[name] for name in ("stride", "padding", "dilation", "groups")}
    return functional.conv2d(x, weight, parameters.get("bias"), **movement)


def conv_transpose2d(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """The layer's own arguments, in PyTorch's names."""
    movement = {name: options[name] for name in ("stride", "padding", "output_padding", "groups", "dilation")}
    return functional.conv_transpose2d(x, parameters["weight"], parameters.get("bias"), **movement)


def embedding(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """PyTorch leaves the padding token's vector as it is: here it is 0."""
    weight, padding = parameters["weight"], options["padding_idx"]
    if padding is not None:
        keep = torch.ones(len(weight), 1, dtype=weight.dtype)
        keep[padding] = 0
        weight = weight * keep
    y: Tensor = functional.embedding(x.detach().long(), weight, padding)
    return y


def recurrent(kind: type[torch.nn.RNNBase]) -> Callable[[Tensor, Parameters, Mapping[str, Any]], Tensor]:
    """One of PyTorch's recurrent modules, with these parameters."""

    def run(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
        module = kind(**options, batch_first=True).to(x.dtype)
        y: Tensor = torch.func.functional_call(module, dict(parameters), (x,))[0]
        return y

    return run


def max_pool2d(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """PyTorch knows the first maximum only; without ties both rules are the same."""
    y: Tensor = functional.max_pool2d(x, **{name: value for name, value in options.items() if name != "ties"})
    return y


def fixed_filter2d(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """The same kernel for every channel: a depthwise convolution."""
    kernel = torch.tensor(options["kernel"], dtype=x.dtype).expand(x.shape[1], 1, -1, -1)
    return functional.conv2d(x, kernel, stride=options["stride"], padding=options["padding"], groups=x.shape[1])


def subsampling2d(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """Average pooling, and a scale and shift for each map."""
    mean = functional.avg_pool2d(x, options["kernel_size"])
    return mean * parameters["weight"][:, None, None] + parameters["bias"][:, None, None]


def batch_norm2d(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """With the batch's statistics while training, and where none are kept."""
    own = options["training"] or not options["track_running_stats"]
    statistics = (None, None) if own else (parameters["running_mean"], parameters["running_var"])
    affine = (parameters.get("weight"), parameters.get("bias"))
    return functional.batch_norm(x, *statistics, *affine, own, options["momentum"], options["eps"])


def table_conv2d(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """One convolution for each output, of the inputs in its row."""
    outputs, place = [], 0
    for row in options["table"]:
        outputs.append(functional.conv2d(x[:, list(row)], parameters["weight"][None, place : place + len(row)]))
        place += len(row)
    return torch.cat(outputs, 1) + parameters["bias"][:, None, None]


def code_distance(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """By broadcasting."""
    codes = torch.tensor(options["codes"], dtype=x.dtype)
    return -(x[:, None] - codes).square().sum(2)


def padded_shortcut(x: Tensor, parameters: Parameters, options: Mapping[str, Any]) -> Tensor:
    """A strided slice, padded behind the last channel."""
    kept = x[:, :, :: options["stride"], :: options["stride"]]
    return functional.pad(kept, (0, 0, 0, 0, 0, options["out_channels"] - x.shape[1]))


def parts(x: Tensor, options: Mapping[str, Any]) -> list[Tensor]:
    """The parts of the channels, the last one first."""
    return list(reversed(torch.split(x, list(options["parts"]), 1)))


LAYERS: dict[str, Callable[[Tensor, Parameters, Mapping[str, Any]], Tensor]] = {
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "upsample": lambda x, _, options: functional.interpolate(x, **options),
    "global_max_pool2d": lambda x, *_: functional.adaptive_max_pool2d(x, 1).flatten(1),
    "embedding": embedding,
    "rnn": recurrent(torch.nn.RNN),
    "lstm": recurrent(torch.nn.LSTM),
    "gru": recurrent(torch.nn.GRU),
    "select_step": lambda x, _, options: x[:, options["step"]],
    "max_pool2d": max_pool2d,
    "avg_pool2d": lambda x, _, options: functional.avg_pool2d(x, **options),
    "global_avg_pool2d": lambda x, *_: functional.adaptive_avg_pool2d(x, 1).flatten(1),
    "adaptive_avg_pool2d": lambda x, _, options: functional.adaptive_avg_pool2d(x, **options),
    "subsampling2d": subsampling2d,
    "batch_norm2d": batch_norm2d,
    "local_response_norm": lambda x, _, options: functional.local_response_norm(x, **options),
    "table_conv2d": table_conv2d,
    "code_distance": code_distance,
    "padded_shortcut": padded_shortcut,
    "add": lambda x, _, options: torch.stack(parts(x, options)).sum(0),
    "concat": lambda x, _, options: torch.cat(parts(x, options), 1),
    "linear": lambda x, parameters, _: functional.linear(x, parameters["weight"], parameters.get("bias")),
    "relu": lambda x, *_: functional.relu(x),
    "leaky_relu": lambda x, _, options: functional.leaky_relu(x, **options),
    "sigmoid": lambda x, *_: torch.sigmoid(x),
    "tanh": lambda x, *_: torch.tanh(x),
    "scaled_tanh": lambda x, _, options: options["amplitude"] * torch.tanh(options["slope"] * x),
    "elu": lambda x, _, options: functional.elu(x, **options),
    "softplus": lambda x, _, options: functional.softplus(x, **options),
    "silu": lambda x, *_: functional.silu(x),
    "hardswish": lambda x, *_: functional.hardswish(x),
    "gelu": lambda x, _, options: functional.gelu(x, **options),
    "softmax": lambda x, *_: functional.softmax(x, dim=1),
    "log_softmax": lambda x, *_: functional.log_softmax(x, dim=1),
    "flatten": lambda x, *_: torch.flatten(x, 1),
    "add_channel": lambda x, *_: x.unsqueeze(1),
    "fixed_filter2d": fixed_filter2d,
}


def as_tensor(array: npt.NDArray[np.generic], dtype: torch.dtype) -> Tensor:
    """A copy that records gradients."""
    return torch.tensor(array, dtype=dtype, requires_grad=True)


def as_array(tensor: Tensor | None) -> npt.NDArray[np.float64]:
    """A tensor's numbers; a gradient that PyTorch left out is an error."""
    if tensor is None:
        raise AssertionError("PyTorch computed no gradient")
    return tensor.detach().numpy().astype(np.float64)


def answer_of_torch(case: Case, given: Inputs, dtype: torch.dtype) -> Result:
    """Output and all gradients by PyTorch's own differentiation."""
    x = as_tensor(given.x, dtype)
    parameters = {name: as_tensor(value, dtype) for name, value in given.parameters.items()}
    states = {name: torch.tensor(value, dtype=dtype) for name, value in given.states.items()}
    y = LAYERS[case.kind](x, {**parameters, **states}, case.options)
    torch.autograd.backward(y, torch.tensor(given.dy, dtype=dtype).reshape(y.shape))
    gradients = {name: as_array(tensor.grad) for name, tensor in parameters.items()}
    return Result(as_array(y), np.zeros(0) if case.kind == "embedding" else as_array(x.grad), gradients)
