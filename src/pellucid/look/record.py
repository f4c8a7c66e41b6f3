"""All numbers behind one number, in the precision in which the network runs, and the arithmetic of any part of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import engines, losses
from pellucid.engines.numpy.evaluate import Evaluator
from pellucid.errors import UsageError
from pellucid.execution import batch, floats, name_parameters, parameter_arrays, target_array
from pellucid.explain import locate
from pellucid.layers.base import Layer, Randomness, input_tensor
from pellucid.losses import Loss
from pellucid.notation import Equation, Expression, Index, Program, Tensor
from pellucid.notation.derive import derive
from pellucid.notation.expression import Access, Reduce, transform
from pellucid.notation.printing import text
from pellucid.training import write_loss

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Record:
    """A program that was run, the values of all its tensors by name, and which of them hold images."""

    program: Program
    arrays: dict[str, Array]
    of_images: frozenset[Tensor]
    dtype: np.dtype[Any]

    def number(self, node: Expression) -> float | int:
        """The value of an expression without free indices, as the engine computes it."""
        array = self._evaluate(node, ())
        return int(array) if array.dtype.kind in "iub" else float(array)

    def numbers(self, node: Expression, over: tuple[Index, ...]) -> Array:
        """The values of an expression for all values of its free indices, in their order, flat."""
        return self._evaluate(node, over).ravel()

    def terms(self, node: Reduce) -> Array:
        """What a sum or a maximum runs over, in the order of its indices."""
        return self.numbers(node.body, node.indices)

    def _evaluate(self, node: Expression, over: tuple[Index, ...]) -> Array:
        equation = Equation(self.program.outputs[0], (), node)
        with np.errstate(all="ignore"):  # what is not finite is what is looked for
            block = Evaluator(equation, self.arrays, self.dtype).value()
        return np.broadcast_to(block.spread(over), [i.size for i in over])


def record(
    model: Layer,
    images: Array,
    name: str,
    target: Array | None = None,
    loss: str | Loss = "cross_entropy",
    *,
    training: bool = False,
    seed: int = 0,
    step: int = 0,
    dtype: str = "float32",
) -> tuple[Tensor, Record]:
    """Run what a tensor depends on, and keep everything; the tensor may be a gradient.

    Raises UsageError, with the nearest name, if there is no such tensor.
    """
    name_parameters(model)
    real = floats(dtype)
    images = batch(images, real, model.vocabulary)
    image = input_tensor(model, images.shape)
    random = Randomness() if training else None
    arrays = {**parameter_arrays(model, real), "input": images}
    arrays |= {"random.seed": np.array(seed), "random.step": np.array(step)}
    inputs = [image]
    if target is None:
        output, value = model.build((image,), "", random), None
    else:
        output, wanted, value = write_loss(model, image, random, losses.get(loss), target)
        arrays["target"] = target_array(wanted, target, real)
        inputs.append(wanted)
    tensor = _find(name, output, value)
    program = Program.of([tensor])
    executable = engines.get("numpy").compile(Program(program.equations, program.tensors), dtype=dtype)
    values = executable.run(arrays)
    return tensor, Record(program, values, frozenset(locate.of_images(program, inputs)), real)


def _find(name: str, output: Tensor, loss: Tensor | None) -> Tensor:
    """A tensor of the forward pass, or a gradient of the loss."""
    forward = {t.name: t for t in Program.of([output, *([loss] if loss else [])]).tensors}
    if name in forward:
        return forward[name]
    if loss is None:
        if name.startswith(("d ", "loss")):
            raise UsageError(f'"{name}" needs the loss: say the target')
        raise locate.unknown(name, [*forward, "loss"])
    gradients = derive({loss: None}, [t for t in forward.values() if t.differentiable], keep_all=True)
    backward = {t.name: t for t in Program.of([loss, *gradients.values()]).tensors}
    if name not in backward:
        raise locate.unknown(name, [*backward])
    return backward[name]


def in_words(node: Expression) -> str:
    """An expression with the full names of the tensors that it reads."""
    return text(transform(node, _named))


def _named(node: Expression) -> Expression:
    return Access(Tensor(element(node.tensor.name, node.at), ()), ()) if isinstance(node, Access) else node


def element(name: str, at: tuple[object, ...]) -> str:
    """`name[1,2,3]`, or the name alone for a single number."""
    return f"{name}[{','.join(map(str, at))}]" if at else name
