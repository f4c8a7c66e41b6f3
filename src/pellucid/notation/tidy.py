"""Tidying derived equations: names that cost more than they explain are written into their readers.

Two rewritings, kept only where the program becomes no more expensive:

* A sum multiplied by something that does not depend on it is split: `dS[n] = -sum(k) dP[n,k] * P[n,k] / S[n]` becomes a
  named sum and a cheap quotient, so that the quotient can move on and cancel.
* A gradient that is a pointwise expression replaces its name in the equations that read it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Div, Expression, Mul, Reduce, substitute, transform
from pellucid.notation.index import Affine, Index, box
from pellucid.notation.program import order
from pellucid.notation.simplify import Definitions, operations, simplify
from pellucid.notation.tensor import Tensor


def tidy(wanted: list[Tensor], derived: list[Tensor], definitions: Definitions) -> None:
    """Rewrite the derived tensors' equations in place, until nothing gets cheaper."""
    movable = [t for t in derived if t not in wanted]
    for tensor in [*movable]:
        movable += _split_sum(tensor)
    changed = True
    while changed:
        changed = False
        equations = order(wanted)
        for tensor in equations:
            if tensor in movable and _write_in(tensor, equations, definitions):
                changed = True
                break


def _split_sum(tensor: Tensor) -> list[Tensor]:
    """Name the sum in `sum(...) * factor`, where the factor is more than a number."""
    if len(tensor.definition) != 1:
        return []
    equation = tensor.definition[0]
    factors = _factors(equation.value)
    sums = [f for f in factors if isinstance(f, Reduce)]
    if len(sums) != 1 or not any(isinstance(part, Access) for f in factors if f is not sums[0] for part in f.walk()):
        return []
    if any(a.single is None for a in equation.at):
        return []
    name = Tensor("Q", tensor.extents, name=f"sum in {tensor.name}")
    name.definition.append(Equation(name, equation.at, sums[0]))
    value = transform(equation.value, lambda node: Access(name, equation.at) if node is sums[0] else node)
    tensor.definition = [Equation(tensor, equation.at, value)]
    return [name]


def _factors(node: Expression) -> list[Expression]:
    if isinstance(node, Mul):
        return [f for factor in node.factors for f in _factors(factor)]
    if isinstance(node, Div):
        return [*_factors(node.numerator), *_factors(node.denominator)]
    return [node]


def _write_in(tensor: Tensor, equations: Iterable[Tensor], definitions: Definitions) -> bool:
    """Replace a pointwise tensor by its expression wherever it is read, if that does not cost more."""
    if len(tensor.definition) != 1 or any(a.single is None for a in tensor.definition[0].at):
        return False
    source = tensor.definition[0]
    if not source.covers or any(isinstance(part, Reduce) for part in source.value.walk()):
        return False
    readers = [
        e
        for t in equations
        for e in t.definition
        if t is not tensor and any(isinstance(p, Access) and p.tensor is tensor for p in e.value.walk())
    ]
    if any(_reads_outside(reader, tensor) for reader in readers):
        return False
    rewritten = [(e, Equation(e.tensor, e.at, simplify(_inlined(e, source), definitions))) for e in readers]
    before = cost(source) + sum(cost(old) for old, _ in rewritten)
    if sum(cost(new) for _, new in rewritten) > before:
        return False
    for old, new in rewritten:
        old.tensor.definition = [new if e is old else e for e in old.tensor.definition]
    return True


def cost(equation: Equation) -> int:
    """Operations, and one for each element written."""
    return (operations(equation.value) + 1) * box(equation.indices)


def _reads_outside(reader: Equation, tensor: Tensor) -> bool:
    """Whether a read may leave the tensor: its expression would not read 0 there."""
    return any(
        bounds[0] < 0 or bounds[1] >= extent
        for part in reader.value.walk()
        if isinstance(part, Access) and part.tensor is tensor
        for bounds, extent in zip((a.bounds for a in part.at), tensor.extents, strict=True)
    )


def _inlined(reader: Equation, source: Equation) -> Expression:
    # A pointwise expression binds no index, so no name can clash.
    def rule(node: Expression) -> Expression:
        if not isinstance(node, Access) or node.tensor is not source.tensor:
            return node
        table: dict[Index, Affine] = {
            left.single: read for left, read in zip(source.at, node.at, strict=True) if left.single is not None
        }
        return substitute(source.value, table)

    return transform(reader.value, rule)
