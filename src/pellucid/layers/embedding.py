"""Embedding: tokens, which are whole numbers, become vectors."""

from __future__ import annotations

import numpy as np

from pellucid.errors import ShapeError, UsageError
from pellucid.initializers import Initializer, Values
from pellucid.layers.base import Layer, Parameter, count
from pellucid.notation import Expression, Tensor, bracket, indices, sum_over


class Embedding(Layer):
    """Each token selects its row of a matrix of learned vectors.

        Y[n,l,k] = sum(v) [v == X[n,l]] * W[v,k]

    The bracket holds for one v only, and the engines read that row instead of summing. With `padding_idx` p the
    token p stands for nothing: a factor [v != p] makes its vector 0, and its row never learns.

    Shapes: X (N, L), whole numbers from 0 to num_embeddings - 1; W (num_embeddings, embedding_dim);
    Y (N, L, embedding_dim).

    Gradient: dW[v,k] is the sum of dY[n,l,k] over the places where the token v stands. Tokens have none.

    Source: Bengio et al., "A neural probabilistic language model", JMLR 2003.

    Raises UsageError for a padding_idx that is no token, ShapeError for an input that is no batch of sequences,
    DataError, when it runs, for tokens outside the vocabulary.

    >>> Embedding(1000, 64).forward(Tensor("X", (2, 12), role="input", kind="int")).shape
    (2, 12, 64)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        init: str | Initializer | None = None,
    ) -> None:
        self.num_embeddings = count(self, "num_embeddings", num_embeddings)
        self.embedding_dim = count(self, "embedding_dim", embedding_dim)
        if padding_idx is not None and not 0 <= padding_idx < self.num_embeddings:
            raise UsageError(
                f"Embedding: padding_idx must be a token from 0 to {self.num_embeddings - 1}; got {padding_idx!r}"
            )
        self.padding_idx = padding_idx
        self.weight = Parameter("W", (self.num_embeddings, self.embedding_dim), init or self._standard_normal)

    @property
    def vocabulary(self) -> int:
        return self.num_embeddings

    def _standard_normal(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
        """Standard normal numbers, as in PyTorch; 0 for the token that stands for nothing."""
        values = generator.standard_normal(shape).astype(np.float32)
        if self.padding_idx is not None:
            values[self.padding_idx] = 0
        return values

    def forward(self, x: Tensor) -> Tensor:
        if len(x.extents) != 2:
            raise ShapeError(
                f'expects sequences of tokens (N, L), but "{x.name}" gives {len(x.extents)} dimensions: {x.extents}'
            )
        n, place, v, k = indices("n l v k")
        selected: Expression = bracket(v, "==", x[n, place])
        if self.padding_idx is not None:
            selected = selected * bracket(v, "!=", self.padding_idx)
        y = Tensor("Y")
        y[n, place, k] = sum_over([v], selected * self.weight[v, k])
        return y
