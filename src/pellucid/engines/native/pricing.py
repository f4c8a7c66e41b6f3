"""What kernels should take, in cycles of one core: sums of products by the cost model, everything else by traffic."""

from __future__ import annotations

from collections.abc import Iterable

from pellucid.engines.native.contraction import complete
from pellucid.engines.native.cost import Model
from pellucid.engines.native.cpu import FLOATS_PER_LINE, Target, caches
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.product import Product, schedule_of

MOVED = 10
"""Cycles for each cache line that a loop nest reads or writes: between those of the last cache and those of memory."""


def price(kernels: Iterable[Kernel], target: Target) -> float:
    """The cycles of all kernels together."""
    return sum(_product(k, target) if isinstance(k, Product) else _nest(k) for k in kernels)


def _product(product: Product, target: Target) -> float:
    contraction, _, schedule = schedule_of(product, target)
    return Model(contraction, target, caches(), product.cold).estimate(complete(contraction, schedule, target)).cycles


def _nest(nest: Kernel) -> float:
    return MOVED * sum(tensor.size for tensor in nest.operands) / FLOATS_PER_LINE
