"""The right-hand side of an equation, as a tree of values built with Python's operators.

Nodes are immutable and compare by value. A bracket `[a > b]` is 1 or 0 and, as in Iverson's notation, *strongly*
zero: a product with a false bracket is 0 whatever its other factors are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar, cast, dataclass_transform

from pellucid.errors import NotationError
from pellucid.notation.index import Affine, AffineLike, Index

if TYPE_CHECKING:
    from pellucid.notation.tensor import Tensor

Number = int | float | Fraction


class Expression:
    """Base of all nodes; supplies the operators."""

    __slots__ = ()

    @staticmethod
    def of(value: ExpressionLike) -> Expression:
        """A number, an index or an affine expression as an expression."""
        if isinstance(value, Expression):
            return value
        if isinstance(value, Index | Affine):
            return Position(Affine.of(value))
        if isinstance(value, int | float | Fraction):
            return Const(value)
        raise NotationError(f"an equation is made of accesses, indices and numbers, not of {value!r}")

    def __add__(self, other: ExpressionLike) -> Expression:
        return Add((self, Expression.of(other)))

    def __radd__(self, other: ExpressionLike) -> Expression:
        return Add((Expression.of(other), self))

    def __sub__(self, other: ExpressionLike) -> Expression:
        return Add((self, -Expression.of(other)))

    def __rsub__(self, other: ExpressionLike) -> Expression:
        return Add((Expression.of(other), -self))

    def __mul__(self, other: ExpressionLike) -> Expression:
        return Mul((self, Expression.of(other)))

    def __rmul__(self, other: ExpressionLike) -> Expression:
        return Mul((Expression.of(other), self))

    def __truediv__(self, other: ExpressionLike) -> Expression:
        return Div(self, Expression.of(other))

    def __rtruediv__(self, other: ExpressionLike) -> Expression:
        return Div(Expression.of(other), self)

    def __pow__(self, exponent: Number | Expression) -> Expression:
        return Pow(self, Expression.of(exponent))

    def __neg__(self) -> Expression:
        return Mul((Const(-1), self))

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        """The same node over other children."""
        return self

    def walk(self) -> Iterator[Expression]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __str__(self) -> str:
        from pellucid.notation.printing import text

        return text(self)


ExpressionLike = Expression | Index | Affine | Number

Node = TypeVar("Node", bound=type[Expression])


@dataclass_transform(frozen_default=True)
def node(cls: Node) -> Node:
    """A frozen dataclass that remembers its hash: trees are looked up far more often than they are made."""
    made = dataclass(frozen=True)(cls)
    compute = made.__hash__

    def remembered(self: Expression) -> int:
        found: int | None = self.__dict__.get("_hash")
        if found is None:
            found = compute(self)
            object.__setattr__(self, "_hash", found)
        return found

    made.__hash__ = remembered  # type: ignore[method-assign, assignment]  # the same value, computed once
    return cast(Node, made)


@node
class Const(Expression):
    """A number."""

    value: Number


@node
class Position(Expression):
    """An affine index expression used as a number."""

    affine: Affine


@node
class Access(Expression):
    """One element of a tensor. Outside the tensor it reads `outside`: 0 in sums, -inf under a maximum."""

    tensor: Tensor
    at: tuple[Affine, ...]
    outside: float = 0.0


@node
class Add(Expression):
    """A sum of terms."""

    terms: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.terms

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        return Add(children)


@node
class Mul(Expression):
    """A product of factors."""

    factors: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.factors

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        return Mul(children)


@node
class Div(Expression):
    """A quotient."""

    numerator: Expression
    denominator: Expression

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.numerator, self.denominator)

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        return Div(*children)


@node
class Pow(Expression):
    """A power; the exponent passes no gradient."""

    base: Expression
    exponent: Expression

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.base, self.exponent)

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        return Pow(*children)


@node
class Call(Expression):
    """A pointwise function from `functions.FUNCTIONS`."""

    function: str
    args: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.args

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        return Call(self.function, children)


@node
class Bracket(Expression):
    """`[left relation right]`: 1 where it holds, otherwise a strong 0."""

    left: Expression
    relation: str
    right: Expression

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.left, self.right)

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        return Bracket(children[0], self.relation, children[1])


@node
class Reduce(Expression):
    """`sum`, `max` or `argmax` over bound indices.

    `argmax` gives the position of the first maximum, counted in the order of the indices as they are written.
    `ties` says where a maximum's gradient goes: to the `first` cell that attains it, or to `all` of them.
    """

    kind: str
    indices: tuple[Index, ...]
    body: Expression
    ties: str = field(default="first")

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.body,)

    def rebuild(self, children: tuple[Expression, ...]) -> Expression:
        return Reduce(self.kind, self.indices, children[0], self.ties)


def bracket(left: ExpressionLike, relation: str, right: ExpressionLike) -> Expression:
    """`[left relation right]` with one of == != < <= > >=."""
    if relation not in {"==", "!=", "<", "<=", ">", ">="}:
        raise NotationError(f"a bracket compares with == != < <= > or >=, not with {relation!r}")
    return Bracket(Expression.of(left), relation, Expression.of(right))


def sum_over(over: tuple[Index, ...] | list[Index], body: ExpressionLike) -> Expression:
    """The sum of the body over all values of the indices."""
    return Reduce("sum", tuple(over), Expression.of(body))


def max_over(over: tuple[Index, ...] | list[Index], body: ExpressionLike, ties: str = "first") -> Expression:
    """The maximum of the body over all values of the indices; outside its tensors it reads -infinity."""
    if ties not in {"first", "all"}:
        raise NotationError(f'ties: the gradient of a maximum goes to the "first" or to "all", not to {ties!r}')
    return Reduce("max", tuple(over), transform(Expression.of(body), _outside_below), ties)


def _outside_below(node: Expression) -> Expression:
    return Access(node.tensor, node.at, float("-inf")) if isinstance(node, Access) else node


def transform(node: Expression, rule: Callable[[Expression], Expression]) -> Expression:
    """Apply a rule to every node, from the leaves upwards."""
    children = node.children
    if children:
        changed = tuple(transform(child, rule) for child in children)
        if any(new is not old for new, old in zip(changed, children, strict=True)):
            node = node.rebuild(changed)
    return rule(node)


def substitute(node: Expression, values: Mapping[Index, AffineLike]) -> Expression:
    """Replace indices by affine expressions.

    Bound indices may be renamed, but only to other indices. One whose name comes in from outside gives way, so
    that it does not capture what is put under its sum.
    """
    table = {index: Affine.of(value) for index, value in values.items()}
    coming = {index.name for affine in table.values() for index in affine.indices}
    return _replaced(node, table, coming) if table else node


def _replaced(node: Expression, table: Mapping[Index, Affine], coming: set[str]) -> Expression:
    if isinstance(node, Access):
        return Access(node.tensor, tuple(a.substitute(table) for a in node.at), node.outside)
    if isinstance(node, Position):
        return Position(node.affine.substitute(table))
    if isinstance(node, Reduce):
        away = {i: Affine.of(_other_name(i, node, coming)) for i in node.indices if i not in table and i.name in coming}
        table = {**table, **away}
        renamed = []
        for index in node.indices:
            single = table[index].single if index in table else index
            if single is None:
                raise NotationError(f"index {index.name} is bound by {node.kind} and cannot become {table[index]}")
            renamed.append(single)
        return Reduce(node.kind, tuple(renamed), _replaced(node.body, table, coming), node.ties)
    children = tuple(_replaced(child, table, coming) for child in node.children)
    return node.rebuild(children) if children else node


def _other_name(index: Index, node: Expression, coming: set[str]) -> Index:
    used = coming | {i.name for i in (*bound_indices(node), *free_indices(node))}
    name = index.name
    while name in used:
        name += "'"
    return Index(name, index.extent)


def bound_indices(node: Expression) -> tuple[Index, ...]:
    """All indices bound by reductions inside the expression, in order."""
    return tuple(i for part in node.walk() if isinstance(part, Reduce) for i in part.indices)


def free_indices(node: Expression) -> tuple[Index, ...]:
    """The indices an expression depends on, in order of appearance."""
    found: dict[Index, None] = {}
    if isinstance(node, Access):
        for affine in node.at:
            found.update(dict.fromkeys(affine.indices))
    elif isinstance(node, Position):
        found.update(dict.fromkeys(node.affine.indices))
    for child in node.children:
        found.update(dict.fromkeys(free_indices(child)))
    if isinstance(node, Reduce):
        for index in node.indices:
            found.pop(index, None)
    return tuple(found)


def accesses(node: Expression) -> tuple[Access, ...]:
    """All accesses in an expression, in order of appearance, repeats included."""
    return tuple(part for part in node.walk() if isinstance(part, Access))
