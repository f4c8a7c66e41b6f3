"""Tidying derived equations: names that cost more than they explain are written into their readers.

Two rewritings, kept only where the program becomes no more expensive:

* A sum multiplied by something that does not depend on it is split: `dS[n] = -sum(k) dP[n,k] * P[n,k] / S[n]` becomes a
  named sum and a cheap quotient, so that the quotient can move on and cancel.
* A gradient that is a pointwise expression replaces its name in the equations that read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Div, Expression, Mul, Reduce, accesses, substitute, transform
from pellucid.notation.index import Affine, Index, box
from pellucid.notation.program import order
from pellucid.notation.simplify import Definitions, operations, simplify
from pellucid.notation.steps import Record
from pellucid.notation.tensor import Tensor


def tidy(wanted: list[Tensor], derived: list[Tensor], definitions: Definitions, record: Record | None = None) -> None:
    """Rewrite the derived tensors' equations in place, until nothing gets cheaper; a `record` is told every step."""
    movable = {t for t in derived if t not in wanted}
    numbers = count(1)
    for tensor in [t for t in derived if t in movable]:
        movable.update(_split_sum(tensor, numbers, record))
    _Writing(wanted, movable, definitions, record).run()
    if _name_sums(wanted, [t for t in order(wanted) if t in movable or t in derived], record):
        _Writing(wanted, movable, definitions, record).run()


class _Writing:
    """Writes movable tensors into their readers, each one again whenever an equation near it has changed."""

    def __init__(
        self, wanted: list[Tensor], movable: set[Tensor], definitions: Definitions, record: Record | None
    ) -> None:
        self.movable, self.definitions, self.record = movable, definitions, record
        self.equations = order(wanted)
        self.position = {tensor: k for k, tensor in enumerate(self.equations)}
        self.readers: dict[Tensor, dict[Tensor, None]] = {}
        self._note(self.equations)
        self.waiting: list[int] = []
        self.queued: set[Tensor] = set()
        self._queue(self.equations)

    def run(self) -> None:
        """In the order of the program, until nothing gets cheaper."""
        while self.waiting:
            tensor = self.equations[heappop(self.waiting)]
            self.queued.discard(tensor)
            readers = list(self.readers.get(tensor, ()))
            for group in ([tensor], self._group(tensor, readers)):
                if readers and group and _write_in(group, readers, self.definitions, self.record):
                    self._written(group, readers)
                    break

    def _group(self, tensor: Tensor, readers: list[Tensor]) -> list[Tensor]:
        """The tensor with the others that only its one reader reads: together they may share a factor."""
        if len(readers) != 1:
            return []
        found = [t for t in _reads(readers[0]) if t in self.movable and list(self.readers.get(t, ())) == readers]
        return found if len(found) > 1 and _pointwise(tensor) else []

    def _written(self, group: list[Tensor], readers: list[Tensor]) -> None:
        for tensor in group:
            del self.readers[tensor]
            for read in _reads(tensor):
                self.readers[read].pop(tensor, None)
        self._note(readers)
        self._queue([*readers, *(read for reader in readers for read in _reads(reader))])

    def _note(self, readers: list[Tensor]) -> None:
        for reader in readers:
            for read in _reads(reader):
                self.readers.setdefault(read, {})[reader] = None

    def _queue(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            if tensor in self.movable and tensor in self.readers and tensor not in self.queued:
                self.queued.add(tensor)
                heappush(self.waiting, self.position[tensor])


def _reads(tensor: Tensor) -> dict[Tensor, None]:
    """The tensors that a tensor's equations read."""
    return dict.fromkeys(a.tensor for e in tensor.definition for a in accesses(e.value))


def _name_sums(wanted: list[Tensor], derived: list[Tensor], record: Record | None) -> bool:
    """Where an equation contains the whole sum that another derived tensor is, let it read that tensor."""
    known: dict[Expression, Access] = {}
    for tensor in wanted:
        if len(tensor.definition) == 1 and isinstance(tensor.definition[0].value, Reduce):
            known.setdefault(tensor.definition[0].value, tensor.definition[0].left)

    def rule(node: Expression) -> Expression:
        return known.get(node, node) if isinstance(node, Reduce) else node

    changed = False
    for tensor in derived:
        for number, equation in enumerate(tensor.definition):
            value = transform(equation.value, rule)
            if value is not equation.value and equation.value not in known:
                tensor.definition[number] = Equation(tensor, equation.at, value)
                if record is not None:
                    new = dict.fromkeys(a.tensor for a in accesses(value))
                    old = {a.tensor for a in accesses(equation.value)}
                    record.rewritten(tensor.definition[number], "shared_sum", (t for t in new if t not in old))
                changed = True
    return changed


def _split_sum(tensor: Tensor, numbers: Iterator[int], record: Record | None) -> list[Tensor]:
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
    number = next(numbers)
    name = Tensor("Q" if number == 1 else f"Q_{number}", tensor.extents, name=f"sum in {tensor.name}")
    name.definition.append(Equation(name, equation.at, sums[0]))
    value = transform(equation.value, lambda node: Access(name, equation.at) if node is sums[0] else node)
    tensor.definition = [Equation(tensor, equation.at, value)]
    if record is not None:
        record.introduced(name.definition[0], "split", tensor)
        record.rewritten(tensor.definition[0], "split", [name])
    return [name]


def _factors(node: Expression) -> list[Expression]:
    if isinstance(node, Mul):
        return [f for factor in node.factors for f in _factors(factor)]
    if isinstance(node, Div):
        return [*_factors(node.numerator), *_factors(node.denominator)]
    return [node]


def _pointwise(tensor: Tensor) -> bool:
    """Whether one equation without sums defines the tensor, at an index for each dimension."""
    if len(tensor.definition) != 1 or any(a.single is None for a in tensor.definition[0].at):
        return False
    source = tensor.definition[0]
    return source.covers and not any(isinstance(part, Reduce) for part in source.value.walk())


def _write_in(tensors: list[Tensor], readers: list[Tensor], definitions: Definitions, record: Record | None) -> bool:
    """Replace pointwise tensors by their expressions wherever they are read, if that does not cost more."""
    sources = [t.definition[0] for t in tensors if _pointwise(t)]
    equations = [e for r in readers for e in r.definition if any(a.tensor in tensors for a in accesses(e.value))]
    if not sources or any(_reads_outside(e, source.tensor) for e in equations for source in sources):
        return False
    rewritten = []
    for equation in equations:
        value = equation.value
        for source in sources:
            value = _inlined(value, source)
        rewritten.append((equation, Equation(equation.tensor, equation.at, simplify(value, definitions))))
    before = sum(map(cost, sources)) + sum(cost(old) for old, _ in rewritten)
    if sum(cost(new) for _, new in rewritten) > before:
        return False
    for old, new in rewritten:
        old.tensor.definition = [new if e is old else e for e in old.tensor.definition]
        if record is not None:
            read = {a.tensor for a in accesses(old.value)}
            written = [s for s in sources if s.tensor in read]
            there = read | {a.tensor for s in written for a in accesses(s.value)}
            record.rewritten(new, "written", [s.tensor for s in written], _recognised(new, there))
    return True


def _recognised(equation: Equation, before: set[Tensor]) -> list[Tensor]:
    """The tensors that an equation names anew, or in whose place it read what defines them before."""
    reads = dict.fromkeys(a.tensor for a in accesses(equation.value))
    gone = before - reads.keys()
    return [t for t in reads if t not in before or (t.role == "defined" and _reads(t) and _reads(t).keys() <= gone)]


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


def _inlined(value: Expression, source: Equation) -> Expression:
    # A pointwise expression binds no index, so no name can clash.
    def rule(node: Expression) -> Expression:
        if not isinstance(node, Access) or node.tensor is not source.tensor:
            return node
        table: dict[Index, Affine] = {
            left.single: read for left, read in zip(source.at, node.at, strict=True) if left.single is not None
        }
        return substitute(source.value, table)

    return transform(value, rule)
