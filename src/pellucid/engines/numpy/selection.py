"""Selections: sums in which a bracket `[v == T[n]]` holds for a single v read that element instead of summing.

sum(v) [v == T[n]] * W[v,k]        a gather: row T[n] of W, and 0 where T[n] is none of the v
sum(n) [v == T[n]] * G[n,k]        a scatter: G's rows added up by the number in T, at every v
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.engines.numpy.block import Block
from pellucid.notation.expression import Access, Bracket, Expression, Position
from pellucid.notation.index import Index


@dataclass(frozen=True)
class Selection:
    """The bracket `[key == number]` of a sum, `number` being an element of a tensor of whole numbers."""

    key: Index
    number: Access

    @staticmethod
    def of(brackets: list[Expression]) -> tuple[Selection, list[Expression]] | None:
        """The first selecting bracket, and the other brackets; None if there is none."""
        for place, node in enumerate(brackets):
            if isinstance(node, Bracket) and node.relation == "==":
                for one, other in ((node.left, node.right), (node.right, node.left)):
                    key = _index(one)
                    if key is not None and isinstance(other, Access) and other.tensor.kind == "int":
                        return Selection(key, other), brackets[:place] + brackets[place + 1 :]
        return None


def _index(node: Expression) -> Index | None:
    return node.affine.single if isinstance(node, Position) else None


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
