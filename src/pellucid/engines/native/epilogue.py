"""Where an epilogue stands between a sum and its store, and how vectors of a tensor are read and written there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llvmlite import ir

from pellucid.engines.native.contraction import Access
from pellucid.engines.native.emit import Emitter, Number


@dataclass(frozen=True)
class Place:
    """Where an epilogue stands: one vector of one output tile, with the operands it may read or write there.

    `load` and `store` take the name of an extra pointer and an access over the output indices. `bases` holds
    addresses that all places of one tile share: where the tile begins in each extra.
    """

    emitter: Emitter
    pointers: Mapping[str, ir.Value]
    values: Mapping[str, Number]
    point: Mapping[str, int]
    lane: str | None
    active: int
    bases: dict[tuple[str, Access], ir.Value]

    @property
    def lanes(self) -> int:
        return self.emitter.target.lanes

    def _address(self, name: str, access: Access) -> ir.Value:
        if (name, access) not in self.bases:
            total: Number = access.offset
            for index, value in self.values.items():
                total = self.emitter.add(total, self.emitter.multiply(value, access.stride(index)))
            self.bases[name, access] = self.emitter.advance(self.pointers[name], total)
        return self.emitter.advance(self.bases[name, access], access.at(self.point))

    def load(self, name: str, access: Access) -> ir.Value:
        """The elements of an extra tensor that belong to this vector (a scalar where lanes are summed)."""
        return load_vector(self.emitter, self._address(name, access), access, self.lane, self.active)

    def store(self, name: str, access: Access, value: ir.Value) -> None:
        store_vector(self.emitter, value, self._address(name, access), access, self.lane, self.active)


Epilogue = Callable[[Place, ir.Value], ir.Value]
"""Turns finished sums into what is stored: (place, value) -> value. A vector, or a scalar where lanes are
summed.
"""


def load_vector(emitter: Emitter, address: ir.Value, access: Access, lane: str | None, active: int) -> ir.Value:
    """The elements at an address for the first `active` lanes; a scalar without a lane."""
    if lane is None:
        return emitter.load_scalar(address)
    lanes, stride = emitter.target.lanes, access.stride(lane)
    if stride == 0:
        return emitter.splat(emitter.load_scalar(address), lanes)
    if stride == 1:
        return emitter.load(address, lanes, active)
    return emitter.load_strided(address, stride, lanes, active)


def store_vector(
    emitter: Emitter, value: ir.Value, address: ir.Value, access: Access, lane: str | None, active: int
) -> None:
    """Store the first `active` lanes, or a scalar without a lane."""
    if lane is None:
        emitter.store_scalar(value, address)
    elif access.stride(lane) == 1:
        emitter.store(value, address, active)
    else:
        emitter.store_strided(value, address, access.stride(lane), active)
