"""Gathering and scattering of blocks, by the whole numbers that select (`pellucid.notation.selection`)."""

from __future__ import annotations

import numpy as np

from pellucid.engines.numpy.block import Block
from pellucid.notation.index import Index


def gather(selected: Block, key: Index, block: Block) -> Block | None:
    """The block with `key` replaced by the numbers selected, those out of range by 0; None if it cannot be.

    >>> v, n, k = Index("v", 3), Index("n", 2), Index("k", 2)
    >>> gather(Block((n,), np.array([2, 0])), v, Block((v, k), np.arange(6).reshape(3, 2))).array.tolist()
    [[4, 5], [0, 1]]
    """
    if key not in block.axes:
        return block
    rest = tuple(i for i in block.axes if i != key)
    if set(rest) & set(selected.axes):
        return None
    rows = block.spread((key, *rest))
    return Block((*selected.axes, *rest), rows[np.clip(selected.array, 0, key.size - 1)])


def scatter(selected: Block, key: Index, value: Block, over: tuple[Index, ...]) -> Block | None:
    """The values summed by the number selected at each point of `over`; None if other indices are involved.

    >>> v, n = Index("v", 3), Index("n", 4)
    >>> selected, values = Block((n,), np.array([2, 0, 2, 9])), Block((n,), np.array([1.0, 2.0, 3.0, 4.0]))
    >>> scatter(selected, v, values, (n,)).array.tolist()
    [2.0, 0.0, 4.0]
    """
    if key in value.axes or set(selected.axes) != set(over):
        return None
    rest = tuple(i for i in value.axes if i not in over)
    numbers = selected.spread(over).reshape(-1)
    shape = [i.size for i in over] + [i.size for i in rest]
    rows = np.broadcast_to(value.spread((*over, *rest)), shape).reshape(len(numbers), *shape[len(over) :])
    inside = (numbers >= 0) & (numbers < key.size)
    total = np.zeros((key.size, *shape[len(over) :]), value.array.dtype)
    np.add.at(total, numbers[inside], rows[inside])
    return Block((key, *rest), total)
