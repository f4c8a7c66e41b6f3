"""The table of rules: how the gradient of an equation's left-hand side reaches each part of its right-hand side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pellucid.errors import NotationError
from pellucid.notation.equation import Equation
from pellucid.notation.expression import (
    Access,
    Add,
    Bracket,
    Call,
    Const,
    Div,
    Expression,
    Mul,
    Pow,
    Reduce,
    accesses,
    bracket,
)
from pellucid.notation.functions import FUNCTIONS
from pellucid.notation.index import Affine, Index
from pellucid.notation.steps import Applied, Rule
from pellucid.notation.tensor import Tensor

Backward = Callable[[tuple[Expression, ...], Expression], tuple[Expression | None, ...] | None]
"""What stands in for a function's derivative: from its arguments and the incoming gradient to the factor for each
argument, or None to leave it at the derivative. It applies where the function is the whole of an equation."""


@dataclass(frozen=True)
class Read:
    """A read, the factors of the gradient that reaches it, the indices it is summed over, the rules on the way."""

    access: Access
    factors: tuple[Expression, ...]
    bound: tuple[Index, ...]
    path: tuple[Applied, ...]


@dataclass
class Descent:
    """One rule for each kind of node; collects the reads with the gradient that reaches them."""

    equation: Equation
    needed: set[Tensor]
    rules: Mapping[str, Backward] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)

    def value_of(self, node: Expression) -> Expression:
        """A node's value by name, where the equation gives it one."""
        return self.equation.left if node is self.equation.value else node

    def matters(self, node: Expression) -> bool:
        """Whether the node reads a tensor to which a gradient must flow."""
        return any(read.tensor in self.needed and read.tensor.differentiable for read in accesses(node))

    def push(
        self, node: Expression, gradient: tuple[Expression, ...], bound: tuple[Index, ...], path: tuple[Applied, ...]
    ) -> None:
        if not self.matters(node):
            return

        def down(
            rule: Rule,
            part: Expression,
            gradient: tuple[Expression, ...],
            over: tuple[Index, ...] = (),
            name: str = "",
        ) -> None:
            self.push(part, gradient, (*bound, *over), (*path, Applied(rule, part, gradient, over, name)))

        match node:
            case Access():
                self.reads.append(Read(node, gradient, bound, path))
            case Bracket():
                pass
            case Add(terms):
                for term in terms:
                    down("terms", term, gradient)
            case Mul(factors):
                for k, factor in enumerate(factors):
                    down("product", factor, (*gradient, *factors[:k], *factors[k + 1 :]))
            case Div(numerator, denominator):
                down("numerator", numerator, (*gradient, Const(1) / denominator))
                down("denominator", denominator, (Const(-1), *gradient, self.value_of(node) / denominator))
            case Pow(base, exponent):
                if self.matters(exponent):
                    raise NotationError(
                        f"{self.equation.tensor.name}: no rule to differentiate {node} by its exponent; "
                        "write it as exp(exponent * log(base))"
                    )
                lower = base if exponent == Const(2) else Pow(base, _less_one(exponent))
                down("power", base, (exponent, *gradient, lower))
            case Call(function, args):
                for argument, slope in zip(args, self.slopes(node, gradient), strict=True):
                    if slope is not None:
                        down("function", argument, (*gradient, slope), name=function)
            case Reduce("sum", over, body):
                down("sum", body, gradient, over)
            case Reduce("max", over, body):
                rule: Rule = "maximum_all" if node.ties == "all" else "maximum_first"
                down(rule, body, (self.chosen(node), *gradient), over)
            case _:
                raise NotationError(f"{self.equation.tensor.name}: no rule to differentiate {node}")

    def slopes(self, node: Call, gradient: tuple[Expression, ...]) -> tuple[Expression | None, ...]:
        """The factor for each argument of a function: the derivative, unless a rule stands in for it."""
        rule = self.rules.get(node.function) if node is self.equation.value else None
        instead = rule(node.args, gradient[0]) if rule else None
        return instead or FUNCTIONS[node.function].derivative(node.args, self.value_of(node))

    def chosen(self, node: Reduce) -> Expression:
        """Where the gradient of a maximum goes: to the first cell that attains it, or to all."""
        if node is not self.equation.value:
            raise NotationError(f"{self.equation.tensor.name}: give the maximum {node} an equation of its own")
        if node.ties == "all":
            return bracket(node.body, "==", self.equation.left)
        where = argument_of(self.equation, node)
        return bracket(Access(where, self.equation.at), "==", row_major(node.indices))


def _less_one(exponent: Expression) -> Expression:
    return Const(exponent.value - 1) if isinstance(exponent, Const) else exponent - 1


def row_major(over: tuple[Index, ...]) -> Affine:
    """The position within the box of the indices, the last one running fastest."""
    position = Affine()
    for index in over:
        position = position * index.size + index
    return position


def argument_of(equation: Equation, maximum: Reduce) -> Tensor:
    """The tensor that holds, for each maximum, the position of the first cell that attains it."""
    tensor = equation.tensor
    found = next((c for c in tensor.companions if c.name == f"{tensor.name} argument"), None)
    if found is None:
        found = Tensor(f"arg{tensor.symbol}", tensor.extents, kind="int", name=f"{tensor.name} argument")
        tensor.companions = (*tensor.companions, found)
    value = Reduce("argmax", maximum.indices, maximum.body)
    if not any(e.at == equation.at for e in found.definition):
        found.definition.append(Equation(found, equation.at, value))
    return found
