"""The true and the consistent numbers of a solution: each equation of its network becomes a step of the workings.

A step computes one tensor from those its equations read, so it can be run on true values or on what somebody stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid import models
from pellucid.engines import registry
from pellucid.engines.base import Executable
from pellucid.errors import DataError
from pellucid.layers.base import input_tensor, name_tensors
from pellucid.lessons.solution import Solution, array, shaped
from pellucid.lessons.workings import Step
from pellucid.notation import Equation, Program, Tensor
from pellucid.notation.derive import derive
from pellucid.notation.expression import Access, Expression, accesses, transform


class Given:
    """A step that needs nothing: a number or an array that the solution starts from, or that can only be counted."""

    needs: tuple[str, ...] = ()

    def __init__(self, name: str, value: Any) -> None:
        self.__name__, self.value = name, np.asarray(value)

    def __call__(self) -> Any:
        return self.value


class Computed:
    """A step that computes one tensor by its equations."""

    def __init__(self, tensor: Tensor) -> None:
        self.__name__ = tensor.name
        reads = dict.fromkeys(a.tensor for e in tensor.definition for a in accesses(e.value))
        self.reads = [read for read in reads if read.role != "constant"]
        self.needs = tuple(read.name for read in self.reads)
        self.tensor = tensor
        self._executable: Executable | None = None

    def __call__(self, *values: Any) -> Any:
        if self._executable is None:
            self._executable = registry.get("numpy").compile(Program.of([self._alone()]), dtype="float64")
        given = {
            read.name: np.ascontiguousarray(value, np.int64 if read.kind == "int" else np.float64).reshape(read.extents)
            for read, value in zip(self.reads, values, strict=True)
        }
        return self._executable.run(given)[self.tensor.name]

    def _alone(self) -> Tensor:
        """The tensor as if everything it reads were given."""
        table = {r: Tensor(r.symbol, r.extents, role="input", kind=r.kind, name=r.name) for r in self.reads}
        alone = Tensor(self.tensor.symbol, self.tensor.extents, kind=self.tensor.kind, name=self.tensor.name)

        def rule(node: Expression) -> Expression:
            if not isinstance(node, Access) or node.tensor not in table:
                return node
            return replace(node, tensor=table[node.tensor])

        alone.definition = [Equation(alone, e.at, transform(e.value, rule)) for e in self.tensor.definition]
        return alone


class Solved:
    """All steps of a solution, in the order of computing, and the shapes of what they give as people count them."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        x = input_tensor(solution.model, solution.x.shape)
        values = solution.model.values((x,), "", None)
        self.given: dict[str, Any] = {"input": solution.x, **solution.model.states, **solution.parameters}
        outputs: dict[Tensor, Tensor | None] = self._incoming(values[solution.model.output])
        own = list(solution.model.tensors().values())
        gradients = derive(outputs, [x, *own], keep_all=True) if outputs else {}
        updated = self._updates(gradients)
        program = Program.of([*values.values(), *outputs, *gradients.values(), *updated])
        self.tensors = {tensor.name: tensor for tensor in program.tensors if tensor.role != "constant"}
        self._without_batch = {t.name for t in own} | {f"{way} {t.name}" for t in own for way in ("d", "updated")}
        self._counts = _counts(solution.model, x.extents[1:])

    def steps(self) -> list[Step]:
        """The steps: what is given, what is counted, and what equations compute."""
        given = [Given(name, self.given[name]) for name, t in self.tensors.items() if t.role != "defined"]
        counted = [Given(name, value) for name, value in self._counts.items()]
        return [*given, *counted, *(Computed(t) for t in self.tensors.values() if t.role == "defined")]

    def names(self) -> Iterable[str]:
        """What may be stated, in the order of computing."""
        return [*self._counts, *(name for name, t in self.tensors.items() if t.role == "defined" and t.kind == "float")]

    def shape(self, name: str) -> tuple[int, ...]:
        """The whole shape of what is stated under a name."""
        if name in self._counts:
            return np.shape(self._counts[name])
        return self.tensors[name].extents

    def batched(self, name: str) -> bool:
        """Whether the first dimension is that of a batch of one, which nobody writes."""
        tensor = self.tensors.get(name)
        return self.solution.single and tensor is not None and bool(tensor.extents) and name not in self._without_batch

    def _incoming(self, output: Tensor) -> dict[Tensor, Tensor | None]:
        """What is differentiated: the loss, or the output with the gradient that comes in."""
        solution = self.solution
        if solution.loss is not None:
            target = _target(solution)
            tensor = solution.loss.target(output, target)
            value = solution.loss.forward(output, tensor)
            name_tensors(value, "loss", {output, tensor})
            self.given[tensor.name] = target
            return {value: None}
        if solution.output_gradient is not None:
            given = array(solution.output_gradient, '"output_gradient"')
            incoming = Tensor(f"d{output.symbol}", output.extents, role="input", name=f"d {output.name}")
            self.given[incoming.name] = shaped(given, output.extents, '"output_gradient"')
            return {output: incoming}
        return {}

    def _updates(self, gradients: Mapping[Tensor, Tensor]) -> list[Tensor]:
        optimizer = self.solution.optimizer
        if optimizer is None:
            return []
        if not gradients:
            raise DataError('an [update] needs gradients: give a [loss] or an "output_gradient"')
        rate, step = Tensor("lr", (), role="input"), Tensor("t", (), role="input", kind="int")
        self.given |= {"lr": optimizer.lr, "t": 0}
        own = self.solution.model.tensors().values()
        return [optimizer.update(t, gradients[t], rate, step).parameter for t in own if t in gradients]


def _target(solution: Solution) -> Any:
    """Targets as the loss takes them: labels, or wanted outputs for every example."""
    target = solution.target if not solution.single else [solution.target]
    labels = isinstance(target, list) and all(type(one) is int for one in target)
    return np.array(target, np.int64) if labels else array(target, '"target"')


def _counts(model: models.Graph, shape: tuple[int, ...]) -> dict[str, Any]:
    """Output shapes and numbers of parameters, by `conv1.shape`, `conv1.parameters` and `parameters`."""
    summary = model.summary(shape)
    found: dict[str, Any] = {}
    for row in summary.rows:
        found[f"{row.name}.shape"] = row.output_shape
        found[f"{row.name}.parameters"] = row.parameters
    return {**found, "parameters": summary.parameters}
