"""What a layer is: its arguments, its parameters, and `forward`, which writes its equations."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import initializers
from pellucid.errors import ShapeError, UsageError
from pellucid.initializers import Initializer
from pellucid.notation import Index, Tensor, indices
from pellucid.notation.expression import accesses

Values = npt.NDArray[Any]


class Parameter(Tensor):
    """A tensor that training changes, with its initial values and, once initialised, its values."""

    def __init__(self, symbol: str, shape: tuple[int, ...], init: str | Initializer = "zeros") -> None:
        if any(extent < 1 for extent in shape):
            raise ShapeError(f"parameter {symbol} would have the shape {shape}; every extent must be at least 1")
        super().__init__(symbol, shape, role="parameter")
        self.initializer = initializers.get(init)


class State(Tensor):
    """A tensor that the forward pass itself changes while training, such as a running mean."""

    def __init__(self, symbol: str, shape: tuple[int, ...], init: str | Initializer = "zeros") -> None:
        super().__init__(symbol, shape, role="state", differentiable=False)
        self.initializer = initializers.get(init)


class Randomness:
    """The random numbers of one training step: functions of a seed, the step's number and the place of use."""

    def __init__(self) -> None:
        self.seed = Tensor("seed", (), role="input", kind="int", name="random.seed")
        self.step = Tensor("step", (), role="input", kind="int", name="random.step")
        self._streams = 0

    def stream(self) -> int:
        """A number of its own for each use."""
        self._streams += 1
        return self._streams


class Layer:
    """A layer: subclass it, keep `Parameter`s as attributes, and write the equation in `forward`.

    `forward` takes notation tensors and returns the tensor its equations define. A layer that behaves otherwise
    while training overrides `forward_training` too.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The layer's equations, as at inference."""
        raise UsageError(f"{type(self).__name__} has no equation: define forward(self, x)")

    def forward_training(self, x: Tensor, random: Randomness) -> Tensor:
        """The layer's equations while training; the same unless a layer says otherwise."""
        return self.forward(x)

    @property
    def vocabulary(self) -> int | None:
        """How many different whole numbers the input may hold, from 0 on; None where it holds real numbers."""
        return None

    def build(self, inputs: tuple[Tensor, ...], path: str, random: Randomness | None) -> Tensor:
        """Write the equations for these inputs, and name what they define after the layer's path in its model."""
        kind = type(self).__name__
        if len(inputs) != 1 and random is not None and type(self).forward_training is not Layer.forward_training:
            raise UsageError(f"{kind} takes one input, not {len(inputs)}")
        try:
            inspect.signature(self.forward).bind(*inputs)
        except TypeError:
            where = f'{kind} "{path}"' if path else kind
            raise UsageError(
                f"{where}: its equation does not take {len(inputs)} input{'s' * (len(inputs) != 1)}"
            ) from None
        try:
            if random is None or type(self).forward_training is Layer.forward_training:
                y = self.forward(*inputs)
            else:
                y = self.forward_training(inputs[0], random)
        except ShapeError as error:
            raise ShapeError(f'{kind} "{path}": {error}' if path else f"{kind}: {error}") from None
        successors = [t.update for t in self.tensors().values() if random is not None and t.update is not None]
        name_tensors(y, path, set(inputs), successors)
        return y

    def tensors(self) -> dict[str, Parameter | State]:
        """The parameters and states by their names within this layer."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter | State)}

    @property
    def parameters(self) -> dict[str, Values]:
        """The parameters' values by name, with PyTorch's names and shapes; initialised with seed 0 if need be."""
        return {name: self._values(tensor) for name, tensor in self.tensors().items() if isinstance(tensor, Parameter)}

    @property
    def states(self) -> dict[str, Values]:
        """The states' values by name."""
        return {name: self._values(tensor) for name, tensor in self.tensors().items() if isinstance(tensor, State)}

    def _values(self, tensor: Tensor) -> Values:
        if tensor.value is None:
            self.init()
        assert tensor.value is not None
        return tensor.value

    def init(self, seed: int = 0) -> Layer:
        """Give every parameter and state its initial values; the same seed gives the same values."""
        for number, tensor in enumerate(self.tensors().values()):
            generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
            tensor.value = tensor.initializer(generator, tensor.extents)
        return self

    def load(self, values: Mapping[str, Values]) -> Layer:
        """Take over parameters and states by name, all of them: ShapeError lists every difference."""
        mine = self.tensors()
        problems = [f"missing {name}" for name in mine if name not in values]
        problems += [f"unexpected {name}" for name in values if name not in mine]
        problems += [
            f"{name} is {extents(values[name].shape)}, must be {extents(tensor.extents)}"
            for name, tensor in mine.items()
            if name in values and tuple(values[name].shape) != tensor.extents
        ]
        if problems:
            raise ShapeError(f"these weights belong to another model: {'; '.join(problems)}")
        for name, tensor in mine.items():
            tensor.value = np.array(values[name], dtype=np.float32)
        return self

    def __repr__(self) -> str:
        plain = {
            k: v for k, v in vars(self).items() if isinstance(v, int | float | str | tuple) and not k.startswith("_")
        }
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in plain.items())})"


def name_tensors(y: Tensor, path: str, known: set[Tensor], successors: Iterable[Tensor] = ()) -> None:
    """The result takes the layer's path as its name; its sources, and states' successors, `path.symbol`."""
    if not path:
        return
    stack = [*successors, y]
    while stack:
        tensor = stack.pop()
        if tensor in known or tensor.role not in ("defined", "constant"):
            continue
        known.add(tensor)
        tensor.name = path if tensor is y else f"{path}.{tensor.symbol}"
        stack += [read.tensor for e in tensor.definition for read in accesses(e.value)]
        stack += tensor.companions


def extents(shape: tuple[int, ...]) -> str:
    """A shape as messages print it."""
    return "x".join(map(str, shape)) or "a single number"


def _whole(value: object) -> int | None:
    """The value as an integer, also from NumPy; None if it is none."""
    try:
        return None if isinstance(value, bool | np.bool_) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def pair(layer: Layer, name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """A (height, width) argument given as one number or two; UsageError below `least`."""
    given = tuple(value) if isinstance(value, tuple | list) else (value, value)
    both = [whole for whole in map(_whole, given) if whole is not None and whole >= least]
    if len(given) != 2 or len(both) != 2:
        raise UsageError(
            f"{type(layer).__name__}: {name} must be an integer of at least {least}, or two of them; got {value!r}"
        )
    return both[0], both[1]


def count(layer: Layer, name: str, value: int) -> int:
    """A positive integer argument; UsageError otherwise."""
    whole = _whole(value)
    if whole is None or whole < 1:
        raise UsageError(f"{type(layer).__name__}: {name} must be a positive integer; got {value!r}")
    return whole


def finite(layer: Layer, name: str, value: float) -> float:
    """A finite number as an argument; UsageError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise UsageError(f"{type(layer).__name__}: {name} must be a finite number; got {value!r}")
    return float(value)


def input_tensor(layer: Layer, shape: tuple[int, ...], name: str = "input", symbol: str = "X") -> Tensor:
    """The input of a layer or model by itself: real numbers, or whole ones if that is what it reads."""
    return Tensor(symbol, shape, role="input", kind="float" if layer.vocabulary is None else "int", name=name)


def axes(x: Tensor) -> tuple[Index, ...]:
    """Indices for every dimension of a tensor: n, c, i, j for images, n, k for vectors."""
    names = {2: "n k", 3: "n c i", 4: "n c i j"}.get(len(x.extents))
    return indices(names or " ".join(f"x{d + 1}" for d in range(len(x.extents))))


def images(x: Tensor) -> tuple[int, int, int, int]:
    """The shape of a batch of images; ShapeError if the tensor is none."""
    if len(x.extents) != 4:
        raise ShapeError(
            f'expects images (N, C, H, W), but "{x.name}" gives {len(x.extents)} dimensions: {extents(x.extents)}'
        )
    n, c, h, w = x.extents
    return n, c, h, w
