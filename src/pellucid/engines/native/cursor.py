"""Where the loops of a contraction stand, and how they move on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from llvmlite import ir

from pellucid.engines.native.contraction import Contraction
from pellucid.engines.native.emit import Emitter, Number


@dataclass(frozen=True)
class State:
    """What is known at one point of the loop nest.

    ranges     index -> [begin, end) still to be covered by inner loops
    values     index -> where the register tile starts
    sizes      index -> how many values the register tile covers (static)
    pointers   tensor -> address with all indices in `values` applied
    """

    ranges: Mapping[str, tuple[Number, Number]]
    values: Mapping[str, Number]
    sizes: Mapping[str, int]
    pointers: Mapping[str, ir.Value]


class Cursor:
    """Moves through the index space of one contraction, emitting the loops that do so."""

    def __init__(self, contraction: Contraction, emitter: Emitter) -> None:
        self.contraction, self.emitter = contraction, emitter

    def start(self, arguments: Mapping[str, ir.Value]) -> State:
        """Before all loops: the whole of each index lies ahead."""
        return State(
            ranges={index: (0, extent) for index, extent in self.contraction.extents.items()},
            values={},
            sizes={},
            pointers={
                name: self.emitter.advance(arguments[name], access.offset)
                for name, access in self.contraction.operands.items()
            },
        )

    def narrow(self, state: State, index: str, begin: Number, end: Number) -> State:
        """Inner loops over `index` cover begin..end only."""
        return replace(state, ranges={**state.ranges, index: (begin, end)})

    def fix(self, state: State, index: str, value: Number, size: int) -> State:
        """The register tile starts at `value` of `index` and covers `size` of its values."""
        e, pointers, ranges = self.emitter, dict(state.pointers), dict(state.ranges)
        for name, access in self.contraction.operands.items():
            pointers[name] = e.advance(pointers[name], e.multiply(value, access.stride(index)))
        for pair in self.contraction.ragged:
            if pair.block == index:
                inner = self.contraction.extents[pair.inner]
                begin, end = ranges[pair.inner]
                left = e.add(e.multiply(value, -inner), pair.extent)
                ranges[pair.inner] = (begin, e.minimum(end, left) if pair.extent % inner else end)
        return State(ranges, {**state.values, index: value}, {**state.sizes, index: size}, pointers)

    def register_loop(self, state: State, index: str, step: int) -> Iterator[tuple[Number, int]]:
        """Full tiles of an index, then what is left over: yields (start, size) while the loop is open.

        What is left depends only on where the index ends, because blocks are multiples of the tile.
        """
        e, (begin, end) = self.emitter, state.ranges[index]
        if isinstance(begin, int) and isinstance(end, int):
            whole: Number = begin + (end - begin) // step * step
        else:
            whole = e.add(end, 1 - step)
        if not isinstance(whole, int) or whole > 0:
            with e.loop(begin, whole, step) as value:
                yield value, step
        for stop in self.contraction.stops(index):
            rest = stop - stop % step
            here = e.both(e.equal(end, stop), e.at_most(begin, rest))
            if stop % step and here is not False:
                with e.when(here):
                    yield rest, stop % step
