"""The notation: indices, tensors and equations, and what follows from them.

n, o, i, j, c, u, v = indices("n o i j c u v")
Y[n, o, i, j] = sum_over([c, u, v], X[n, c, i + u, j + v] * W[o, c, u, v]) + b[o]
"""

from pellucid.notation.equation import Equation
from pellucid.notation.expression import Access, Expression, bracket, max_over, sum_over
from pellucid.notation.functions import (
    constant,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    sigmoid,
    sqrt,
    tanh,
    uniform,
)
from pellucid.notation.index import Affine, Index, indices
from pellucid.notation.program import Program
from pellucid.notation.tensor import Tensor, constant_tensor

__all__ = [
    "Access",
    "Affine",
    "Equation",
    "Expression",
    "Index",
    "Program",
    "Tensor",
    "bracket",
    "constant",
    "constant_tensor",
    "erf",
    "exp",
    "expm1",
    "indices",
    "log",
    "log1p",
    "max_over",
    "maximum",
    "minimum",
    "sigmoid",
    "sqrt",
    "sum_over",
    "tanh",
    "uniform",
]
