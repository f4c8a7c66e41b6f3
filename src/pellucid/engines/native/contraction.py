"""Sums of products, apart from how they are computed.

    out[f(i)] (+)= sum over reduction indices of  a[g(i)] * b[h(i)]        f, g, h affine in the indices

Convolutions, their two gradients, dense layers and theirs are all of this form and differ in strides only. A
`Contraction` says what is computed, a `Schedule` says how. No schedule changes which elements are read or
written; only the order in which the products of one output element are added depends on it. `kernel` turns
the two into machine code, `cost` estimates what they take, and `schedule` chooses.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Literal

from pellucid.engines.native.cpu import Target


@dataclass(frozen=True)
class Access:
    """Where an element lies: `offset` + the sum of index * stride, in elements from the tensor's base
    pointer.
    """

    strides: Mapping[str, int]
    offset: int = 0

    def stride(self, index: str) -> int:
        return self.strides.get(index, 0)

    def at(self, point: Mapping[str, int]) -> int:
        """The distance (elements) that the static index values of `point` add."""
        return sum(self.stride(index) * value for index, value in point.items())

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.strides.items())), self.offset))


@dataclass(frozen=True)
class Ragged:
    """An index stored as (block, inner): only block * size(inner) + inner < extent exists; the rest is never
    touched.
    """

    block: str
    inner: str
    extent: int


@dataclass(frozen=True)
class Window:
    """A factor that is zero wherever `offset + outer_stride * outer + inner_stride * inner` leaves 0 .. extent-1.

    `outer` is an index of the output and `inner` one that is summed over: the halo that a padded convolution reads,
    or that the gradient by a convolution's input reads. Products with the halo may be left out; all others are
    added, in the same order. What is left out is the zero itself, so that 0 * infinity adds 0 there and not NaN.
    """

    outer: str
    inner: str
    outer_stride: int
    inner_stride: int
    offset: int
    extent: int

    @cached_property
    def rising(self) -> Window:
        """The same window with a positive inner stride: counted from the other end if need be."""
        if self.inner_stride > 0:
            return self
        return replace(
            self,
            outer_stride=-self.outer_stride,
            inner_stride=-self.inner_stride,
            offset=self.extent - 1 - self.offset,
        )

    def inside(self, first: int, last: int, extent: int) -> range:
        """The values of `inner` below `extent` for which any `outer` from `first` to `last` is inside."""
        window = self.rising
        low, high = sorted(window.offset + window.outer_stride * value for value in (first, last))
        begin = max(0, window.inner_stride - 1 - high) // window.inner_stride
        end = max(0, window.extent - 1 + window.inner_stride - low) // window.inner_stride
        return range(begin, max(begin, min(end, extent)))


@dataclass(frozen=True)
class Contraction:
    """What is computed. Indices without a stride in `out` are summed over.

    `initial` is the value a sum starts from: zero, the present content of `out`, or an element of a further
    tensor (a bias, given by its access). Distinct index values must lead to distinct elements of `out`.
    `windows` tell which products are known to be zero; an index takes part in one of them at most.
    """

    extents: Mapping[str, int]
    out: Access
    a: Access
    b: Access
    initial: Literal["zero", "out"] | Access = "zero"
    ragged: tuple[Ragged, ...] = ()
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        for name, access in self.operands.items():
            for index in access.strides:
                if index not in self.extents:
                    raise ValueError(f"contraction: {name} uses index '{index}'; there are {list(self.extents)}")
        for index, extent in self.extents.items():
            if extent < 1:
                raise ValueError(f"contraction: index '{index}' must have extent >= 1, got {extent}")
        for pair in self.ragged:
            size, given = self.extents[pair.inner], self.extents[pair.block]
            blocks = -(-pair.extent // size)
            if given != blocks:
                raise ValueError(
                    f"contraction: {pair.extent} elements in blocks of {size} are {blocks} blocks, "
                    f"but index '{pair.block}' has extent {given}"
                )
        self._check_windows()

    def _check_windows(self) -> None:
        used = {index for pair in self.ragged for index in (pair.block, pair.inner)}
        for window in self.windows:
            names = (window.outer, window.inner)
            summed = [index in self.reduction for index in names]
            if any(index not in self.extents for index in names) or summed != [False, True]:
                raise ValueError(
                    f"contraction: a window needs an index of the output and one that is summed over, got {names}"
                )
            if used & set(names):
                raise ValueError(f"contraction: an index of window {names} is in another window or ragged already")
            if window.outer_stride == 0 or window.inner_stride == 0:
                raise ValueError(f"contraction: both indices of window {names} must move it, strides are not 0")
            used |= set(names)

    @cached_property
    def operands(self) -> dict[str, Access]:
        """The tensors in the order of the kernel's pointer arguments."""
        operands = {"out": self.out, "a": self.a, "b": self.b}
        return operands if isinstance(self.initial, str) else operands | {"initial": self.initial}

    @cached_property
    def reduction(self) -> tuple[str, ...]:
        return tuple(index for index in self.extents if self.out.stride(index) == 0)

    def row(self, lane: str) -> str | None:
        """Where neighbouring lanes of the result lie apart: the index along which its neighbours in memory lie.

        A register tile over both is turned before it is stored. None where lanes are neighbours or summed over.
        """
        if self.out.stride(lane) in (0, 1):
            return None
        return next((i for i in self.extents if i != lane and self.out.stride(i) == 1 and self.extents[i] > 1), None)

    @cached_property
    def multiply_adds(self) -> int:
        """Exact number of products that are not known to be zero."""
        total = prod(self.extents.values())
        for pair in self.ragged:
            total = total // (self.extents[pair.block] * self.extents[pair.inner]) * pair.extent
        for window in self.windows:
            outer, inner = self.extents[window.outer], self.extents[window.inner]
            total = total // (outer * inner) * sum(len(window.inside(x, x, inner)) for x in range(outer))
        return total

    def stops(self, index: str) -> tuple[int, ...]:
        """The possible ends of an index: its extent and, inside ragged blocks, that of the last block."""
        ends = {self.extents[index]}
        for pair in self.ragged:
            if pair.inner == index and pair.extent % self.extents[index]:
                ends.add(pair.extent % self.extents[index])
        return tuple(sorted(ends))


def merge(contraction: Contraction, others: Sequence[Access] = ()) -> tuple[Contraction, tuple[Access, ...]]:
    """The same sum with neighbouring indices joined: (p, q) becomes one index wherever p moves by q's full
    extent.

    A 1x1 convolution becomes a matrix product this way, and a kernel row with its channels one long loop.
    `others` are accesses an epilogue uses; an index is joined only where they allow it, and they are returned
    rewritten.
    """
    extents = dict(contraction.extents)
    strides = [dict(access.strides) for access in (*contraction.operands.values(), *others)]
    fixed = {index for pair in contraction.ragged for index in (pair.block, pair.inner)}
    fixed |= {index for window in contraction.windows for index in (window.outer, window.inner)}
    summed = set(contraction.reduction)
    joined = True
    while joined:
        joined = False
        for p, q in itertools.permutations([index for index in extents if index not in fixed], 2):
            if (p in summed) == (q in summed) and all(
                each.get(p, 0) == each.get(q, 0) * extents[q] for each in strides
            ):
                extents[q] *= extents.pop(p)
                strides = [{index: stride for index, stride in each.items() if index != p} for each in strides]
                joined = True
                break
    accesses = [
        Access(each, access.offset)
        for each, access in zip(strides, (*contraction.operands.values(), *others), strict=True)
    ]
    initial = contraction.initial if isinstance(contraction.initial, str) else accesses[3]
    count = len(contraction.operands)
    out, a, b = accesses[:3]
    result = Contraction(extents, out, a, b, initial, contraction.ragged, contraction.windows)
    return result, tuple(accesses[count:])


@dataclass(frozen=True)
class Loop:
    """An outer loop over `index` in steps of `step`; several loops over one index nest (cache blocks)."""

    index: str
    step: int = 1

    def __str__(self) -> str:
        return self.index if self.step == 1 else f"{self.index}:{self.step}"


@dataclass(frozen=True)
class Schedule:
    """How it is computed.

    lane       the index whose neighbours share a vector; if it is summed over, lanes are added at the end; if its
               results lie apart, the tile is turned in registers and stored along another of its indices
    vectors    vectors of the lane index in the register tile
    tiles      register tile of further indices: accumulators = vectors * product of tiles
    order      outer loops, outermost first; the first `parallel` of them are flattened into tasks that can be
               computed by anyone in any order. A loop over a reduction index is a cache block: partial sums
               rest in `out`
    reduce     reduction loops inside the register tile, outermost first
    unroll     copies of the innermost reduction body; loads are shared between the copies
    partial    independent partial sums the copies are dealt to (hides the latency of few accumulators)
    """

    lane: str
    vectors: int = 1
    tiles: Mapping[str, int] = field(default_factory=dict)
    order: tuple[Loop, ...] = ()
    reduce: tuple[str, ...] = ()
    parallel: int = 1
    unroll: int = 1
    partial: int = 1

    def __str__(self) -> str:
        tiles = " ".join(f"{index}:{size}" for index, size in self.tiles.items())
        outer = " ".join(f"{'|' if k == self.parallel else ''}{loop}" for k, loop in enumerate(self.order))
        reduce = " ".join(self.reduce)
        text = f"lane {self.lane} x {self.vectors}, tile [{tiles}], outer [{outer}], reduce [{reduce}]"
        text += f", unroll {self.unroll}" if self.unroll > 1 else ""
        return text + (f", partial sums {self.partial}" if self.partial > 1 else "")

    def __hash__(self) -> int:
        return hash(str(self))

    def step(self, index: str, lanes: int) -> int:
        """How many values of an index one register tile covers."""
        return self.vectors * lanes if index == self.lane else self.tiles.get(index, 1)


def tasks(contraction: Contraction, schedule: Schedule) -> int:
    """Number of independent tasks; the kernel's (begin, end) arguments select a range of them."""
    return prod(-(-contraction.extents[loop.index] // loop.step) for loop in schedule.order[: schedule.parallel])


def complete(contraction: Contraction, schedule: Schedule, target: Target) -> Schedule:
    """The schedule with every loop spelled out; raises ValueError where it does not fit the contraction."""
    lanes, out = target.lanes, [i for i in contraction.extents if i not in contraction.reduction]
    order = list(schedule.order)
    reduce = schedule.reduce + tuple(i for i in contraction.reduction if i not in schedule.reduce)
    for index in out:
        step = schedule.step(index, lanes)
        steps = [loop.step for loop in order if loop.index == index]
        if not steps or steps[-1] != step:
            order.append(Loop(index, step))
            steps.append(step)
        for coarse, fine in itertools.pairwise(steps):
            if coarse % fine:
                raise ValueError(f"schedule: blocks of {coarse} over '{index}' must be a multiple of {fine}")
    done = replace(schedule, order=tuple(order), reduce=reduce)
    _check(contraction, done, lanes)
    return done


def _check(contraction: Contraction, schedule: Schedule, lanes: int) -> None:
    known = contraction.extents
    named = [schedule.lane, *schedule.tiles, *schedule.reduce, *(loop.index for loop in schedule.order)]
    for index in named:
        if index not in known:
            raise ValueError(f"schedule: no index '{index}' in this contraction; there are {list(known)}")
    for index in schedule.tiles:
        if index in contraction.reduction or index == schedule.lane:
            raise ValueError(f"schedule: '{index}' cannot be tiled: tile indices of the output that are not the lane")
    for loop in schedule.order[: schedule.parallel]:
        if loop.index in contraction.reduction:
            raise ValueError(f"schedule: parallel loop over '{loop.index}', which is summed over; make it a later loop")
    shared = [loop.index for loop in schedule.order[: schedule.parallel]]
    if len(set(shared)) < len(shared):
        raise ValueError(f"schedule: parallel loops {shared} name an index twice; block it after them")
    if schedule.lane in contraction.reduction and schedule.vectors != 1:
        raise ValueError("schedule: a lane that is summed over takes one vector")
    if schedule.unroll % schedule.partial:
        raise ValueError(f"schedule: unroll {schedule.unroll} must be a multiple of partial {schedule.partial}")
    for pair in contraction.ragged:
        if schedule.step(pair.block, lanes) != 1:
            raise ValueError(f"schedule: '{pair.block}' numbers ragged blocks and cannot be tiled")
        places = [loop.index for loop in schedule.order] + list(schedule.reduce)
        if places.index(pair.inner) < len(places) - 1 - places[::-1].index(pair.block):
            raise ValueError(f"schedule: loop over '{pair.block}' before '{pair.inner}', its inner part")
