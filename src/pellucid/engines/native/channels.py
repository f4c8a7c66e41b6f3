"""The layout for wide layers: channels innermost (NHWC), weights packed for the way they are read.

X[n,c,i,j] becomes X[n,i,j,c], so that a vector holds neighbouring channels of one pixel. A sum of products reads its
weights with the index that runs over lanes innermost, in blocks of two vectors: W[o,c,u,v] becomes W[O,u,v,c,o] with
o = 32*O + o' on a 16-lane machine. A gradient by the weights is computed with its lanes innermost too, and then copied
to the order in which the caller keeps it.

What the caller gives and gets are images as ever. A sum of products that nothing else reads writes them itself, and the
larger factor of a 1x1 convolution is read as it is; what else is needed by channels is copied.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pellucid.engines.native.product import sum_of_products
from pellucid.notation import Affine, Equation, Expression, Index, Program, Tensor
from pellucid.notation.expression import Access, accesses, bound_indices, substitute, transform

IMAGES = 4  # dimensions of a tensor of images, and of a convolution's weights
NHWC = (0, 2, 3, 1)
NCHW = (0, 3, 1, 2)  # back from there
APART = 256  # elements: planes that are multiples of this apart share few of the caches' sets


def permuted(at: tuple[Affine, ...], order: tuple[int, ...]) -> tuple[Affine, ...]:
    """The address with its dimensions in another order."""
    return tuple(at[d] for d in order)


@dataclass
class ChannelLayout:
    """The rewriting to channels innermost."""

    program: Program
    lanes: int
    batched: dict[Tensor, int]
    moved: dict[Tensor, Tensor] = field(default_factory=dict)
    fresh: dict[Tensor, Tensor] = field(default_factory=dict)
    packed: dict[tuple[Tensor, tuple[int, ...], int], Tensor] = field(default_factory=dict)
    reads: Counter[Tensor] = field(default_factory=Counter)

    def apply(self) -> Program:
        for tensor in self.batched:
            if len(tensor.extents) == IMAGES:
                blocked = Tensor(
                    tensor.symbol,
                    tuple(tensor.extents[d] for d in NHWC),
                    kind=tensor.kind,
                    name=f"{tensor.name} by channels",
                )
                self.moved[tensor] = blocked
                if tensor.role != "defined":
                    blocked.definition = [_copy(blocked, Access(tensor, _every(tensor)), NHWC)]
        self.reads = Counter(access.tensor for equation in self.program for access in accesses(equation.value))
        for equation in self.program:
            self._rewrite(equation)
        outputs = [self._returned(t) for t in self.program.outputs]
        updates = [(old, self.fresh.get(new, new)) for old, new in self.program.updates]
        return Program.of(outputs, updates)

    def _returned(self, tensor: Tensor) -> Tensor:
        if tensor not in self.moved or tensor.role != "defined":
            return self.fresh.get(tensor, tensor)
        plain = Tensor(tensor.symbol, tensor.extents, kind=tensor.kind, name=tensor.name)
        defined = self.moved[tensor].definition
        if len(defined) == 1 and sum_of_products(defined[0]) is not None and not self.reads[tensor]:
            # Nobody else needs it: the sum of products turns its tiles before it stores them.
            plain.definition = [Equation(plain, permuted(defined[0].at, NCHW), defined[0].value)]
            return plain
        every = _every(tensor)
        plain.definition = [Equation(plain, every, Access(self.moved[tensor], permuted(every, NHWC)))]
        return plain

    def _target(self, tensor: Tensor) -> Tensor:
        if tensor in self.moved:
            return self.moved[tensor]
        again = Tensor(tensor.symbol, tensor.extents, kind=tensor.kind, name=tensor.name)
        return self.fresh.setdefault(tensor, again)

    def _rewrite(self, equation: Equation) -> None:
        target = self._target(equation.tensor)
        at = permuted(equation.at, NHWC) if equation.tensor in self.moved else equation.at
        value = transform(equation.value, self._moved_access)
        if sum_of_products(equation) is None:
            target.definition.append(Equation(target, at, value))
        elif equation.tensor in self.moved:
            target.definition.append(self._with_packed_weights(Equation(target, at, value)))
        elif len(equation.at) == IMAGES and equation.tensor not in self.batched and equation.covers:
            self._weight_gradient(Equation(target, at, value))
        else:
            target.definition.append(Equation(target, at, value))

    def _moved_access(self, node: Expression) -> Expression:
        if not isinstance(node, Access):
            return node
        if node.tensor in self.moved:
            return Access(self.moved[node.tensor], permuted(node.at, NHWC), node.outside)
        return Access(self.fresh.get(node.tensor, node.tensor), node.at, node.outside)

    def _with_packed_weights(self, equation: Equation) -> Equation:
        """Read the weights with the output channel's index innermost, block by block where it divides."""
        equation, given = self._as_given(equation)
        lane = next((i for i, c in equation.at[-1].terms if c == 1), None)
        images = {*self.moved.values(), given.tensor if given is not None else None}
        weights = [a for a in accesses(equation.value) if len(a.at) == IMAGES and a.tensor not in images]
        found = next((a for a in weights if lane is not None and any(lane in d.indices for d in a.at)), None)
        if lane is None or found is None:
            return equation
        dimension = next(d for d, a in enumerate(found.at) if lane in a.indices)
        order = (*(d for d in (2, 3, 0, 1) if d != dimension), dimension)
        alone = found.at[dimension].single == lane
        width = 2 * self.lanes if lane.size % (2 * self.lanes) == 0 else self.lanes
        if not alone or lane.size % width or lane.size == width:
            replacement = Access(self._pack(found.tensor, order, 0), permuted(found.at, order))
            return _replaced(equation, found, replacement)
        block, inner = _block(lane, lane.size // width, equation), Index(lane.name, width)
        place = permuted(found.at, order)
        replacement = Access(self._pack(found.tensor, order, width), (Affine.of(block), *place[:-1], Affine.of(inner)))
        return self._split(_replaced(equation, found, replacement), lane, block * width + inner, replacement)

    def _pack(self, tensor: Tensor, order: tuple[int, ...], width: int) -> Tensor:
        key = (tensor, order, width)
        if key not in self.packed:
            extents = tuple(tensor.extents[d] for d in order)
            if width:
                extents = (extents[-1] // width, *extents[:-1], width)
            copy = Tensor(tensor.symbol, extents, kind=tensor.kind, name=f"{tensor.name} packed {order} {width}")
            inside = [Index(f"x{d}", tensor.extents[d]) for d in order]
            if width:
                block, inner = Index("xb", extents[0]), Index("xl", width)
                at = (block * 1, *map(Affine.of, inside[:-1]), Affine.of(inner))
                source = dict(zip(order[:-1], map(Affine.of, inside[:-1]), strict=True))
                source[order[-1]] = block * width + inner
            else:
                at = tuple(map(Affine.of, inside))
                source = dict(zip(order, at, strict=True))
            copy.definition = [Equation(copy, at, Access(tensor, tuple(source[d] for d in range(IMAGES))))]
            self.packed[key] = copy
        return self.packed[key]

    def _weight_gradient(self, equation: Equation) -> None:
        """Compute with the wider of both channel indices innermost; copy to the usual order.

        If a factor stays as it is given, the other's channels are innermost.
        """
        wider = 0 if equation.tensor.extents[0] >= equation.tensor.extents[1] else 1
        equation, given = self._as_given(equation)
        if given is not None:
            wider = 0 if equation.at[1].single in given.at[1].indices else 1
        order = (2, 3, 1, 0) if wider == 0 else (2, 3, 0, 1)
        inner = Tensor(
            equation.tensor.symbol,
            tuple(equation.tensor.extents[d] for d in order),
            name=f"{equation.tensor.name} by channels",
        )
        inner.definition = [self._in_blocks(Equation(inner, permuted(equation.at, order), equation.value))]
        every = _every(equation.tensor)
        equation.tensor.definition.append(Equation(equation.tensor, every, Access(inner, permuted(every, order))))

    def _as_given(self, equation: Equation) -> tuple[Equation, Access | None]:
        """Read the larger factor as the caller gives it, if nothing else needs a copy: the equation, and this factor.

        Every pixel must be read at its own place, as in 1x1 convolutions and, of the incoming gradient, in any gradient
        by the weights. Lanes run over the other factor's channels while a register tile goes along a plane, or through
        several planes at once. Planes a large power of two apart would meet in a few sets of the caches.
        """
        found: list[tuple[int, Access, Access]] = []
        width = 2 * self.lanes
        factors = list(accesses(equation.value))
        for factor in factors:
            original = next((old for old, new in self.moved.items() if new is factor.tensor), None)
            if original is None or original.role == "defined" or self.reads[original] > 1:
                continue
            pixels = zip(factor.at[1:3], factor.tensor.extents[1:3], strict=True)
            alone = all(sum(i.size > 1 for i in a.indices) <= 1 and a.bounds == (0, e - 1) for a, e in pixels)
            others = [a.tensor.extents[-1] for a in factors if a != factor and a.tensor in self.moved.values()]
            if alone and original.extents[2] * original.extents[3] % APART and min(others, default=width) >= width:
                found.append((original.size, factor, Access(original, permuted(factor.at, NCHW))))
        if not found:
            return equation, None
        _, factor, given = max(found, key=lambda entry: entry[0])
        return _replaced(equation, factor, given), given

    def _in_blocks(self, equation: Equation) -> Equation:
        """Read the factor that runs over lanes from blocks of channels, each block's pixels next to each other.

        Pixels that lie a power of two apart would meet in the same few sets of the first cache.
        """
        lane, width = equation.at[-1].single, 2 * self.lanes
        found = next((a for a in accesses(equation.value) if lane is not None and a.at[-1].single == lane), None)
        if lane is None or found is None or lane.size % width or lane.size == width:
            return equation
        blocks = self._blocked(found.tensor, width)
        block, inner = _block(lane, lane.size // width, equation), Index(lane.name, width)
        replacement = Access(blocks, (Affine.of(block), *found.at[:-1], Affine.of(inner)))
        return self._split(_replaced(equation, found, replacement), lane, block * width + inner, replacement)

    def _blocked(self, tensor: Tensor, width: int) -> Tensor:
        """A copy of a tensor of images with blocks of `width` channels outermost."""
        key = (tensor, NHWC, width)
        if key not in self.packed:
            *pixels, channels = tensor.extents
            copy = Tensor(
                tensor.symbol,
                (channels // width, *pixels, width),
                kind=tensor.kind,
                name=f"{tensor.name} in blocks of {width}",
            )
            block, inner = Index("xb", channels // width), Index("xl", width)
            at = tuple(Affine.of(Index(f"x{d}", extent)) for d, extent in enumerate(pixels))
            source = Access(tensor, (*at, block * width + inner))
            copy.definition = [Equation(copy, (Affine.of(block), *at, Affine.of(inner)), source)]
            self.packed[key] = copy
        return self.packed[key]

    def _split(self, equation: Equation, lane: Index, place: Affine, written: Access) -> Equation:
        """Put block and inner index in the lane's place, everywhere but in an access already written so."""
        table = {lane: place}
        at = tuple(a.substitute(table) for a in equation.at)
        return Equation(equation.tensor, at, _substituted(equation.value, table, written))


def _every(tensor: Tensor) -> tuple[Affine, ...]:
    names = {IMAGES: "ncij"}.get(len(tensor.extents))
    return tuple(Affine.of(Index(names[d] if names else f"x{d}", e)) for d, e in enumerate(tensor.extents))


def _copy(target: Tensor, source: Access, order: tuple[int, ...]) -> Equation:
    return Equation(target, permuted(source.at, order), source)


def _block(lane: Index, size: int, equation: Equation) -> Index:
    """An index for blocks of the lane: its name in capitals, or the first that the equation does not use already."""
    used = {i.name for i in (*equation.indices, *bound_indices(equation.value))}
    name = lane.name.upper()
    while name in used:
        name += "'"
    return Index(name, size)


def _replaced(equation: Equation, old: Access, new: Access) -> Equation:
    value = transform(equation.value, lambda node: new if node == old else node)
    return Equation(equation.tensor, equation.at, value)


def _substituted(value: Expression, table: dict[Index, Affine], keep: Access) -> Expression:
    """Replace indices everywhere but in one access that is written in the new ones already."""

    def rule(node: Expression) -> Expression:
        if node == keep or node.children:
            return node
        return substitute(node, table)

    return transform(value, rule)
