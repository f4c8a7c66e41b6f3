"""Layout: which index lies innermost in memory, expressed as another program.

A layout is a rewriting of the equations, not a property of buffers: in the program that comes out, every tensor
lies in C order. Three layouts are offered for whole programs, two of them here and `channels` in `channels.py`:

* `images`: as written, images one after another (NCHW). Neighbours in memory are neighbours in a row.
* `batch`: the batch is cut into blocks of as many images as a vector has lanes, and the images of a block lie
  innermost: X[n,c,i,j] becomes X[B,c,i,j,n] with n < lanes. Every equation then works on whole vectors of images,
  so that 1, 4 or 6 channels waste nothing, and blocks depend on each other only in sums over the batch.

What the caller gives and gets stays as written: copies into and out of the blocks are equations too. The last block
may be part empty. Its empty images repeat the last one, so that nothing becomes infinite there that is finite in the
images that exist; before a sum over the batch they are masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pellucid.engines.native.channels import ChannelLayout
from pellucid.engines.native.product import sum_of_products
from pellucid.errors import UsageError
from pellucid.notation import Affine, Equation, Expression, Index, Program, Tensor
from pellucid.notation.expression import (
    Access,
    Add,
    Call,
    Const,
    Div,
    Mul,
    Position,
    Pow,
    Reduce,
    accesses,
    bound_indices,
    bracket,
    substitute,
    transform,
)
from pellucid.notation.index import box
from pellucid.notation.program import order
from pellucid.notation.selection import selection

BLOCK = "B"


def batched_tensors(program: Program) -> dict[Tensor, int] | None:
    """The tensors whose first dimension is the batch, or None where the batch is not simply passed through.

    The batch is the first dimension of the first input with more than one dimension; it must be addressed by one
    index alone wherever it appears, all of it, and nothing but sums may be taken over it.
    """
    first = next((t for t in program.of_role("input") if len(t.extents) > 1), None)
    if first is None:
        return None
    size = first.extents[0]
    batched = {t: 0 for t in program.of_role("input") if t.extents and t.extents[0] == size}
    batched |= dict.fromkeys(_drawn(program, size), 0)
    for equation in program:
        found = {a.at[0].single for a in accesses(equation.value) if a.tensor in batched}
        if None in found or len(found) > 1:
            return None
        index = next(iter(found), None)
        if index is None:
            continue
        inner = [a for r in accesses(equation.value) for a in (r.at[1:] if r.tensor in batched else r.at)]
        if any(index in a.indices for a in inner):
            return None
        if index in equation.indices:
            if equation.at[0].single != index or any(index in a.indices for a in equation.at[1:]):
                return None
            batched[equation.tensor] = 0
    return batched if all(_passes_through(e, batched, size) for e in program) else None


def _drawn(program: Program, size: int) -> list[Tensor]:
    """Tensors with a number for each image that follow from its place alone, as a dropout's mask does."""
    found = []
    for equation in program:
        first = equation.at[0].single if equation.at else None
        reads = [a for a in accesses(equation.value) if a.tensor.extents]
        if first is not None and first.size == size and not reads and equation.covers:
            places = {i for n in equation.value.walk() if isinstance(n, Position) for i in n.affine.indices}
            if first in places and not any(first in a.indices for a in equation.at[1:]):
                found.append(equation.tensor)
    return found


def _passes_through(equation: Equation, batched: Mapping[Tensor, int], size: int) -> bool:
    """Whether one index runs over the whole batch in all tensors of images that the equation reads and writes."""
    at = {a.at[0].single for a in (equation.left, *accesses(equation.value)) if a.tensor in batched}
    if not at:
        return True
    index = at.pop()
    if at or index is None or index.size != size:
        return False
    return all(n.kind == "sum" for n in equation.value.walk() if isinstance(n, Reduce) and index in n.indices)


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


LAYOUTS = ("images", "batch", "channels")

HANDICAPS = {"images": 1.3, "channels": 1.1}
"""Measured: rows as lanes load more for each multiply-add; channels need their weights packed and unpacked."""

SHARED = 3_000_000
"""Lane slots from which on several threads share the work; blocks of images are then what each of them takes."""

STRIDED = 4
"""What gathering elements that are not neighbours costs."""


def lane_use(extent: int, lanes: int) -> float:
    """The share of vector lanes that do something when an index of this extent runs over them."""
    return extent / (-(-extent // lanes) * lanes)


def possible(program: Program) -> tuple[str, ...]:
    """The layouts that a program can have."""
    return LAYOUTS if batched_tensors(program) is not None else LAYOUTS[:1]


def shared(program: Program) -> bool:
    """Whether several sums of products would share a layout, or none needs one: then a rough estimate will do."""
    return sum(sum_of_products(e) is not None for e in program) != 1


def choose(program: Program, lanes: int) -> tuple[str, str]:
    """The layout with the best use of lanes over all contractions, and the estimate in words."""
    batched = batched_tensors(program)
    if batched is None:
        return "images", "images: the batch is not simply passed through"
    size = next(iter(batched)).extents[0]
    work = dict.fromkeys(LAYOUTS, 0.0)
    for equation in program:
        reads = [a for a in (equation.left, *accesses(equation.value)) if a.tensor in batched]
        sums = [n for n in equation.value.walk() if isinstance(n, Reduce) and selection(n) is None]
        if not reads or not sums:
            continue
        over = [i for n in sums for i in n.indices]
        points = box(equation.indices) * sum(box(n.indices) for n in sums)
        inner = equation.indices if equation.tensor in batched else (*equation.indices, *over)
        work["images"] += points / _best_lane([a.at[-1] for a in reads], inner, lanes)
        work["batch"] += points / lane_use(size, lanes)
        work["channels"] += points / _best_lane([a.at[min(1, len(a.at) - 1)] for a in reads], inner, lanes)
    if work["batch"] > SHARED:
        work["batch"] *= _imbalance(-(-size // lanes))
    for name, handicap in HANDICAPS.items():
        work[name] *= handicap
    chosen = min(work, key=lambda name: work[name])
    use = ", ".join(f"{name} {value / 1e6:.2f}" for name, value in work.items())
    return chosen, f"{chosen}: millions of lane slots used by sums: {use}"


def _imbalance(blocks: int) -> float:
    """How much longer blocks take than their even share: between what it is for two workers and for four."""
    return sum(-(-blocks // workers) * workers / blocks for workers in (2, 4)) / 2


def _best_lane(last: list[Affine], inner: tuple[Index, ...], lanes: int) -> float:
    """The best use of lanes among the indices that walk through memory one element at a time."""
    best = 1 / lanes
    for index in inner:
        steps = {abs(a.coefficient(index)) for a in last}
        if 1 in steps:
            best = max(best, lane_use(index.size, lanes) / (1 if max(steps) == 1 else STRIDED))
    return best


def apply(program: Program, lanes: int, layout: str) -> Program:
    """The program in the layout of that name; UsageError for one that it cannot have."""
    program = _without_block(program)
    if layout == "images":
        return program
    batched = batched_tensors(program)
    if layout not in LAYOUTS or batched is None:
        raise UsageError(f"layout {layout!r}: this program can have {', '.join(possible(program))}")
    if layout == "channels":
        return ChannelLayout(program, lanes, batched).apply()
    return BatchLayout(program, lanes, batched).apply()


def _without_block(program: Program) -> Program:
    """Leave the name of the block index to the layout: an equation's own index of that name gets another."""

    def renamed(equation: Equation) -> Equation:
        names = {i.name: i for i in (*equation.indices, *bound_indices(equation.value))}
        if BLOCK not in names:
            return equation
        name = BLOCK
        while name in names:
            name += "'"
        table = {names[BLOCK]: Affine.of(Index(name, names[BLOCK].extent))}
        at = tuple(a.substitute(table) for a in equation.at)
        return Equation(equation.tensor, at, substitute(equation.value, table))

    return Program(tuple(map(renamed, program)), program.outputs, program.updates)


def with_room(program: Program) -> Program:
    """Given tensors that are read beyond their edges are copied first, to where there is a margin of zeros."""
    beyond = dict.fromkeys(
        read.tensor
        for equation in program
        for read in accesses(equation.value)
        if read.tensor.role != "defined"
        and read.outside == 0
        and any(a.bounds[0] < 0 or a.bounds[1] >= e for a, e in zip(read.at, read.tensor.extents, strict=True))
    )
    if not beyond:
        return program
    copies: dict[Tensor, Tensor] = {}
    for tensor in beyond:
        copy = Tensor(tensor.symbol, tensor.extents, kind=tensor.kind, name=f"{tensor.name} with room")
        at = tuple(Affine.of(Index(f"x{d + 1}", e)) for d, e in enumerate(tensor.extents))
        copy.definition = [Equation(copy, at, Access(tensor, at))]
        copies[tensor] = copy

    def rule(node: Expression) -> Expression:
        if isinstance(node, Access) and node.tensor in copies:
            return Access(copies[node.tensor], node.at, node.outside)
        return node

    moved = [Equation(e.tensor, e.at, transform(e.value, rule)) for e in program]
    return Program((*(c.definition[0] for c in copies.values()), *moved), program.outputs, program.updates)
