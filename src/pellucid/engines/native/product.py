"""Equations that contain one sum of products, as contractions with an epilogue.

The sum goes to the contraction generator; what surrounds it (a bias, a factor), and the equations chained to it (an
activation), are written between the sum and the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from llvmlite import ir

from pellucid.engines.native.batch import BLOCK
from pellucid.engines.native.contraction import Access as Strides
from pellucid.engines.native.contraction import Contraction, Loop, Schedule, Window, complete, merge
from pellucid.engines.native.cost import Model
from pellucid.engines.native.cpu import Target, caches
from pellucid.engines.native.epilogue import Place
from pellucid.engines.native.expression import Writer
from pellucid.engines.native.kernel import emit_contraction
from pellucid.engines.native.memory import Buffer
from pellucid.engines.native.schedule import choose
from pellucid.errors import NotationError
from pellucid.notation import Affine, Equation, Index, Tensor
from pellucid.notation.expression import Access, Call, Expression, Mul, Position, Reduce
from pellucid.notation.fingerprint import structure


def sum_of_products(equation: Equation) -> Reduce | None:
    """The one sum of products of two elements in an equation's value, if it has that form."""
    sums = [n for n in equation.value.walk() if isinstance(n, Reduce)]
    if len(sums) != 1 or sums[0].kind != "sum":
        return None
    match sums[0].body:
        case Mul((Access() as left, Access() as right)):
            used = {i for a in (*left.at, *right.at) for i in a.indices}
            if left.tensor.kind == right.tensor.kind == "float" and all(i in used for i in sums[0].indices):
                return sums[0]
    return None


CHEAP = frozenset({"maximum", "minimum", "sqrt", "constant"})
"""Functions short enough to be written once for each accumulator of a register tile."""


def chainable(value: Expression) -> bool:
    """Whether an epilogue can compute this: no further sums, no places as numbers, no long functions."""
    for node in value.walk():
        if isinstance(node, Position | Reduce) or (isinstance(node, Call) and node.function not in CHEAP):
            return False
        if isinstance(node, Access) and node.tensor.kind != "float":
            return False
    return True


@dataclass(frozen=True)
class Product:
    """A contraction kernel: its equation, the chain after it, what is stored beside the chain's last tensor."""

    equations: tuple[Equation, ...]
    stored: tuple[Tensor, ...]
    buffers: Mapping[Tensor, Buffer]
    block: Index | None = None

    @cached_property
    def sum(self) -> Reduce:
        found = sum_of_products(self.equations[0])
        assert found is not None
        return found

    @cached_property
    def factors(self) -> tuple[Access, Access]:
        body = self.sum.body
        assert isinstance(body, Mul)
        left, right = body.factors
        assert isinstance(left, Access) and isinstance(right, Access)
        return left, right

    @property
    def out(self) -> Tensor:
        """What the contraction itself stores: the last tensor of the chain."""
        return self.equations[-1].tensor

    @cached_property
    def cold(self) -> tuple[str, ...]:
        """The factors that the caller gives: what a kernel before this one has written is still in a cache."""
        return tuple(name for name, f in zip(("a", "b"), self.factors, strict=True) if f.tensor.role == "input")

    @cached_property
    def around(self) -> list[Access]:
        """What the epilogue reads, and then what it stores besides `out`."""
        chained = {e.tensor for e in self.equations}
        inside = set(map(id, self.sum.walk()))
        reads = [
            a for e in self.equations for a in e.value.walk()
            if isinstance(a, Access) and a.tensor not in chained and id(a) not in inside
        ]  # fmt: skip
        writes = [e.left for e in self.equations if e.tensor in self.stored and e.tensor is not self.out]
        return list(dict.fromkeys((*reads, *writes)))

    @cached_property
    def accesses(self) -> tuple[Access, ...]:
        """What is read and written, in the order of the kernel's pointer arguments."""
        return (self.equations[-1].left, *self.factors, *self.around)

    @cached_property
    def operands(self) -> tuple[Tensor, ...]:
        """The tensors of the pointer arguments."""
        return tuple(access.tensor for access in self.accesses)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """How far from its tensor's beginning (elements) each pointer points: kernels for other parts share code."""
        return tuple(self.buffers[access.tensor].place(access.at).constant for access in self.accesses)

    def strides(self, access: Access) -> Strides:
        """An access in terms of memory, counted from its own pointer."""
        place = self.buffers[access.tensor].place(access.at)
        return Strides({i.name: c for i, c in place.terms})

    def contraction(self) -> tuple[Contraction, tuple[Strides, ...]]:
        """The sum in terms of memory, without the block index, and the epilogue's accesses alike."""
        left, right = self.factors
        names = {i.name: i.size for i in (*self.equations[0].indices, *self.sum.indices)}
        out = self.equations[-1].left
        strides = [self.strides(a) for a in (out, left, right, *self.around)]
        if self.block is not None:
            del names[BLOCK]
            strides = [_without_block(s) for s in strides]
        return merge(Contraction(names, strides[0], strides[1], strides[2], windows=self.windows), strides[3:])

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """Where a factor is read beyond its tensor's edge, at a place that one index of each kind decides."""
        found: dict[str, Window] = {}
        places = [(a, e) for f in self.factors for a, e in zip(f.at, f.tensor.extents, strict=True) if f.outside == 0]
        for affine, extent in places:
            outer = [(i.name, c) for i, c in affine.terms if i in self.equations[0].indices]
            inner = [(i.name, c) for i, c in affine.terms if i in self.sum.indices]
            beyond = affine.bounds[0] < 0 or affine.bounds[1] >= extent
            if not beyond or len(outer) != 1 or len(inner) != 1:
                continue
            (x, step), (u, inner_step) = outer[0], inner[0]
            if x != BLOCK and x not in found and u not in found:
                found[x] = found[u] = Window(x, u, step, inner_step, affine.constant, extent)
        return tuple(dict.fromkeys(found.values()))

    def with_block(
        self, contraction: Contraction, extra: tuple[Strides, ...]
    ) -> tuple[Contraction, tuple[Strides, ...]]:
        """Put the block index back in front of everything else."""
        if self.block is None:
            return contraction, extra
        left, right = self.factors
        out = _with_block(contraction.out, self.strides(self.equations[-1].left))
        a, b = _with_block(contraction.a, self.strides(left)), _with_block(contraction.b, self.strides(right))
        extra = tuple(_with_block(s, self.strides(a)) for s, a in zip(extra, self.around, strict=True))
        extents = {BLOCK: self.block.size, **contraction.extents}
        return Contraction(extents, out, a, b, windows=contraction.windows), extra

    def describe(self) -> str:
        """The kernel's content as text, from which its code follows."""
        contraction, extra = self.with_block(*self.contraction())
        numbers = {access: number for number, access in enumerate(self.accesses)}
        equations = structure(self.equations, self.operands, lambda tensor: tensor in self.stored, numbers.get)
        return "\n".join((repr(self.block), repr(self.cold), repr(contraction), repr(extra), equations))


def _without_block(strides: Strides) -> Strides:
    return Strides({i: s for i, s in strides.strides.items() if i != BLOCK}, strides.offset)


def _with_block(strides: Strides, whole: Strides) -> Strides:
    return Strides({BLOCK: whole.stride(BLOCK), **strides.strides}, strides.offset)


SAVING = 0.98
"""A window is kept where it leaves a smaller part of the cost than this."""


def _windowed(
    contraction: Contraction, extra: tuple[Strides, ...], target: Target, cold: tuple[str, ...]
) -> tuple[Contraction, tuple[Strides, ...], Schedule]:
    """The windows that pay, and the schedule: an index in a window cannot be joined with its neighbours.

    Tried are all windows, those which the schedule for all makes use of, and none.
    """
    best: tuple[Contraction, tuple[Strides, ...], Schedule] | None = None
    least = 0.0
    tried: set[tuple[Window, ...]] = set()
    windows = contraction.windows
    while True:
        tried.add(windows)
        candidate, accesses = merge(replace(contraction, windows=windows), extra)
        model = Model(candidate, target, caches(), cold)
        schedule = choose(candidate, target, around=accesses, cold=cold)
        cycles = model.estimate(complete(candidate, schedule, target)).cycles
        if best is None or cycles * (SAVING if len(windows) < len(best[0].windows) else 1) < least:
            best, least = (candidate, accesses, schedule), cycles
        used = tuple(window for window in windows if model.share(window, schedule) < SAVING)
        windows = () if used in tried else used
        if windows in tried:
            return best


def schedule_of(product: Product, target: Target) -> tuple[Contraction, tuple[Strides, ...], Schedule]:
    """The contraction, its epilogue's accesses, and the schedule chosen for it; blocks, if any, are the tasks."""
    contraction, extra, schedule = _windowed(*product.contraction(), target, product.cold)
    if product.block is not None:
        order = (Loop(BLOCK), *schedule.order)
        schedule = Schedule(
            schedule.lane,
            schedule.vectors,
            schedule.tiles,
            order,
            schedule.reduce,
            1,
            schedule.unroll,
            schedule.partial,
        )
        contraction, extra = product.with_block(contraction, extra)
    return contraction, extra, schedule


def emit_product(
    module: ir.Module, name: str, product: Product, target: Target,
    contraction: Contraction, extra: tuple[Strides, ...], schedule: Schedule,
) -> ir.Function:  # fmt: skip
    """Add `void name(operands*..., i64 begin, i64 end)`; begin..end selects tasks."""
    names = tuple(f"extra{k}" for k in range(len(extra)))
    accesses_by_node = {access: (n, strides) for access, n, strides in zip(product.around, names, extra, strict=True)}
    plain = len(product.equations) == 1 and product.equations[0].value == product.sum

    def epilogue(place: Place, total: ir.Value) -> ir.Value:
        reader = _EpilogueReader(place, product, accesses_by_node, total)
        value = total
        for equation in product.equations:
            writer = Writer(place.emitter, reader)
            value = writer.float(equation.value)
            if isinstance(total.type, ir.VectorType):
                value = writer.spread(value, place.lanes)
            reader.known[equation.left] = value
            if equation.tensor in product.stored and equation.tensor is not product.out:
                place.store(*accesses_by_node[equation.left], value)
        return value

    return emit_contraction(
        module, name, contraction, schedule, target, epilogue=None if plain else epilogue, extras=names
    )


class _EpilogueReader:
    """Reads elements where an epilogue stands; the sum itself is known."""

    def __init__(
        self, place: Place, product: Product, strides: Mapping[Access, tuple[str, Strides]], total: ir.Value
    ) -> None:
        self.place, self.strides, self.total, self.product = place, strides, total, product
        self.known: dict[Access, ir.Value] = {}

    def access(self, node: Access) -> ir.Value:
        if node in self.known:
            return self.known[node]
        name, strides = self.strides[node]
        return self.place.load(name, strides)

    def position(self, affine: Affine) -> ir.Value:
        raise NotationError("an epilogue has no places as numbers")

    def reduction(self, node: Reduce) -> ir.Value:
        return self.total
