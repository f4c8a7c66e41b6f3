"""The layout for narrow networks: the batch in blocks of as many images as a vector has lanes, images innermost.

X[n,c,i,j] becomes X[B,c,i,j,n] with n < lanes. Every equation then works on whole vectors of images, so that 1, 4 or 6
channels waste nothing, and blocks depend on each other only in sums over the batch.

The last block may be part empty. Its empty images repeat the last one, so that nothing becomes infinite there that is
finite in the images that exist; before a sum over the batch they are masked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pellucid.notation import Affine, Equation, Expression, Index, Program, Tensor
from pellucid.notation.expression import (
    Access,
    Add,
    Call,
    Const,
    Div,
    Mul,
    Pow,
    Reduce,
    accesses,
    bound_indices,
    bracket,
    substitute,
    transform,
)
from pellucid.notation.program import order

BLOCK = "B"


@dataclass
class BatchLayout:
    """The rewriting to blocks of images, lanes innermost."""

    program: Program
    lanes: int
    batched: dict[Tensor, int]
    moved: dict[Tensor, Tensor] = field(default_factory=dict)
    repeats: dict[Tensor, Equation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.size = next(iter(self.batched)).extents[0]
        self.blocks = -(-self.size // self.lanes)
        self.block = Index(BLOCK, self.blocks)

    @property
    def ragged(self) -> bool:
        return self.size % self.lanes != 0

    def apply(self) -> Program:
        for tensor in self.batched:
            blocked = Tensor(
                tensor.symbol,
                (self.blocks, *tensor.extents[1:], self.lanes),
                kind=tensor.kind,
                name=f"{tensor.name} in blocks",
            )
            self.moved[tensor] = blocked
            if tensor.role == "input":
                blocked.definition = self._pack(tensor, blocked)
        fresh: dict[Tensor, Tensor] = {}
        for equation in self.program:
            target = self.moved.get(equation.tensor) or fresh.setdefault(equation.tensor, _again(equation.tensor))
            target.definition.append(self._rewrite(equation, target, fresh))
        if self.ragged:
            self._mask_sums([*self.moved.values(), *fresh.values()])
        wanted = [t for t in self.program.outputs if t.role == "defined"]
        unpacked = {t: self._unpack(t) if t in self.moved else fresh[t] for t in wanted}
        outputs = [unpacked.get(t, t) for t in self.program.outputs]
        updates = [(old, fresh.get(new, new)) for old, new in self.program.updates]
        return Program.of(outputs, updates)

    def _lane(self, index: Index) -> Index:
        return Index(index.name, self.lanes)

    def _rewrite(self, equation: Equation, target: Tensor, fresh: dict[Tensor, Tensor]) -> Equation:
        batch = {a.at[0].single for a in (equation.left, *accesses(equation.value)) if a.tensor in self.batched}
        index = next(iter(batch), None)
        place: dict[Index, Affine] = {}
        if index is not None:
            place = {index: self.block * self.lanes + self._lane(index)}

        def rule(node: Expression) -> Expression:
            if isinstance(node, Access):
                if node.tensor in self.moved and index is not None:
                    at = (Affine.of(self.block), *node.at[1:], Affine.of(self._lane(index)))
                    return Access(self.moved[node.tensor], at, node.outside)
                return Access(fresh.get(node.tensor, node.tensor), node.at, node.outside)
            if isinstance(node, Reduce) and index in node.indices:
                over = tuple(i for i in node.indices if i != index)
                return Reduce(node.kind, (self.block, *over, self._lane(index)), node.body, node.ties)
            return substitute(node, place) if place and not node.children else node

        assert index is not None or equation.tensor not in self.moved
        value = transform(equation.value, rule)
        if equation.tensor in self.moved and index is not None:
            return Equation(target, (Affine.of(self.block), *equation.at[1:], Affine.of(self._lane(index))), value)
        return Equation(target, equation.at, value)

    def _parts(self) -> list[tuple[Affine, Affine, Index]]:
        """(image, block, lane) for the full blocks, and for what is left in the last."""
        full, rest = divmod(self.size, self.lanes)
        parts = []
        if full:
            block, lane = Index(BLOCK, full), Index("n", self.lanes)
            parts.append((block * self.lanes + lane, Affine.of(block), lane))
        if rest:
            lane = Index("n", rest)
            parts.append((lane + full * self.lanes, Affine.of(full), lane))
        return parts

    def _pack(self, tensor: Tensor, blocked: Tensor) -> list[Equation]:
        inner = tuple(Affine.of(Index(f"x{d}", e)) for d, e in enumerate(tensor.extents[1:], 1))
        pack = [
            Equation(blocked, (block, *inner, Affine.of(lane)), Access(tensor, (image, *inner)))
            for image, block, lane in self._parts()
        ]
        rest = self.size % self.lanes
        if rest:
            lane = Index("n", self.lanes - rest) + rest
            last = Access(tensor, (Affine.of(self.size - 1), *inner))
            self.repeats[blocked] = Equation(blocked, (Affine.of(self.blocks - 1), *inner, lane), last)
            pack.append(self.repeats[blocked])
        return pack

    def _unpack(self, tensor: Tensor) -> Tensor:
        plain = Tensor(tensor.symbol, tensor.extents, kind=tensor.kind, name=tensor.name)
        inner = tuple(Affine.of(Index(f"x{d}", e)) for d, e in enumerate(tensor.extents[1:], 1))
        plain.definition = [
            Equation(plain, (image, *inner), Access(self.moved[tensor], (block, *inner, Affine.of(lane))))
            for image, block, lane in self._parts()
        ]
        return plain

    def _mask_sums(self, tensors: Iterable[Tensor]) -> None:
        """Empty images must add nothing to sums over the batch: one factor of each such sum is 0 there."""
        zero: set[Tensor] = set()
        ordered = order(t for t in tensors if t.definition)
        for tensor in ordered:
            if tensor in self.moved.values() and all(_vanishes(e.value, zero) for e in tensor.definition):
                zero.add(tensor)
            for number, equation in enumerate(tensor.definition):
                if any(i.name == BLOCK for i in bound_indices(equation.value)):
                    value = self._masked(equation.value, zero, ordered)
                    tensor.definition[number] = Equation(tensor, equation.at, value)

    def _masked(self, value: Expression, zero: set[Tensor], ordered: list[Tensor]) -> Expression:
        def rule(node: Expression) -> Expression:
            if not isinstance(node, Reduce) or self.block not in node.indices or _vanishes(node.body, zero):
                return node
            lane = node.indices[-1]
            product = node.body
            candidates = [
                f.tensor
                for f in (product.factors if isinstance(product, Mul) else (product,))
                if isinstance(f, Access) and f.tensor in self.moved.values() and not _divides(f.tensor, ordered)
            ]
            if candidates:
                chosen = min(candidates, key=lambda t: t.size)
                self._mask_definition(chosen)
                zero.add(chosen)
                return node
            inside = bracket(self.block * self.lanes + lane, "<", self.size)
            return Reduce(node.kind, node.indices, Mul((inside, node.body)), node.ties)

        return transform(value, rule)

    def _mask_definition(self, tensor: Tensor) -> None:
        """What a tensor holds for images that do not exist is nobody's; make it 0."""
        if tensor in self.repeats:
            tensor.definition.remove(self.repeats[tensor])  # what no equation writes is 0
            return
        for number, equation in enumerate(tensor.definition):
            lane = equation.at[-1].single
            assert lane is not None
            inside = bracket(self.block * self.lanes + lane, "<", self.size)
            tensor.definition[number] = Equation(tensor, equation.at, Mul((inside, equation.value)))


def _divides(tensor: Tensor, ordered: Iterable[Tensor]) -> bool:
    """Whether zeros in the tensor could make infinite what is computed from it."""
    reached = {tensor}
    for later in ordered:
        for equation in later.definition:
            if any(a.tensor in reached for a in accesses(equation.value)):
                if any(_fragile(node, reached) for node in equation.value.walk()):
                    return True
                reached.add(later)
    return False


def _fragile(node: Expression, reached: set[Tensor]) -> bool:
    """Whether the node divides by one of these tensors, or takes its logarithm."""
    match node:
        case Div(_, part) | Call("log", (part,)):
            pass
        case Pow(part, exponent) if not (isinstance(exponent, Const) and exponent.value >= 0):
            pass
        case _:
            return False
    return any(a.tensor in reached for a in accesses(part))


def _again(tensor: Tensor) -> Tensor:
    """An undefined tensor like this one."""
    return Tensor(tensor.symbol, tensor.extents, kind=tensor.kind, name=tensor.name)


def _vanishes(node: Expression, zero: set[Tensor]) -> bool:
    """Whether the expression is 0 wherever these tensors are, everything else being finite."""
    match node:
        case Access(tensor):
            return tensor in zero
        case Mul(factors):
            return any(_vanishes(f, zero) for f in factors)
        case Div(numerator, _):
            return _vanishes(numerator, zero)
        case Add(terms):
            return all(_vanishes(t, zero) for t in terms)
        case Reduce("sum", _, body):
            return _vanishes(body, zero)
    return False
