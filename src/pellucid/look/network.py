"""A model written down once for a batch of images: its layers by name, and any of its tensors computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import engines
from pellucid.errors import UsageError
from pellucid.execution import batch, floats, name_parameters, parameter_arrays
from pellucid.explain import locate
from pellucid.layers import AvgPool2d, MaxPool2d
from pellucid.layers.base import Layer, input_tensor
from pellucid.models.graph import Graph
from pellucid.models.output import PROBABILITIES, kind_of_output
from pellucid.models.summary import leaves
from pellucid.notation import Program, Tensor

Array = npt.NDArray[Any]
Run = Callable[[dict[str, Array]], list[Array]]


class Network:
    """The equations of a model for `count` images of a shape (C, H, W), as at inference.

    `layers` are the tensors that its layers give, by the layers' names, those inside of blocks included; `blocks` only
    those of the model's own layers, of which each may be a block.
    """

    def __init__(
        self, model: Layer, shape: tuple[int, ...], count: int = 1, *, engine: str | None = None, dtype: str = "float32"
    ) -> None:
        self.model, self.shape, self.count = model, tuple(shape), count
        self._engine, self._dtype = engines.get(engine, dtype), dtype
        name_parameters(model)
        self.image = input_tensor(model, (count, *self.shape))
        values = model.values((self.image,), "", None) if isinstance(model, Graph) else {}
        self.output = values[model.output] if isinstance(model, Graph) else model.build((self.image,), "", None)
        self.program = Program.of([self.output])
        named = {tensor.name: tensor for tensor in self.program.tensors if tensor.role == "defined"}
        self.kinds = {path: layer for path, _, layer in leaves(model)} if isinstance(model, Graph) else {}
        inner = {path: named[path] for path in self.kinds if path in named}
        self.blocks = {name: t for name, t in values.items() if t is not self.image}
        self.layers = inner | self.blocks or {self.output.name: self.output}

    def layer(self, name: str) -> Tensor:
        """What a layer gives; UsageError with the nearest name if there is none."""
        if name not in self.layers:
            raise locate.unknown(name, list(self.layers))
        return self.layers[name]

    def distinct(self) -> dict[str, Tensor]:
        """The layers in the order of computation, each tensor by one name."""
        found: dict[Tensor, str] = {}
        for name, tensor in self.layers.items():
            found.setdefault(tensor, name)
        return {found[tensor]: tensor for tensor in self.program.tensors if tensor in found}

    def with_maps(self) -> dict[str, Tensor]:
        """Those that give feature maps (N, C, H, W) of more than one pixel."""
        return {name: t for name, t in self.distinct().items() if len(t.extents) == 4 and max(t.extents[2:]) > 1}

    def maps(self, name: str | None) -> tuple[str, Tensor]:
        """A layer with feature maps by its name, or the last one before pooling; UsageError if there is none."""
        known = self.with_maps()
        if name is None:
            pools = (MaxPool2d, AvgPool2d)
            last = [n for n in known if not isinstance(self.kinds.get(n), pools)]
            if not last:
                raise UsageError("this network has no layer that gives feature maps")
            return last[-1], known[last[-1]]
        tensor = self.layer(name)
        if len(tensor.extents) != 4:
            raise UsageError(f"{name} gives no feature maps. These layers do: {', '.join(known)}")
        return name, tensor

    @property
    def scores(self) -> Tensor:
        """The scores of the classes (N, K), before a softmax at the end; UsageError if the output is none."""
        self.check_classes()
        last = self.model.nodes[self.model.output] if isinstance(self.model, Graph) else None
        if last is not None and kind_of_output(last.layer) in PROBABILITIES and last.inputs[0] in self.layers:
            return self.layers[last.inputs[0]]
        return self.output

    def check_classes(self) -> None:
        """Raise UsageError for a network that does not classify."""
        if len(self.output.extents) != 2:
            shape = "x".join(map(str, self.output.extents[1:]))
            raise UsageError(f"this network gives no score for each class of an image, but {shape} numbers")

    def compile(self, wanted: Sequence[Tensor]) -> Run:
        """A function from arrays by name ("input", and any other input of the equations) to the wanted values."""
        executable = self._engine.compile(Program.of(wanted), dtype=self._dtype)
        parameters = parameter_arrays(self.model, floats(self._dtype))
        names = [t.name for t in wanted]

        def run(arrays: dict[str, Array]) -> list[Array]:
            given = {name: self._prepared(name, array) for name, array in arrays.items()}
            found = {**given, **executable.run({**parameters, **given})}
            return [found[name] for name in names]

        return run

    def values(self, wanted: Sequence[Tensor], images: Array, **others: Array) -> list[Array]:
        """The wanted tensors' values for images (N, C, H, W), and for other inputs by name."""
        return self.compile(wanted)({"input": images, **others})

    def _prepared(self, name: str, array: Array) -> Array:
        real = floats(self._dtype)
        if name == "input":
            return batch(array, real, self.model.vocabulary)
        return np.ascontiguousarray(array, real)
