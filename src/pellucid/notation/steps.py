"""The steps of a derivation, as they are taken: a record that `derive` fills when it is given one.

Each step is an equation and the rule that gives it. Nothing here derives anything: what is shown is what was done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Expression, accesses
from pellucid.notation.index import Affine, Index
from pellucid.notation.tensor import Tensor

Rule = Literal[
    "incoming",  # the gradient that comes in
    "terms", "product", "numerator", "denominator", "power", "function", "sum", "maximum_first", "maximum_all",
    "solved", "in_place", "collected", "phase", "read",  # how a read became an equation for the gradient
    "guarded", "settled",  # brackets were needed; a product got a name, so that it reads 0 outside
    "several", "several_named", "simplified", "recognised", "zero",
    "split", "written", "shared_sum",  # tidying: see tidy.py
]  # fmt: skip


@dataclass(frozen=True)
class Applied:
    """One rule of the table, applied on the way down: the gradient that reaches a part, over what it is collected."""

    rule: Rule
    node: Expression
    gradient: tuple[Expression, ...]
    over: tuple[Index, ...]
    name: str = ""


@dataclass(frozen=True)
class Step:
    """`left = value` by a rule.

    `left` is a part of an equation whose gradient `value` is; with `named` it is that tensor itself, which the
    derivation introduced. `over` are indices for each of which the part gets it. `solved` says what indices became,
    `names` which names the rule used, `found` which names it recognised on the way.
    """

    rule: Rule
    left: Expression
    value: Expression
    named: bool = False
    over: tuple[Index, ...] = ()
    solved: tuple[tuple[Index, Affine], ...] = ()
    names: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


@dataclass
class Record:
    """What was done for each tensor's gradient, in the order in which the gradients were settled."""

    steps: dict[Tensor, list[Step]] = field(default_factory=dict)
    gradients: dict[Tensor, Tensor] = field(default_factory=dict)
    order: list[Tensor] = field(default_factory=list)

    def add(self, tensor: Tensor, step: Step) -> None:
        """A step towards the gradient of a tensor, or towards a tensor of the derivation's own."""
        self.steps.setdefault(tensor, []).append(step)

    def settled(self, tensor: Tensor, gradient: Tensor) -> None:
        """A tensor's gradient has its equations."""
        self.gradients[tensor] = gradient
        self.order.append(tensor)

    def defined(self, subject: Tensor, equation: Equation, before: Expression) -> None:
        """An equation was simplified, from what stands in the last step to what it is now."""
        if equation.value == before:
            return
        new = dict.fromkeys(a.tensor.symbol for a in accesses(equation.value))
        old = {a.tensor.symbol for a in accesses(before)}
        names = tuple(name for name in new if name not in old)
        rule: Rule = "recognised" if names else "simplified"
        self.add(subject, self._of(subject, equation, rule, names))

    def rewritten(self, equation: Equation, rule: Rule, names: Iterable[Tensor], found: Iterable[Tensor] = ()) -> None:
        """Tidying replaced an equation of a gradient by this one, which uses these names, some of them `found`."""
        subject = next((t for t, g in self.gradients.items() if g is equation.tensor), equation.tensor)
        used, recognised = (tuple(dict.fromkeys(t.symbol for t in tensors)) for tensors in (names, found))
        self.add(subject, self._of(subject, equation, rule, used, recognised))

    def introduced(self, equation: Equation, rule: Rule, reader: Tensor | None = None) -> None:
        """The derivation gave something a name of its own; a gradient that is settled already may be its reader."""
        self.add(equation.tensor, Step(rule, equation.left, equation.value, named=True))
        if equation.tensor not in self.order:
            subjects = [t for t in self.order if self.gradients.get(t) is reader]
            place = self.order.index(subjects[0]) if subjects and reader is not None else len(self.order)
            self.order.insert(place, equation.tensor)

    def _of(
        self, subject: Tensor, equation: Equation, rule: Rule, names: tuple[str, ...], found: tuple[str, ...] = ()
    ) -> Step:
        named = equation.tensor is subject
        left = equation.left if named else Access(subject, equation.at)
        return Step(rule, left, equation.value, named, names=names, found=found)
