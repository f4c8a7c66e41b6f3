"""The gradients along a path through a model, each with an equation of its own: the chain rule, link by link."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from pellucid.derivation.equations import BATCH, Derivation
from pellucid.errors import UsageError
from pellucid.layers.base import Parameter, input_tensor, name_tensors
from pellucid.losses import CrossEntropy
from pellucid.models import Graph
from pellucid.notation import Tensor
from pellucid.notation.derive import derive
from pellucid.notation.expression import accesses
from pellucid.notation.program import order
from pellucid.notation.steps import Record

LOSS = "loss"


def derive_path(model: Graph, path: str, name: str = "model") -> Derivation:
    """The derivation along `START..END`: gradients of END by START and by everything between them.

    START is a layer, a parameter or `input`; END a layer or `loss`, the categorical cross-entropy. A layer's gradient
    is that by its output; at START those by its parameters come last. Tensors go by their full names.

    Raises UsageError for a path that does not exist.
    """
    start, end = _ends(path)
    if model.input_shape is None:
        raise UsageError(f"{name}: the model does not say for which images it was made, so its shapes are unknown")
    x = input_tensor(model, (BATCH, *model.input_shape))
    values = model.values((x,), "", None)
    output = values[model.output]
    # Layers inside of layers go by the names of what they compute.
    values = {**{t.name: t for t in order([output])}, **values}
    if end == LOSS:
        final = _loss(output)
        incoming = None
    else:
        final = _tensor(end, values, name)
        incoming = Tensor(f"d {end}", final.extents, role="input", name=f"d {end}")
    parameters = [t for t in model.tensors().values() if isinstance(t, Parameter)]
    first = next((t for t in (x, *parameters) if t.name == start), None) or _tensor(start, values, name)
    forward = order([final])
    wanted = _wanted(first, final, parameters, start)
    along = _along(first, final, forward)
    if first is final or not along:
        raise UsageError(f"{end} does not depend on {start}, so there is no path {path}")
    _use_names([*forward, *(c for t in forward for c in t.companions), x, *model.tensors().values()])
    record = Record()
    gradients = derive({final: incoming}, wanted, keep_all=True, record=record)
    for tensor, gradient in gradients.items():
        gradient.symbol = f"d {tensor.symbol}"
    kept = [t for t in record.order if t in along or t in wanted or t not in record.gradients]
    return Derivation(
        f"{name}: {path}, {BATCH} images of shape {model.input_shape}",
        tuple(e for t in forward if t in along for e in t.definition),
        tuple(e for t in kept for e in gradients.get(t, t).definition),
        Record(record.steps, record.gradients, kept),
    )


def _ends(path: str) -> tuple[str, str]:
    match = re.fullmatch(r"\s*([\w.]*\w)\s*\.\.\s*([\w.]*\w)\s*", path)
    if match is None:
        raise UsageError(f"{path!r} is not a path; write START..END, as in conv1..loss")
    return match[1], match[2]


def _tensor(name: str, values: dict[str, Tensor], model: str) -> Tensor:
    if name not in values:
        near = get_close_matches(name, values, n=3) or list(values)[:12]
        raise UsageError(f"{model} has no layer {name!r}; there are {', '.join(near)}; its parameters; and loss")
    return values[name]


def _loss(output: Tensor) -> Tensor:
    labels = Tensor("y", output.extents[:1], role="input", kind="int", name="y")
    loss = CrossEntropy().forward(output, labels)
    name_tensors(loss, LOSS, {output, labels})
    return loss


def _wanted(first: Tensor, final: Tensor, parameters: Iterable[Tensor], start: str) -> list[Tensor]:
    """START's tensor, and the parameters of the layer that START names."""
    own = [p for p in parameters if p.name.rpartition(".")[0] == start]
    return [first, *own] if first.role == "defined" else [first]


def _along(first: Tensor, final: Tensor, forward: list[Tensor]) -> set[Tensor]:
    """The tensors on some way from `first` to `final`."""
    after = {first}
    for tensor in forward:
        if any(a.tensor in after for e in tensor.definition for a in accesses(e.value)):
            after.add(tensor)
    return after if final in after else set()


def _use_names(tensors: Iterable[Tensor]) -> None:
    """Within a model one letter would stand for many tensors: each goes by its full name."""
    for tensor in tensors:
        tensor.symbol = tensor.name
