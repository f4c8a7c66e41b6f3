"""The training step: forward, loss, backward and update as one program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import engines, losses, optim
from pellucid.engines.base import Executable, Recipe
from pellucid.errors import CheckpointError, ShapeError, UsageError
from pellucid.execution import Values, batch, floats, name_parameters, parameter_arrays, target_array
from pellucid.layers.base import Layer, Randomness, input_tensor, name_tensors
from pellucid.losses import Loss
from pellucid.models.graph import Graph
from pellucid.models.summary import leaves
from pellucid.notation import Expression, Program, Tensor
from pellucid.notation.derive import derive
from pellucid.notation.fingerprint import fingerprint

CURRENT = "current."  # before the weights of the last step in a state, where their averages have their place


def write_loss(
    model: Layer, x: Tensor, random: Randomness | None, loss: Loss, target: Values
) -> tuple[Tensor, Tensor, Tensor]:
    """The equations of a model's output, the target and the loss; while training, with those of auxiliary outputs.

    An auxiliary output of weight w adds w times its own loss.
    """
    if isinstance(model, Graph):
        values = model.values((x,), "", random)
        output = values[model.output]
        auxiliary = {name: values[name] for name in model.auxiliary if name in values}
    else:
        output, auxiliary = model.build((x,), "", random), {}
    wanted = loss.target(output, target)
    value = loss.forward(output, wanted)
    name_tensors(value, "loss.output" if auxiliary else "loss", {output, wanted})
    if isinstance(model, Graph) and auxiliary:
        total: Expression = value[()]
        for name, other in auxiliary.items():
            own = loss.forward(other, wanted)
            own.symbol = f"L_{name}"
            name_tensors(own, f"loss.{name}", {other, wanted})
            total = total + own[()] * model.auxiliary[name]
        value = Tensor("L", name="loss")
        value[()] = total
    return output, wanted, value


@dataclass(frozen=True)
class Forward:
    """The forward pass of one training step: the tensors that go in and come out, their equations behind them."""

    output: Tensor
    target: Tensor
    loss: Tensor
    parameters: Mapping[str, Tensor]
    states: tuple[tuple[Tensor, Tensor], ...]
    random: Randomness

    def key(self, optimizer: optim.Optimizer, ema_decay: float) -> str:
        """What decides the whole step: the forward pass's equations, and the update's for gradients yet unknown."""
        forward = Program.of([self.loss, self.output], self.states)
        rate = Tensor("lr", (), role="input", name="learning rate")
        unknown = {
            t: Tensor(f"d{t.symbol}", t.extents, role="input", name=f"d {name}") for name, t in self.parameters.items()
        }
        updates = Program.of([], _updates(optimizer, unknown, rate, self, ema_decay))
        return f"training step {fingerprint(forward, derivable=True)} {fingerprint(updates)}"


@dataclass(frozen=True)
class Step:
    """The program of one training step, and the names of what goes in and comes out."""

    program: Program
    output: Tensor
    loss: Tensor
    target: Tensor
    gradients: dict[str, Tensor]


def forward_pass(model: Layer, input_shape: tuple[int, ...], loss: Loss, target: Values) -> Forward:
    """Write the forward pass for a batch (N, C, H, W) and targets like these."""
    random = Randomness()
    output, wanted, value = write_loss(model, input_tensor(model, input_shape), random, loss, target)
    tensors = model.tensors()
    parameters = {name: t for name, t in tensors.items() if t.role == "parameter"}
    states = tuple((t, t.update) for t in tensors.values() if t.role == "state" and t.update is not None)
    return Forward(output, wanted, value, parameters, states, random)


def with_backward(forward: Forward, optimizer: optim.Optimizer | None, ema_decay: float = 0.0) -> Step:
    """Derive the gradients and write the update; without an optimiser, no update."""
    gradients = derive({forward.loss: None}, forward.parameters.values())
    rate = Tensor("lr", (), role="input", name="learning rate")
    updates = [] if optimizer is None else _updates(optimizer, gradients, rate, forward, ema_decay)
    program = Program.of([forward.loss, forward.output], [*updates, *forward.states])
    named = {name: gradients[t] for name, t in forward.parameters.items()}
    return Step(program, forward.output, forward.loss, forward.target, named)


def _updates(
    optimizer: optim.Optimizer, gradients: Mapping[Tensor, Tensor], rate: Tensor, forward: Forward, ema_decay: float
) -> list[tuple[Tensor, Tensor]]:
    """What replaces each parameter, each state of the optimiser, and each running average if there are any."""
    step, updates = forward.random.step, []
    moving = list(forward.states)
    for tensor, gradient in gradients.items():
        update = optimizer.update(tensor, gradient, rate, step)
        updates += [(tensor, update.parameter), *update.states.values()]
        moving.append((tensor, update.parameter))
    if ema_decay:
        updates += [optim.average(tensor, successor, ema_decay, step) for tensor, successor in moving]
    return updates


def step_program(
    model: Layer, input_shape: tuple[int, ...], loss: Loss, target: Values, optimizer: optim.Optimizer | None
) -> Step:
    """The equations of one step for a batch (N, C, H, W) and targets like these; without an optimiser, no update."""
    return with_backward(forward_pass(model, input_shape, loss, target), optimizer)


class TrainingStep:
    """A compiled training step; call it with a batch, it returns the loss and updates its parameters.

    `output` holds the model's output of the last step. The parameters live here; `write_back` copies them to the
    model, or their running averages if there are any. See `compile_training`.
    """

    def __init__(
        self,
        model: Layer,
        batch_size: int,
        input_shape: tuple[int, ...],
        loss: Loss,
        optimizer: optim.Optimizer,
        engine: str | None,
        dtype: str,
        threads: int | None,
        seed: int,
        ema_decay: float,
    ) -> None:
        self.model, self.batch_size, self.input_shape = model, batch_size, tuple(input_shape)
        self.loss, self.optimizer, self.seed = loss, optimizer, seed
        self.output: Values = np.zeros(0)
        self._engine, self._dtype, self._threads = engines.get(engine, dtype), dtype, threads
        self._steps = 0
        name_parameters(model)
        # Used by itself meanwhile, a layer names its tensors otherwise; each call puts the names back.
        self._names = [(tensor, tensor.name) for tensor in model.tensors().values()]
        self._arrays = parameter_arrays(model, floats(dtype))
        self._real = floats(dtype)
        self._compiled: dict[tuple[Any, ...], tuple[Executable, Forward]] = {}
        self._add_optimizer_state()
        self._ema_decay = ema_decay
        if ema_decay:
            for tensor in model.tensors().values():
                self._arrays[f"{optim.AVERAGE}{tensor.name}"] = self._arrays[tensor.name].copy()
        scalars = {
            "learning rate": np.zeros((), self._real),
            "random.seed": np.array(seed, np.int64),
            "random.step": np.zeros((), np.int64),
        }
        self._bound: dict[str, Values] = {**self._arrays, **scalars}

    def _add_optimizer_state(self) -> None:
        scalar = Tensor("s", (), role="input")
        for tensor in self.model.tensors().values():
            if tensor.role == "parameter":
                gradient = Tensor("G", tensor.extents, role="input")
                for old, _ in self.optimizer.update(tensor, gradient, scalar, scalar).states.values():
                    self._arrays[old.name] = np.zeros(old.extents, floats(self._dtype))

    def _compile(self, size: int, target: Values) -> tuple[Executable, Forward]:
        key = (size, target.dtype.kind in "iu", target.shape[1:])
        if key not in self._compiled:
            forward = forward_pass(self.model, (size, *self.input_shape), self.loss, target)
            # Deriving a large network takes seconds; where the step was compiled before, it is not needed.
            recipe = Recipe(forward.key(self.optimizer, self._ema_decay), lambda: self._program(forward))
            executable = self._engine.compile(recipe, dtype=self._dtype, threads=self._threads)
            self._compiled[key] = (executable, forward)
        return self._compiled[key]

    def _program(self, forward: Forward) -> Program:
        return with_backward(forward, self.optimizer, self._ema_decay).program

    def __call__(self, x: Values, y: Values, learning_rate: float | None = None) -> float:
        """One step on images (n, C, H, W) and their targets, n up to the batch size; returns the loss.

        Raises ShapeError and DataError for a batch that does not fit.
        """
        x, y = self._check(x, y)
        for tensor, name in self._names:
            tensor.name = name
        executable, step = self._compile(len(x), y)
        # The target's values are checked anew for each batch: a label out of range would train on nothing.
        self.loss.target(step.output, y)
        rate = self.optimizer.lr if learning_rate is None else learning_rate
        out = executable.run(self._inputs(x, y, step, rate))
        self._steps += 1
        self.output = out[step.output.name]
        return float(out[step.loss.name])

    def _check(self, x: Values, y: Values) -> tuple[Values, Values]:
        x, y = batch(x, floats(self._dtype), self.model.vocabulary), np.asarray(y)
        if x.shape[1:] != self.input_shape or len(x) > self.batch_size:
            raise ShapeError(f"compiled for up to {self.batch_size} images of shape {self.input_shape}; got {x.shape}")
        return x, y

    def _inputs(self, x: Values, y: Values, step: Forward | Step, rate: float) -> dict[str, Values]:
        """What one step is given, by tensor name; the same arrays again but for the batch."""
        given = self._bound
        given["input"], given["target"] = x, target_array(step.target, y, self._real)
        given["learning rate"][...] = rate
        given["random.step"][...] = self._steps
        return given

    @property
    def parameters(self) -> dict[str, Values]:
        """The model's parameters and states as they are now, or their running averages, by name (copies)."""
        name_parameters(self.model)
        current = {name: self._arrays[t.name] for name, t in self.model.tensors().items()}
        return {name: self._arrays.get(f"{optim.AVERAGE}{name}", array).copy() for name, array in current.items()}

    def write_back(self) -> None:
        """Copy the parameters and states to the model."""
        self.model.load(self.parameters)

    def state_dict(self) -> dict[str, Values]:
        """Everything that a step changes, by name (copies): `model.*`, `optimizer.*` and `counter.step`.

        With running averages these are what `model.*` holds, and the weights of the last step are `current.*`.
        """
        name_parameters(self.model)
        named = {stored: self._arrays[name].copy() for stored, name in self._names_in_state().items()}
        return {**named, "counter.step": np.array(self._steps, np.int64)}

    def _names_in_state(self) -> dict[str, str]:
        """The arrays' names by those they have in a `state_dict`."""
        own = {t.name for t in self.model.tensors().values()}
        names = {}
        for name in self._arrays:
            if name.startswith(optim.AVERAGE):
                names[f"model.{name.removeprefix(optim.AVERAGE)}"] = name
            elif name in own:
                names[f"{CURRENT}{name}" if f"{optim.AVERAGE}{name}" in self._arrays else f"model.{name}"] = name
            else:
                names[name] = name
        return names

    def load_state_dict(self, state: Mapping[str, Values]) -> None:
        """Continue exactly where a `state_dict` was taken; CheckpointError if it belongs to another step."""
        mine = self.state_dict()
        problems = [f"missing {name}" for name in mine if name not in state]
        problems += [f"unexpected {name}" for name in state if name not in mine]
        problems += [
            f"{name} is {state[name].dtype} {state[name].shape}, must be {array.dtype} {array.shape}"
            for name, array in mine.items()
            if name in state and (state[name].shape != array.shape or state[name].dtype != array.dtype)
        ]
        if problems:
            raise CheckpointError(f"this state belongs to another model or optimizer: {'; '.join(problems)}")
        self._steps = int(state["counter.step"])
        for stored, name in self._names_in_state().items():
            np.copyto(self._arrays[name], state[stored])

    def first_nonfinite(self, x: Values, y: Values) -> str | None:
        """The first tensor, in the order of computation, that is not finite for this batch; None if all are.

        Nothing is updated. The answer is a layer's path ("conv2"), "loss", or a gradient ("d conv1.weight").
        """
        x, y = self._check(x, y)
        name_parameters(self.model)
        step = step_program(self.model, (len(x), *self.input_shape), self.loss, y, None)
        given = self._inputs(x, y, step, 0.0)
        for tensor in step.program.given:
            array = given.get(tensor.name)
            if array is not None and not np.isfinite(array).all():
                return tensor.name
        program = Program.of([step.output, step.loss, *step.gradients.values()])
        every = Program(program.equations, tuple(dict.fromkeys(e.tensor for e in program)))
        executable = engines.get("numpy").compile(every, dtype=self._dtype)
        out = executable.run(given)
        for tensor in every.outputs:
            # A maximum subtracted for stability may be infinite without harm only if all else is; report in order.
            if not np.isfinite(out[tensor.name]).all():
                return self._place(tensor.name)
        return None

    def _place(self, name: str) -> str:
        """Where a tensor belongs: the path of the layer that computes it, "loss", or its name if it is a gradient."""
        if name.startswith(("d ", "sum in d ")):
            return name.removeprefix("sum in ")
        paths = [path for path, _, _ in leaves(self.model)] if isinstance(self.model, Graph) else []
        return max((p for p in paths if name == p or name.startswith(f"{p}.")), key=len, default=name.split(".")[0])

    def close(self) -> None:
        """Give back memory and threads."""
        for executable, _ in self._compiled.values():
            executable.close()
        self._compiled.clear()


def compile_training(
    model: Layer,
    batch_size: int,
    input_shape: tuple[int, ...],
    loss: str | Loss = "cross_entropy",
    optimizer: optim.Optimizer | None = None,
    engine: str | None = None,
    *,
    dtype: str = "float32",
    threads: int | None = None,
    seed: int = 0,
    ema_decay: float = 0.0,
) -> TrainingStep:
    """Compile a model's training step.

    `input_shape` is (C, H, W); the result is called with up to `batch_size` images (n, C, H, W) and their targets,
    updates its parameters and returns the loss. The optimiser is SGD with lr=0.01 unless given; `seed` is that of
    the random numbers (dropout). With `ema_decay` the step also keeps running averages of all weights (and of the
    running statistics of batch normalisation), of which so large a share stays at each step; they are what the model
    is given then. See `optim.average`.

    Raises ShapeError when the shape does not fit the model, UsageError for an unknown loss or engine and for an
    ema_decay outside 0 <= ema_decay < 1.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1; got {batch_size}")
    if isinstance(ema_decay, bool) or not isinstance(ema_decay, int | float) or not 0 <= ema_decay < 1:
        raise UsageError(f"ema_decay must be a number of at least 0 and less than 1; got {ema_decay!r}")
    name_parameters(model)
    model.build((input_tensor(model, (1, *input_shape)),), "", None)
    chosen = losses.get(loss)
    return TrainingStep(
        model, batch_size, input_shape, chosen, optimizer or optim.SGD(0.01), engine, dtype, threads, seed, ema_decay
    )
