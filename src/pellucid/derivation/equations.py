"""A layer's equations and all its derived gradients, to be read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pellucid import layers, losses, optim
from pellucid.errors import UsageError
from pellucid.layers.base import Layer, Parameter, Randomness, input_tensor
from pellucid.layers.recurrent import Recurrent
from pellucid.losses import Loss
from pellucid.notation import Equation, Tensor
from pellucid.notation.derive import derive as derive_gradients
from pellucid.notation.expression import bound_indices
from pellucid.notation.printing import latex_equation
from pellucid.notation.program import order
from pellucid.notation.steps import Record

IMAGE = (3, 8, 8)
VECTOR = (10,)
SEQUENCE = (3, 4)
BATCH = 2


@dataclass(frozen=True)
class Derivation:
    """The forward equations of something, those derived from them, and the record of how that was done."""

    title: str
    forward: tuple[Equation, ...]
    gradients: tuple[Equation, ...]
    record: Record = field(default_factory=Record, repr=False)

    def text(self) -> str:
        """Plain text: the equations, and how far their indices run."""
        lines = [self.title, "", "forward", *(f"  {e}" for e in self.forward)]
        if self.gradients:
            lines += ["", "gradients", *(f"  {e}" for e in self.gradients)]
        return "\n".join([*lines, "", "indices", *self._ranges(), ""])

    def _ranges(self) -> list[str]:
        """How far the indices run; one whose range differs between equations is listed with each."""
        lines: list[str] = []
        for equation in (*self.forward, *self.gradients):
            found = dict.fromkeys((*equation.indices, *bound_indices(equation.value)))
            if found:
                ranges = ", ".join(f"{i.name} < {i.size}" for i in found)
                left = str(equation).split(" = ", 1)[0]
                lines.append(f"  {left}: {ranges}")
        return lines

    def latex(self) -> str:
        """LaTeX: one aligned display with the forward equations and the gradients."""
        rows = [latex_equation(e).replace(" = ", " &= ", 1) for e in (*self.forward, *self.gradients)]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}\n"

    def __str__(self) -> str:
        return self.text()


def derive(what: Layer | Loss, input_shape: tuple[int, ...] | None = None) -> Derivation:
    """The equations of a layer or loss for one input shape (without the batch), and its gradients.

    Raises ShapeError when the input does not fit.

    >>> print(derive(layers.Conv2d(1, 2, 3, bias=False), (1, 6, 6)).gradients[0])
    dX[n,c,x,y] = sum(o,u,v) dY[n,o,x-u,y-v] * W[o,c,u,v]
    """
    if isinstance(what, Loss):
        return _derive_loss(what, None)
    shape = (BATCH, *(input_shape or _usual_shape(what)))
    symbols = ("A", "B") if isinstance(what, layers.Add | layers.Concat) else ("X",)
    inputs = tuple(input_tensor(what, shape, symbol.lower(), symbol) for symbol in symbols)
    y = what.build(inputs, "", Randomness())
    if y in inputs:
        return Derivation(f"{what!r}: Y = X", (), ())
    incoming = Tensor("dY", y.extents, role="input", name="dY")
    record = Record()
    own = [t for t in what.tensors().values() if isinstance(t, Parameter)]
    gradients = derive_gradients({y: incoming}, [*(x for x in inputs if x.differentiable), *own], record=record)
    title = f"{what!r}, {' and '.join(symbols)} of shape {shape}"
    return _sorted(title, [y], list(gradients.values()), record)


def _derive_loss(loss: Loss, before: Layer | None) -> Derivation:
    z = Tensor("Z", (BATCH, *VECTOR), role="input", name="z")
    output = z if before is None else before.forward(z)
    labels = Tensor("y", (BATCH,), role="input", kind="int", name="y")
    target = Tensor("T", output.extents, role="input", name="T", differentiable=False)
    value = loss.forward(output, target if isinstance(loss, losses.MeanSquaredError) else labels)
    record = Record()
    gradients = derive_gradients({value: None}, [z], record=record)
    title = f"{loss.name} of {BATCH} images and {VECTOR[0]} classes"
    title = title if before is None else f"{type(before).__name__} followed by {title}"
    return _sorted(title, [value], [gradients[z]], record)


def _derive_optimizer(optimizer: optim.Optimizer) -> Derivation:
    parameter = Parameter("W", (2, 3))
    gradient = Tensor("dW", (2, 3), role="input")
    rate, step = Tensor("lr", (), role="input"), Tensor("t", (), role="input")
    update = optimizer.update(parameter, gradient, rate, step)
    new = [new for _, new in update.states.values()]
    settings = ", ".join(f"{k}={v:g}" for k, v in optimizer.settings().items())
    return _sorted(
        f"{type(optimizer).__name__}({settings}); t counts the steps done before",
        [*new, update.parameter],
        [],
        Record(),
    )


def _sorted(title: str, outputs: list[Tensor], gradients: list[Tensor], record: Record) -> Derivation:
    """The forward equations first; then what only the gradients need."""
    forward = dict.fromkeys(order(outputs))
    backward = [t for t in order(gradients) if t not in forward]
    return Derivation(
        title,
        tuple(e for t in forward for e in t.definition),
        tuple(e for t in backward for e in t.definition),
        record,
    )


def _usual_shape(layer: Layer) -> tuple[int, ...]:
    """An input that the layer takes."""
    if isinstance(layer, layers.CodeDistance):
        return layer.codes.extents[1:]
    if isinstance(layer, layers.Conv2d | layers.ConvTranspose2d | layers.TableConv2d):
        return (layer.in_channels, *IMAGE[1:])
    if isinstance(layer, layers.Embedding):
        return SEQUENCE[:1]
    if isinstance(layer, Recurrent):
        return (SEQUENCE[0], layer.input_size)
    if isinstance(layer, layers.SelectStep):
        return SEQUENCE
    if isinstance(layer, layers.Linear):
        return (layer.in_features,)
    if isinstance(layer, layers.BatchNorm2d | layers.Subsampling2d):
        return (layer.num_features, *IMAGE[1:])
    of_images = (
        layers.MaxPool2d, layers.AvgPool2d, layers.GlobalAvgPool2d, layers.AdaptiveAvgPool2d, layers.Flatten,
        layers.FixedFilter2d, layers.LocalResponseNorm, layers.Add, layers.Concat, layers.PaddedShortcut,
        layers.GlobalMaxPool2d, layers.Upsample,
    )  # fmt: skip
    return IMAGE if isinstance(layer, of_images) else VECTOR


_USUAL_ARGUMENTS: dict[str, dict[str, Any]] = {
    "conv2d": {"in_channels": 3, "out_channels": 4, "kernel_size": 3},
    "convtranspose2d": {"in_channels": 3, "out_channels": 4, "kernel_size": 3},
    "maxpool2d": {"kernel_size": 2},
    "avgpool2d": {"kernel_size": 2},
    "adaptiveavgpool2d": {"output_size": 2},
    "subsampling2d": {"num_features": 3, "kernel_size": 2},
    "tableconv2d": {"in_channels": 3, "table": ((0, 1), (1, 2), (0, 2), (0, 1, 2)), "kernel_size": 3},
    "codedistance": {"codes": ((1, -1, 1, 1), (-1, 1, 1, -1))},
    "paddedshortcut": {"out_channels": 5, "stride": 2},
    "batchnorm2d": {"num_features": 3},
    "localresponsenorm": {"size": 5},
    "linear": {"in_features": 10, "out_features": 4},
    "fixedfilter2d": {"kernel": "edge"},
    "upsample": {"scale_factor": 2},
    "embedding": {"num_embeddings": 10, "embedding_dim": 4},
    **{name: {"input_size": 4, "hidden_size": 3} for name in ("rnn", "lstm", "gru")},
}

SOFTMAX_AND_LOSS = "softmax+cross_entropy"


def derivable_names() -> tuple[str, ...]:
    """What `derive_by_name` knows: layers, losses and optimisers."""
    return (*layers.by_name(), *losses.names(), SOFTMAX_AND_LOSS, *optim.names())


def derive_by_name(name: str, arguments: Mapping[str, Any] | None = None) -> Derivation:
    """The derivation of a layer, loss or optimiser by its name, with these constructor arguments.

    What a layer needs and is not given takes a small usual value. Raises UsageError for an unknown name, with the
    nearest one, or an argument it does not take.
    """
    given = dict(arguments or {})
    if name in layers.by_name():
        if name in ("conv2d", "convtranspose2d") and "groups" in given:
            # Channels that any number of groups divides.
            given = {"in_channels": 2 * given["groups"], "out_channels": 2 * given["groups"], **given}
        return derive(_construct(layers.by_name()[name], {**_USUAL_ARGUMENTS.get(name, {}), **given}))
    if name == SOFTMAX_AND_LOSS:
        return _derive_loss(_construct(losses.CrossEntropy, {**given, "inputs": "probabilities"}), layers.Softmax())
    for loss in (losses.CrossEntropy, losses.OutputCrossEntropy, losses.MeanSquaredError):
        if name == loss.name:
            return _derive_loss(_construct(loss, given), None)
    for optimizer in (optim.SGD, optim.Adam, optim.AdamW):
        if name == optimizer.name:
            return _derive_optimizer(_construct(optimizer, {"lr": 0.1, **given}))
    near = get_close_matches(name.lower(), derivable_names(), n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"nothing to derive by the name {name!r}.{hint} There are {', '.join(derivable_names())}")


def _construct(kind: type[Any], arguments: dict[str, Any]) -> Any:
    known = list(inspect.signature(kind).parameters)
    unknown = [key for key in arguments if key not in known]
    if unknown:
        taken = ", ".join(known) or "none"
        raise UsageError(f"{kind.__name__} takes no argument {unknown[0]!r}; it takes {taken}")
    return kind(**arguments)
