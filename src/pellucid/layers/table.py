"""Convolution in which every output sees only the inputs that a table gives it."""

from __future__ import annotations

import numpy as np

from pellucid.errors import ShapeError, UsageError
from pellucid.initializers import Values
from pellucid.layers.base import Layer, Parameter, count, images, pair
from pellucid.notation import Index, Tensor, indices, sum_over

Table = tuple[tuple[int, ...], ...]


class TableConv2d(Layer):
    """A convolution whose output map o is connected to the input maps `table[o]` alone.

        F[o,c,u,v] = W[k,u,v]    for the k-th connection, that of o with c; 0 for maps that are not connected
        Y[n,o,i,j] = sum(c,u,v) X[n,c, i + u, j + v] * F[o,c,u,v] + b[o]

    Only the kernels of connections are parameters. They are counted output by output.

    Shapes: X (N, in_channels, H, W); W (connections, kernel height, kernel width); b (outputs);
    Y (N, outputs, H - k + 1, W - k + 1).

    Gradient: as for `Conv2d`; each kernel's is that of its own connection.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998, table I.

    Raises UsageError for a table that names maps twice or out of range, ShapeError for images that do not fit.

    >>> TableConv2d(3, ((0, 1), (1, 2), (0, 2), (0, 1, 2)), 5).forward(Tensor("X", (1, 3, 14, 14), role="input")).shape
    (1, 4, 10, 10)
    """

    def __init__(self, in_channels: int, table: Table, kernel_size: int | tuple[int, int]) -> None:
        self.in_channels = count(self, "in_channels", in_channels)
        self.table = tuple(tuple(row) for row in table)
        self.kernel_size = pair(self, "kernel_size", kernel_size, 1)
        for row in self.table:
            if not row or list(row) != sorted(set(row)) or not 0 <= row[0] <= row[-1] < self.in_channels:
                raise UsageError(
                    f"TableConv2d: a row of the table lists inputs between 0 and {self.in_channels - 1}, "
                    f"in ascending order; got {row}"
                )
        connections = sum(map(len, self.table))
        self.weight = Parameter("W", (connections, *self.kernel_size), self._initial)
        self.bias = Parameter("b", (len(self.table),))

    def _initial(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
        """Uniform within +-2.4 / fan-in, as the paper has it (appendix A); outputs differ in their fan-in."""
        fan_in = [len(row) * shape[1] * shape[2] for row in self.table for _ in row]
        bound = 2.4 / np.array(fan_in)[:, None, None]
        return (generator.uniform(-1, 1, shape) * bound).astype(np.float32)

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = images(x)
        rows, columns = self.kernel_size
        if channels != self.in_channels:
            raise ShapeError(f'expects {self.in_channels} channels, but "{x.name}" gives {channels}')
        if height < rows or width < columns:
            raise ShapeError(f'its kernel is {rows}x{columns}, but "{x.name}" gives {height}x{width}')
        n, o, c, i, j = indices("n o c i j")
        u, v = Index("u", rows), Index("v", columns)
        f, y = self._spread(), Tensor("Y")
        y[n, o, i, j] = sum_over([c, u, v], x[n, c, i + u, j + v] * f[o, c, u, v]) + self.bias[o]
        return y

    def _spread(self) -> Tensor:
        """The kernels as those of a convolution of all maps: one part for every run of neighbouring inputs."""
        rows, columns = self.kernel_size
        f = Tensor("F", (len(self.table), self.in_channels, rows, columns))
        u, v = Index("u", rows), Index("v", columns)
        place = 0
        for output, inputs in enumerate(self.table):
            for first, length in runs(inputs):
                c = Index("c", length)
                f[output, c + first, u, v] = self.weight[c + place, u, v]
                place += length
        return f


def runs(numbers: tuple[int, ...]) -> list[tuple[int, int]]:
    """Ascending numbers as runs: the first of each, and how many follow one another.

    >>> runs((0, 1, 2, 4, 5))
    [(0, 3), (4, 2)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and sum(found[-1]) == number:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found
