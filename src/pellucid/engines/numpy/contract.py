"""Contractions: a sum of products becomes one matrix product.

Of the indices of two factors, those in both and kept are the batch, those in both and summed the inner dimension,
and the others the rows and columns. When the rows or columns begin with the outermost index of the result (the
images of a batch), the product is taken image by image: the result then comes out in its final order.
"""

from __future__ import annotations

import math

import numpy as np

from pellucid.engines.numpy.block import Array, Block
from pellucid.notation.index import Index


def contract(left: Block, right: Block, keep: tuple[Index, ...], over: tuple[Index, ...]) -> Block:
    """Sum left * right over `over`; the result's axes are those of `keep` that occur, in some order."""
    left, right = _sum_own(left, right, over), _sum_own(right, left, over)
    batch = [i for i in keep if i in left.axes and i in right.axes]
    rows = [i for i in keep if i in left.axes and i not in batch]
    columns = [i for i in keep if i in right.axes and i not in batch]
    inner = [i for i in over if i in left.axes and i in right.axes]
    if keep and keep[0] in rows and len(rows) > 1:
        left, right, rows, columns = right, left, columns, rows
    stream: list[Index] = []
    if not batch and keep and keep[0] in columns and len(columns) > 1:
        stream, columns = columns[:1], columns[1:]
    product = np.matmul(_matrix(left, batch, [], rows, inner), _matrix(right, batch, stream, inner, columns))
    axes = (*batch, *stream, *rows, *columns)
    return Block(axes, product.reshape([i.size for i in axes]))


def _sum_own(block: Block, other: Block, over: tuple[Index, ...]) -> Block:
    """Sum over what only this factor depends on."""
    own = [i for i in block.axes if i in over and i not in other.axes]
    if not own:
        return block
    rest = tuple(i for i in block.axes if i not in own)
    return Block(rest, block.array.sum(axis=tuple(block.axes.index(i) for i in own)))


def _matrix(block: Block, batch: list[Index], stream: list[Index], rows: list[Index], columns: list[Index]) -> Array:
    """The block as (batch or stream, rows, columns).

    A copy is made with the axis that lies closest in memory innermost; the other form is a transposed view, which
    the matrix product reads as it is.
    """
    lead = [*batch, *stream]
    if _nearest(block, rows) < _nearest(block, columns):
        return _merge(block, lead, columns, rows).swapaxes(-1, -2)
    return _merge(block, lead, rows, columns)


def _nearest(block: Block, group: list[Index]) -> float:
    """The smallest step in memory, in bytes, of the group's innermost index that has more than one value."""
    steps = [abs(block.array.strides[block.axes.index(i)]) for i in group if i.size > 1]
    return min(steps) if steps else math.inf


def _merge(block: Block, lead: list[Index], rows: list[Index], columns: list[Index]) -> Array:
    array = block.spread((*lead, *rows, *columns))
    shape = [i.size for i in lead] + [math.prod(i.size for i in group) for group in (rows, columns)]
    return array.reshape(shape)
