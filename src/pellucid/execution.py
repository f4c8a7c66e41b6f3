"""Bringing a model's program and an engine together: compile, predict, differentiate, train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import engines, losses
from pellucid.engines.base import Executable
from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.layers.base import Layer, Randomness, input_tensor
from pellucid.losses import Loss
from pellucid.notation import Program, Tensor
from pellucid.notation.derive import derive

Values = npt.NDArray[Any]

PREDICTION_BATCH = 128
"""How many images `predict` takes at once."""


def floats(dtype: str) -> np.dtype[Any]:
    """The dtype of float tensors; UsageError unless float32 or float64."""
    if dtype not in ("float32", "float64"):
        raise UsageError(f"dtype must be float32 or float64; got {dtype!r}")
    return np.dtype(dtype)


def parameter_arrays(
    layer: Layer, dtype: np.dtype[Any], given: Mapping[str, Values] | None = None
) -> dict[str, Values]:
    """A layer's parameters and states as an executable takes them: by tensor name, contiguous copies."""
    values = {**layer.parameters, **layer.states, **(given or {})}
    unknown = [name for name in values if name not in layer.tensors()]
    if unknown:
        raise ShapeError(f"the model has no parameter {unknown[0]!r}; it has {', '.join(layer.tensors())}")
    for name, tensor in layer.tensors().items():
        if tuple(values[name].shape) != tensor.extents:
            raise ShapeError(f"{name} has the shape {values[name].shape}; it must be {tensor.extents}")
    return {tensor.name: np.array(values[name], dtype, order="C") for name, tensor in layer.tensors().items()}


def name_parameters(layer: Layer) -> None:
    """Name a layer's or model's tensors as seen from here.

    A layer may be used by itself and within several models; each use names the tensors anew before it runs.
    """
    for name, tensor in layer.tensors().items():
        tensor.name = name


def batch(x: Values, dtype: np.dtype[Any], vocabulary: int | None = None) -> Values:
    """Images, or tokens of a vocabulary, as an executable takes them.

    Raises ShapeError for something that is no batch, DataError for numbers that are no tokens.
    """
    x = np.asarray(x)
    if x.ndim < 2 or x.shape[0] < 1 or x.dtype.kind not in "fiub":
        raise ShapeError(
            f"expects a batch (N, ...) of at least one example with numbers; got {x.dtype} of shape {x.shape}"
        )
    return np.ascontiguousarray(x, dtype) if vocabulary is None else _tokens(x, vocabulary)


def _tokens(x: Values, vocabulary: int) -> Values:
    """Whole numbers from 0 to vocabulary - 1; DataError for any other."""
    wrong = ~((x >= 0) & (x < vocabulary) & (np.floor(x) == x))
    if wrong.any():
        place = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise DataError(
            f"the input at {list(place)} is {x[place]}: tokens are whole numbers from 0 to {vocabulary - 1}"
        )
    return np.ascontiguousarray(x, np.int64)


class Inference:
    """A model compiled for prediction; call it with images (n, C, H, W), n up to the batch size it was made for."""

    def __init__(
        self,
        model: Layer,
        batch_size: int,
        input_shape: tuple[int, ...],
        engine: str | None,
        dtype: str,
        threads: int | None,
    ) -> None:
        self.model, self.batch_size, self.input_shape = model, batch_size, tuple(input_shape)
        self._engine, self._dtype, self._threads = engines.get(engine, dtype), dtype, threads
        self._executables: dict[int, tuple[Executable, str]] = {}
        self.update()
        self._executable(batch_size)

    def update(self) -> None:
        """Take over the model's parameters as they are now."""
        name_parameters(self.model)
        # Used by itself meanwhile, a layer names its tensors otherwise; each call puts the names back.
        self._names = [(tensor, tensor.name) for tensor in self.model.tensors().values()]
        self._arrays = parameter_arrays(self.model, floats(self._dtype))

    def _executable(self, size: int) -> tuple[Executable, str]:
        if size not in self._executables:
            x = input_tensor(self.model, (size, *self.input_shape))
            y = self.model.build((x,), "", None)
            program = Program.of([y])
            executable = self._engine.compile(program, dtype=self._dtype, threads=self._threads)
            self._executables[size] = (executable, y.name)
        return self._executables[size]

    def __call__(self, x: Values) -> Values:
        """The model's output for images (n, C, H, W); ShapeError when they do not fit."""
        x = batch(x, floats(self._dtype), self.model.vocabulary)
        if x.shape[1:] != self.input_shape or len(x) > self.batch_size:
            raise ShapeError(f"compiled for up to {self.batch_size} images of shape {self.input_shape}; got {x.shape}")
        for tensor, name in self._names:
            tensor.name = name
        executable, output = self._executable(len(x))
        return executable.run({**self._arrays, "input": x})[output]

    def close(self) -> None:
        """Give back memory and threads."""
        for executable, _ in self._executables.values():
            executable.close()
        self._executables.clear()


def compile(
    model: Layer,
    batch_size: int,
    input_shape: tuple[int, ...],
    engine: str | None = None,
    *,
    dtype: str = "float32",
    threads: int | None = None,
) -> Inference:
    """Compile a model for prediction.

    `input_shape` is (C, H, W). The result is called with up to `batch_size` images and returns the model's output;
    it keeps the parameters it was compiled with until `update()`. The engine is the native one unless another is
    named, or the dtype is float64; `threads` is for the native engine (PELLUCID_THREADS, or all processors).

    Raises ShapeError when the shape does not fit the model, UsageError for an unknown engine.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1; got {batch_size}")
    return Inference(model, batch_size, input_shape, engine, dtype, threads)


def predict(model: Layer, x: Values, *, engine: str | None = None, dtype: str = "float32") -> Values:
    """The model's output for images (N, C, H, W), in batches, as at inference.

    Raises ShapeError when the images do not fit the model.
    """
    x = batch(x, floats(dtype), model.vocabulary)
    infer = compile(model, min(len(x), PREDICTION_BATCH), x.shape[1:], engine, dtype=dtype)
    try:
        parts = [infer(x[k : k + infer.batch_size]) for k in range(0, len(x), infer.batch_size)]
    finally:
        infer.close()
    return np.concatenate(parts)


def vjp(
    model: Layer,
    x: Values,
    dy: Values | None = None,
    *,
    engine: str = "numpy",
    dtype: str = "float32",
    training: bool = False,
    parameters: Mapping[str, Values] | None = None,
    seed: int = 0,
    step: int = 0,
) -> tuple[Values, Values, dict[str, Values]]:
    """A model's output, and the gradients by its input and its parameters for the incoming gradient `dy`.

    `dy` has the output's shape (all ones if not given). With `training` the layers behave as while training, their
    random numbers those of the given seed and step. `parameters` replaces the model's own values, by name.
    Returns y, dx, and the parameters' gradients by name.

    Raises ShapeError when x, dy or a parameter does not fit.
    """
    real = floats(dtype)
    x = batch(x, real, model.vocabulary)
    name_parameters(model)
    tensor = input_tensor(model, x.shape)
    random = Randomness() if training else None
    y = model.build((tensor,), "", random)
    seed_in = Tensor("dY", y.extents, role="input", name="incoming gradient")
    dy = np.ones(y.extents, real) if dy is None else np.ascontiguousarray(dy, real)
    if dy.shape != y.extents:
        raise ShapeError(f"dy must have the output's shape {y.extents}; got {dy.shape}")
    own = {n: t for n, t in model.tensors().items() if t.role == "parameter"}
    gradients = derive({y: seed_in}, [tensor, *own.values()])
    program = Program.of([y, *gradients.values()])
    arrays = {**parameter_arrays(model, real, parameters), "input": x, seed_in.name: dy}
    arrays |= {"random.seed": np.array(seed), "random.step": np.array(step)}
    executable = engines.get(engine).compile(program, dtype=dtype)
    try:
        out = executable.run(arrays)
    finally:
        executable.close()
    wanted = {name: gradients[t] for name, t in own.items()}
    return (
        out[y.name],
        _by_tensor(out, arrays, gradients[tensor]),
        {n: _by_tensor(out, arrays, g) for n, g in wanted.items()},
    )


def _by_tensor(out: Mapping[str, Values], arrays: Mapping[str, Values], tensor: Tensor) -> Values:
    return out[tensor.name] if tensor.name in out else arrays[tensor.name]


def loss_and_gradient(
    loss: str | Loss, output: Values, target: Values, *, engine: str = "numpy", dtype: str = "float32"
) -> tuple[float, Values]:
    """A loss's value, and its gradient by the model's output.

    Raises ShapeError and DataError for targets that do not fit.
    """
    real = floats(dtype)
    chosen = losses.get(loss)
    output, target = batch(output, real), np.asarray(target)
    z = Tensor("Z", output.shape, role="input", name="output")
    t = chosen.target(z, target)
    value = chosen.forward(z, t)
    gradient = derive({value: None}, [z])[z]
    program = Program.of([value, gradient])
    executable = engines.get(engine).compile(program, dtype=dtype)
    try:
        out = executable.run({"output": output, "target": target_array(t, target, real)})
    finally:
        executable.close()
    return float(out[value.name]), out[gradient.name]


class LossValue:
    """A loss as a function of outputs and targets, without the gradient; the programs are kept between calls."""

    def __init__(self, loss: str | Loss, dtype: str = "float32") -> None:
        self.loss, self._dtype = losses.get(loss), dtype
        self._known: dict[tuple[Any, ...], tuple[Executable, Tensor, str]] = {}

    def __call__(self, output: Values, target: Values) -> float:
        """The loss; ShapeError and DataError for targets that do not fit."""
        real = floats(self._dtype)
        output, target = batch(output, real), np.asarray(target)
        z = Tensor("Z", output.shape, role="input", name="output")
        t = self.loss.target(z, target)
        key = (output.shape, t.kind)
        if key not in self._known:
            value = self.loss.forward(z, t)
            executable = engines.get("numpy").compile(Program.of([value]), dtype=self._dtype)
            self._known[key] = executable, t, value.name
        executable, t, name = self._known[key]
        return float(executable.run({"output": output, "target": target_array(t, target, real)})[name])


def target_array(tensor: Tensor, target: Values, real: np.dtype[Any]) -> Values:
    """Targets as an executable takes them."""
    return np.ascontiguousarray(target, np.int64 if tensor.kind == "int" else real)
