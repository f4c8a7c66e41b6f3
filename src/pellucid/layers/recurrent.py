"""Recurrent layers: the equations of one step, written once for every step of the sequence.

All share the arguments and the parameters' names of PyTorch, whose batch comes second unless one says
otherwise; here it comes first, as in every layer (PyTorch's `batch_first=True`). The state before the first step
is 0, so that its terms are not written there.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from pellucid.errors import ShapeError, UsageError
from pellucid.initializers import Values
from pellucid.layers.base import Layer, Parameter, count
from pellucid.notation import Expression, Index, Tensor, indices, maximum, sigmoid, sum_over, tanh

N, T, K = indices("n t k")


@dataclass(frozen=True)
class Cell:
    """The parameters of one layer in one direction, and how its tensors are marked."""

    input: Parameter  # W (gates * hidden, inputs)
    hidden: Parameter  # U (gates * hidden, hidden)
    input_bias: Parameter | None  # b (gates * hidden)
    hidden_bias: Parameter | None  # c (gates * hidden)
    mark: str

    def tensor(self, letter: str, step: int | None = None) -> Tensor:
        """An undefined tensor, such as H3 for the state after step 3."""
        return Tensor(f"{letter}{'' if step is None else step}{self.mark}")

    def from_hidden(self, state: Tensor | None) -> Expression | None:
        """sum(j) U[k,j] * H[n,j] + c[k]; what does not exist is left out."""
        bias = None if self.hidden_bias is None else self.hidden_bias[K]
        if state is None:
            return bias
        (j,) = indices("j")
        product = sum_over([j], self.hidden[K, j] * state[N, j])
        return product if bias is None else product + bias


class Recurrent(Layer):
    """What recurrent layers share: arguments, parameters, stacked layers, both directions."""

    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, bidirectional: bool = False
    ) -> None:
        self.input_size = count(self, "input_size", input_size)
        self.hidden_size = count(self, "hidden_size", hidden_size)
        self.num_layers = count(self, "num_layers", num_layers)
        self.bias, self.bidirectional = bias, bidirectional
        self._cells: list[list[Cell]] = []
        for layer in range(self.num_layers):
            inputs = self.input_size if layer == 0 else self.hidden_size * (1 + bidirectional)
            names = [f"l{layer}", f"l{layer}_reverse"][: 1 + bidirectional]
            self._cells.append([self._cell(inputs, name) for name in names])

    def _cell(self, inputs: int, name: str) -> Cell:
        rows = self.gates * self.hidden_size
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {"weight_ih": ("W", (rows, inputs))}
        shapes["weight_hh"] = ("U", (rows, self.hidden_size))
        if self.bias:
            shapes |= {"bias_ih": ("b", (rows,)), "bias_hh": ("c", (rows,))}
        mark = "" if name == "l0" else f"_{name}"
        made = {key: Parameter(symbol + mark, shape, self._uniform) for key, (symbol, shape) in shapes.items()}
        for key, parameter in made.items():
            setattr(self, f"{key}_{name}", parameter)
        return Cell(made["weight_ih"], made["weight_hh"], made.get("bias_ih"), made.get("bias_hh"), mark)

    def _uniform(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
        """+-1 / sqrt(hidden_size) for everything, as in PyTorch."""
        bound = 1 / math.sqrt(self.hidden_size)
        return generator.uniform(-bound, bound, shape).astype(np.float32)

    def forward(self, x: Tensor) -> Tensor:
        if len(x.extents) != 3:
            raise ShapeError(
                f'expects sequences (N, L, {self.input_size}), but "{x.name}" gives {len(x.extents)} dimensions: '
                f"{x.extents}"
            )
        if x.extents[2] != self.input_size:
            raise ShapeError(f'expects {self.input_size} numbers at each step, but "{x.name}" gives {x.extents[2]}')
        for number, cells in enumerate(self._cells, 1):
            x = self._layer(x, cells, "Y" if number == self.num_layers else f"Y_l{number - 1}")
        return x

    def _layer(self, x: Tensor, cells: list[Cell], symbol: str) -> Tensor:
        """All states of one layer, those of the second direction beside those of the first."""
        batch, length, _ = x.extents
        y = Tensor(symbol, (batch, length, self.hidden_size * len(cells)))
        for direction, cell in enumerate(cells):
            before = self._from_input(x, cell)
            steps = range(length) if direction == 0 else range(length - 1, -1, -1)
            state: tuple[Tensor, ...] = ()
            for step in steps:
                state = self.step(cell, before, step, state)
                k = Index("k", self.hidden_size)
                y[N, step, k + direction * self.hidden_size] = state[0][N, k]
        return y

    def _from_input(self, x: Tensor, cell: Cell) -> Tensor:
        """P[n,t,k] = sum(i) X[n,t,i] * W[k,i] + b[k]: what all steps take from their inputs, at once."""
        (i,) = indices("i")
        value = sum_over([i], x[N, T, i] * cell.input[K, i])
        p = cell.tensor("P")
        p[N, T, K] = value if cell.input_bias is None else value + cell.input_bias[K]
        return p

    @abstractmethod
    def step(self, cell: Cell, before: Tensor, step: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The equations of one step: from the state before it (empty at first) to the one after it, H first."""


class RNN(Recurrent):
    """The simple recurrent layer (Elman's); `nonlinearity` is "tanh" or "relu".

        H[n,t,k] = tanh(sum(i) X[n,t,i] * W[k,i] + b[k] + sum(j) U[k,j] * H[n,t-1,j] + c[k])

    Written as one equation for what all steps take from X, and one for each step. With `num_layers` each layer reads
    the states of the one before; with `bidirectional` a second set of parameters goes through the sequence backwards,
    and its states stand behind those of the first.

    Shapes: X (N, L, input_size); Y (N, L, hidden_size), twice that with `bidirectional`: the state after each step.
    `SelectStep` takes one of them. Parameters, as in PyTorch: weight_ih_l0 (hidden_size, input_size), weight_hh_l0
    (hidden_size, hidden_size), bias_ih_l0 and bias_hh_l0 (hidden_size), then l1, ..., and l0_reverse, ...

    Gradient: from the last step to the first, each weight collecting a term from every step.

    Source: Elman, "Finding structure in time", Cognitive Science 1990.

    Raises UsageError for sizes that are not positive, ShapeError for inputs that are no sequences.

    >>> RNN(8, 16).forward(Tensor("X", (2, 5, 8), role="input")).shape
    (2, 5, 16)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        bidirectional: bool = False,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise UsageError(f'RNN: nonlinearity must be "tanh" or "relu"; got {nonlinearity!r}')
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, bidirectional)

    def step(self, cell: Cell, before: Tensor, step: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        value: Expression = before[N, step, K]
        remembered = cell.from_hidden(state[0] if state else None)
        value = value if remembered is None else value + remembered
        h = cell.tensor("H", step)
        h[N, K] = tanh(value) if self.nonlinearity == "tanh" else maximum(value, 0)
        return (h,)


class LSTM(Recurrent):
    """Long short-term memory: a cell C that is kept, forgotten and written by gates i, f, g, o.

        A[n,t,k] = sum(i) X[n,t,i] * W[k,i] + b[k] + sum(j) U[k,j] * H[n,t-1,j] + c[k]     k over the four gates
        S = sigmoid(A) for the gates i, f and o, tanh(A) for g
        C[n,t,k] = S_f[n,t,k] * C[n,t-1,k] + S_i[n,t,k] * S_g[n,t,k]
        H[n,t,k] = S_o[n,t,k] * tanh(C[n,t,k])

    The gates stand one after another along the first dimension of W, U, b and c, in the order i, f, g, o, as in
    PyTorch. Shapes, parameters and arguments as for `RNN`, with 4 * hidden_size rows.

    Gradient: derived step by step backwards, through the cell and through the states.

    Source: Hochreiter and Schmidhuber, Neural Computation 1997; the forget gate: Gers et al., 2000.

    Raises UsageError for sizes that are not positive, ShapeError for inputs that are no sequences.

    >>> LSTM(8, 16).forward(Tensor("X", (2, 5, 8), role="input")).shape
    (2, 5, 16)
    """

    gates = 4

    def step(self, cell: Cell, before: Tensor, step: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        size = self.hidden_size
        a, s, c, d, h = (cell.tensor(letter, step) for letter in "ASCDH")
        remembered = cell.from_hidden(state[0] if state else None)
        a[N, K] = before[N, step, K] if remembered is None else before[N, step, K] + remembered
        s.shape = a.extents
        k, both = Index("k", size), Index("k", 2 * size)
        s[N, both] = sigmoid(a[N, both])
        s[N, k + 2 * size] = tanh(a[N, k + 2 * size])
        s[N, k + 3 * size] = sigmoid(a[N, k + 3 * size])
        written = s[N, k] * s[N, k + 2 * size]
        c[N, k] = s[N, k + size] * state[1][N, k] + written if state else written
        d[N, k] = tanh(c[N, k])
        h[N, k] = s[N, k + 3 * size] * d[N, k]
        return h, c


class GRU(Recurrent):
    """The gated recurrent unit: gates r (reset) and z (update), and a new state M.

        P[n,t,k] = sum(i) X[n,t,i] * W[k,i] + b[k],   Q[n,t,k] = sum(j) U[k,j] * H[n,t-1,j] + c[k]
        S = sigmoid(P + Q) for the gates r and z
        M[n,t,k] = tanh(P_n[n,t,k] + S_r[n,t,k] * Q_n[n,t,k])
        H[n,t,k] = M[n,t,k] + S_z[n,t,k] * (H[n,t-1,k] - M[n,t,k])

    The rows of W, U, b and c stand in the order r, z, n, as in PyTorch. Shapes, parameters and arguments as for
    `RNN`, with 3 * hidden_size rows.

    Gradient: derived step by step backwards, directly to the state before and through the gates.

    Source: Cho et al., EMNLP 2014, with the reset after the product, as PyTorch and cuDNN have it.

    Raises UsageError for sizes that are not positive, ShapeError for inputs that are no sequences.

    >>> GRU(8, 16).forward(Tensor("X", (2, 5, 8), role="input")).shape
    (2, 5, 16)
    """

    gates = 3

    def step(self, cell: Cell, before: Tensor, step: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        size = self.hidden_size
        q, s, m, h = (cell.tensor(letter, step) for letter in "QSMH")
        remembered = cell.from_hidden(state[0] if state else None)
        k, both = Index("k", size), Index("k", 2 * size)
        if remembered is None:
            s[N, both] = sigmoid(before[N, step, both])
            m[N, k] = tanh(before[N, step, k + 2 * size])
        else:
            q.shape = (before.extents[0], 3 * size)
            q[N, K] = remembered
            s[N, both] = sigmoid(before[N, step, both] + q[N, both])
            m[N, k] = tanh(before[N, step, k + 2 * size] + s[N, k] * q[N, k + 2 * size])
        older = state[0][N, k] - m[N, k] if state else -m[N, k]
        h[N, k] = m[N, k] + s[N, k + size] * older
        return (h,)


class SelectStep(Layer):
    """One step of a sequence: the last one, unless another is named.

        Y[n,k] = X[n,t,k]

    Shapes: X (N, L, K); Y (N, K). `step` counts from 0, a negative one from the end. Gradient: dX is dY at that step
    and 0 at the others.

    Raises UsageError unless `step` is a whole number, ShapeError for sequences that are too short.

    >>> SelectStep().forward(Tensor("X", (2, 5, 16), role="input")).shape
    (2, 16)
    """

    def __init__(self, step: int = -1) -> None:
        if isinstance(step, bool) or not isinstance(step, int):
            raise UsageError(f"SelectStep: step must be a whole number; got {step!r}")
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        if len(x.extents) != 3:
            raise ShapeError(f'expects sequences (N, L, K), but "{x.name}" gives {len(x.extents)} dimensions')
        length = x.extents[1]
        if not -length <= self.step < length:
            raise ShapeError(f'takes step {self.step}, but "{x.name}" has {length} steps')
        y = Tensor("Y")
        y[N, K] = x[N, self.step % length, K]
        return y
