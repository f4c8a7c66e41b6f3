"""The numbers behind one number: its cone, run in float64 by the reference engine.

Only boxes are computed, and each is given back after its last reader, unless it is to be shown. So one number of a
network with millions of them takes little memory; the parameters are widened to float64 box by box.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from pellucid import engines
from pellucid.errors import UsageError
from pellucid.execution import batch, floats, name_parameters, target_array
from pellucid.explain import exact, locate
from pellucid.explain.cone import Cone, cone
from pellucid.explain.part import Array, Box, Part, full_box
from pellucid.layers.base import Layer, Randomness, axes, input_tensor
from pellucid.losses import Loss
from pellucid.models.graph import Graph
from pellucid.notation import Program, Tensor
from pellucid.notation.derive import derive, gradient_of
from pellucid.notation.expression import Reduce
from pellucid.optim import Optimizer
from pellucid.training import write_loss


@dataclass(frozen=True)
class Question:
    """What is asked about: a model, a batch, a loss and its target if any, and how the layers behave.

    An optimiser's update also needs what the optimiser remembers: its states by name, zeros where none is given.
    """

    model: Layer
    images: Array
    target: Array | None
    loss: Loss
    training: bool
    seed: int
    step: int
    optimizer: Optimizer
    memory: Mapping[str, Array] = field(default_factory=dict)


class Run:
    """A cone that is ready to be computed, once or several times with other numbers of what is known."""

    def __init__(self, cone: Cone, program: Program, wanted: tuple[Tensor, ...], given: Mapping[Tensor, Array]) -> None:
        self._boxes, self._program, self._wanted = cone.boxes, program, wanted
        self._given = given
        self._arrays: dict[str, Array] | None = None

    def __call__(self, known: Mapping[Tensor, Array] | None = None) -> dict[str, Part]:
        """The numbers in float64, by the names of their tensors."""
        if self._arrays is None:
            self._arrays = {tensor.name: _widened(tensor, array) for tensor, array in self._given.items()}
        own = {t.name: _widened(t, Part.of(array, self._boxes[t]).array) for t, array in (known or {}).items()}
        executable = engines.get("numpy").compile(self._program, dtype="float64")
        try:
            return self._named(executable.run({**self._arrays, **own}))
        finally:
            executable.close()

    def exactly(self) -> dict[str, Part]:
        """The numbers as fractions; UsageError where they are none, or too many."""
        exact.check(self._program)
        return self._named(exact.run(self._program, {t.name: exact.rational(t, a) for t, a in self._given.items()}))

    def _named(self, values: Mapping[str, Array]) -> dict[str, Part]:
        return {t.name: Part(tuple(low for low, _ in self._boxes[t]), values[t.name]) for t in self._wanted}


def _widened(tensor: Tensor, array: Array) -> Array:
    return np.array(array, np.int64 if tensor.kind == "int" else np.float64, order="C")


class Source:
    """The equations of a question, and the numbers of any boxes of their tensors."""

    def __init__(self, question: Question) -> None:
        self.question = question
        name_parameters(question.model)
        self._images = batch(question.images, floats("float64"), question.model.vocabulary)
        self.random = Randomness()
        self._write(self.random if question.training else None)
        self._given = self._by_name()
        self.forward = Program.of([self.output, *([self.loss] if self.loss else [])]).tensors
        self.of_images: set[Tensor] = locate.of_images(
            Program.of([self.loss or self.output]), [self.image, *([self.target] if self.target else [])]
        )

    def _write(self, random: Randomness | None) -> None:
        """The forward equations, with a loss where there is a target, and the class that is predicted."""
        q = self.question
        self.image = input_tensor(q.model, self._images.shape)
        self.target: Tensor | None = None
        self.loss: Tensor | None = None
        if q.target is None:
            self.output = q.model.build((self.image,), "", random)
        else:
            self.output, self.target, self.loss = write_loss(q.model, self.image, random, q.loss, q.target)

    def given(self, tensor: Tensor) -> Array:
        """All numbers of a tensor that no equation defines."""
        if tensor.role == "constant" and tensor.value is not None:
            return tensor.value
        if tensor.name not in self._given and tensor.name.startswith("optimizer."):
            return np.zeros(tensor.extents)
        return self._given[tensor.name]

    def _by_name(self) -> dict[str, Array]:
        """Everything that is given by its name; the model's parameters as they are, not copied."""
        q = self.question
        found = {**q.memory, **q.model.parameters, **q.model.states, "input": self._images}
        found |= {"random.seed": np.array(q.seed), "random.step": np.array(q.step)}
        found["learning rate"] = np.array(q.optimizer.lr)
        if self.target is not None and q.target is not None:
            found["target"] = target_array(self.target, q.target, floats("float64"))
        return found

    def prepare(
        self, demands: Mapping[Tensor, Box], kept: Collection[Tensor] = (), known: Collection[Tensor] = ()
    ) -> Run:
        """A run that gives the demanded boxes, and those they depend on of the tensors that are kept.

        The `known` tensors are not computed: each run is given their numbers.
        """
        found = cone(demands, known)
        wanted = tuple(dict.fromkeys([*demands, *(t for t in kept if t in found.boxes)]))
        program, cut = found.program(wanted)
        given = {}
        for tensor, box in found.boxes.items():
            if cut[tensor].role != "defined" and tensor not in known:
                # Of a defined tensor no equation writes this box, which is 0.
                given[tensor] = (
                    np.zeros(cut[tensor].extents) if tensor.definition else Part.of(self.given(tensor), box).array
                )
        return Run(found, program, wanted, given)

    def parts(
        self, demands: Mapping[Tensor, Box], kept: Collection[Tensor] = (), *, rational: bool = False
    ) -> dict[str, Part]:
        """The demanded boxes, and those they depend on of the tensors that are kept; with `rational` as fractions."""
        run = self.prepare(demands, kept)
        return run.exactly() if rational else run()

    def whole(self, tensor: Tensor) -> Array:
        """All numbers of a tensor."""
        return self.parts({tensor: full_box(tensor.extents)})[tensor.name].array

    def find(self, name: str) -> Tensor:
        """The tensor of that name: a forward one, the prediction, an update, a gradient, or what a gradient needs.

        Raises UsageError, with the nearest name, if there is none.
        """
        named = {t.name: t for t in self.forward}
        if name in named:
            return named[name]
        if name == "predict":
            return self._prediction()
        if self.loss is None:
            if name.startswith(("d ", "loss", "update ")):
                raise UsageError(f'"{name}" needs the loss: say the target, as in explain(..., target=7)')
            raise locate.unknown(name, [*named, "loss", *_gradient_names(named.values())])
        if name.startswith("update "):
            return self._update(name.removeprefix("update "), named)
        for keep_all in (False, True):
            gradients = self.gradients(keep_all=keep_all)
            derived = {t.name: t for t in Program.of([self.loss, *gradients.values()]).tensors}
            if name in derived:
                return derived[name]
        raise locate.unknown(name, [*named, *_gradient_names(named.values())])

    def gradients(self, *, keep_all: bool = False) -> dict[Tensor, Tensor]:
        """The gradients of the loss by forward tensors.

        Those by parameters and layers' outputs, in the form that a textbook prints, or with `keep_all` by every
        tensor, each under its own name.
        """
        if self.loss is None:
            return {}
        layers = set(layer_paths(self.question.model)) | {self.output.name, self.image.name}
        smooth = [t for t in self.forward if t.differentiable]
        wanted = smooth if keep_all else [t for t in smooth if t.role == "parameter" or t.name in layers]
        return derive({self.loss: None}, wanted, keep_all=keep_all)

    def differentiated(self, gradient: Tensor) -> Tensor | None:
        """The forward tensor by which a gradient is taken; None for what is no gradient of one."""
        named = {gradient_of(t).name: t for t in self.forward if t.differentiable}
        return named.get(gradient.name) if self.loss is not None else None

    def counts_images(self, tensor: Tensor) -> bool:
        """Whether the first coordinate of a tensor, or of what it is the gradient of, is the image's number."""
        known = [self.image, *([self.target] if self.target else [])]
        return self.differentiated(tensor) in self.of_images or tensor in locate.of_images(Program.of([tensor]), known)

    def _prediction(self) -> Tensor:
        """The class with the largest output, as an equation."""
        if len(self.output.extents) != 2:
            raise UsageError(f"predict needs outputs (N, classes); this model's have the shape {self.output.extents}")
        n, k = axes(self.output)
        found = Tensor("K", (self.output.extents[0],), kind="int", name="predict")
        found[n] = Reduce("argmax", (k,), self.output[n, k])
        return found

    def _update(self, name: str, named: Mapping[str, Tensor]) -> Tensor:
        """The value of a parameter after the optimiser's next step."""
        parameter = named.get(name)
        if parameter is None or parameter.role != "parameter":
            raise locate.unknown(name, [t.name for t in named.values() if t.role == "parameter"])
        rate = Tensor("lr", (), role="input", name="learning rate")
        gradient = self.gradients()[parameter]
        return self.question.optimizer.update(parameter, gradient, rate, self.random.step).parameter


def _gradient_names(tensors: Iterable[Tensor]) -> list[str]:
    return [gradient_of(t).name for t in tensors if t.differentiable and not t.name.startswith("loss")]


def layer_paths(model: Layer, prefix: str = "") -> Iterator[str]:
    """The paths of a model's layers, which are the names of their outputs."""
    if isinstance(model, Graph):
        for name, node in model.nodes.items():
            yield f"{prefix}{name}"
            yield from layer_paths(node.layer, f"{prefix}{name}.")
