"""Running a program: equations in order, each tensor dropped after its last reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.engines.base import Array, Recipe
from pellucid.engines.numpy.block import strided
from pellucid.engines.numpy.evaluate import Evaluator
from pellucid.errors import NotationError, UsageError
from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Call, accesses
from pellucid.notation.program import Program
from pellucid.notation.tensor import Tensor

DTYPES = ("float32", "float64")


class NumpyExecutable:
    """A program, interpreted; see `pellucid.engines.base.Executable`."""

    def __init__(self, program: Program, dtype: str) -> None:
        self.program = program
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._last_use = _last_use(program)

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        values = {t.name: self._given(t, arrays) for t in self.program.given}
        with np.errstate(all="ignore"):  # not-a-number and infinity are values here; training reports them
            for number, equation in enumerate(self.program):
                self._compute(equation, values)
                for name in self._last_use.get(number, ()):
                    del values[name]
        outputs = {t.name: np.array(values[t.name]) for t in self.program.outputs}
        # All successors first: one may be another's present value, under a view.
        successors = [
            np.array(values[new.name]) if _is_view(new) else values[new.name] for _, new in self.program.updates
        ]
        for (old, _), successor in zip(self.program.updates, successors, strict=True):
            np.copyto(arrays[old.name], successor)
        return outputs

    def close(self) -> None:
        """Nothing is held between runs."""

    def _given(self, tensor: Tensor, arrays: Mapping[str, Array]) -> Array:
        if tensor.role == "constant" and tensor.value is not None:
            return tensor.value.astype(self.dtype if tensor.kind == "float" else np.int64, copy=False)
        if tensor.name not in arrays:
            raise NotationError(f"the program needs a value for {tensor.name}")
        return arrays[tensor.name]

    def _compute(self, equation: Equation, values: dict[str, Array]) -> None:
        tensor = equation.tensor
        dtype = self.dtype if tensor.kind == "float" else np.dtype(np.int64)
        block = Evaluator(equation, values, self.dtype).value()
        value = block.spread(equation.indices)
        shape = tuple(i.size for i in equation.indices)
        if equation.covers and [a.single for a in equation.at] == list(equation.indices):
            values[tensor.name] = np.asarray(np.broadcast_to(value, shape), dtype=dtype, order="C")
            return
        if tensor.name not in values:
            values[tensor.name] = np.zeros(tensor.extents, dtype)
        part = strided(values[tensor.name], list(equation.at))
        part.spread(equation.indices)[...] = value


def _is_view(tensor: Tensor) -> bool:
    """Whether a tensor may share its memory with what it was computed from."""
    return not tensor.definition or any(isinstance(e.value, Access | Call) for e in tensor.definition)


def _last_use(program: Program) -> dict[int, list[str]]:
    """For each equation, the tensors that nothing reads after it."""
    kept = {t.name for t in (*program.outputs, *(t for pair in program.updates for t in pair))}
    last: dict[str, int] = {}
    for number, equation in enumerate(program):
        for name in (*(a.tensor.name for a in accesses(equation.value)), equation.tensor.name):
            last[name] = number
    drop: dict[int, list[str]] = {}
    for name, number in last.items():
        if name not in kept:
            drop.setdefault(number, []).append(name)
    return drop


class NumpyEngine:
    """The reference engine."""

    name = "numpy"

    def compile(
        self, program: Program | Recipe, *, dtype: str = "float32", threads: int | None = None
    ) -> NumpyExecutable:
        """Ready to run at once; NumPy's own libraries decide about threads, so `threads` has no effect here."""
        if dtype not in DTYPES:
            raise UsageError(f"the numpy engine computes in {' or '.join(DTYPES)}, not in {dtype}")
        return NumpyExecutable(program if isinstance(program, Program) else program.write(), dtype)
