"""A program: equations in an order in which each uses only what is defined before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from pellucid.errors import NotationError
from pellucid.notation.equation import Equation
from pellucid.notation.expression import accesses
from pellucid.notation.tensor import Tensor


@dataclass(frozen=True)
class Program:
    """Equations, the tensors they are given, and those whose values are wanted.

    After a run each state tensor in `updates` takes the value of the tensor beside it.
    """

    equations: tuple[Equation, ...]
    outputs: tuple[Tensor, ...]
    updates: tuple[tuple[Tensor, Tensor], ...] = ()

    @staticmethod
    def of(outputs: Iterable[Tensor], updates: Iterable[tuple[Tensor, Tensor]] = ()) -> Program:
        """The equations that the outputs and updates need, each tensor's definition after those it reads.

        A tensor that is wanted several times is one output: results are told apart by name.
        """
        outputs, updates = tuple(dict.fromkeys(outputs)), tuple(updates)
        ordered = order([*outputs, *(new for _, new in updates)])
        program = Program(tuple(e for t in ordered for e in t.definition), outputs, updates)
        named: dict[str, Tensor] = {}
        for tensor in program.tensors:
            if named.setdefault(tensor.name, tensor) is not tensor:
                raise NotationError(
                    f"two tensors of the program are named {tensor.name!r}; give each a name of its own"
                )
        return program

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors: the given ones where they are first read, the defined ones where they are defined."""
        found: dict[Tensor, None] = {}
        for equation in self.equations:
            found.update(dict.fromkeys(a.tensor for a in accesses(equation.value)))
            found[equation.tensor] = None
        found.update(dict.fromkeys((*self.outputs, *(t for pair in self.updates for t in pair))))
        return tuple(found)

    @property
    def given(self) -> tuple[Tensor, ...]:
        """The tensors no equation defines: inputs, parameters, state and constants."""
        return tuple(t for t in self.tensors if t.role != "defined")

    def of_role(self, *roles: str) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors if t.role in roles)

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name; NotationError if there is none."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise NotationError(f"the program has no tensor {name!r}; it has {', '.join(t.name for t in self.tensors)}")

    def definition(self, tensor: Tensor) -> tuple[Equation, ...]:
        """The equations of this program that write the tensor."""
        return self._definitions.get(tensor, ())

    @cached_property
    def _definitions(self) -> dict[Tensor, tuple[Equation, ...]]:
        found: dict[Tensor, tuple[Equation, ...]] = {}
        for equation in self.equations:
            found[equation.tensor] = (*found.get(equation.tensor, ()), equation)
        return found

    def __iter__(self) -> Iterator[Equation]:
        return iter(self.equations)

    def __str__(self) -> str:
        return "\n".join(map(str, self.equations))


def order(wanted: Iterable[Tensor]) -> list[Tensor]:
    """The defined tensors that the wanted ones depend on, and they themselves, each after what it reads."""
    done: dict[Tensor, None] = {}
    open_now: set[Tensor] = set()
    stack = [(tensor, False) for tensor in reversed(list(wanted))]
    while stack:
        tensor, ready = stack.pop()
        if ready:
            open_now.discard(tensor)
            done[tensor] = None
        elif tensor not in done and tensor.role == "defined":
            if tensor in open_now:
                raise NotationError(f"{tensor.name} is defined by means of itself")
            if not tensor.definition:
                raise NotationError(f"no equation defines {tensor.name}")
            open_now.add(tensor)
            stack.append((tensor, True))
            reads = dict.fromkeys(a.tensor for e in tensor.definition for a in accesses(e.value))
            stack += [(read, False) for read in reversed(list(reads)) if read not in done]
    return list(done)
