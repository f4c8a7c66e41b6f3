"""Arithmetic as printed in the notes, evaluated safely: ``0.1 - (0.01 * -0.5531)``, ``h[b] * (1 - h[b])``.

The notes' own formulas and calculations are data. Evaluating them tells a wrong formula from a slip of the
pen. Only numbers, named tensors with 1-based indices, + - * / ^ and the functions below are understood;
nothing is ever executed.
"""

import ast
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError

Function = Callable[..., float]

FUNCTIONS: Mapping[str, Function] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sigmoid": lambda x: 1.0 / (1.0 + math.exp(-x)),
    "max": max,
}

_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


def evaluate(
    text: str,
    tensors: Mapping[str, NDArray[np.float64]] | None = None,
    indices: Mapping[str, int] | None = None,
    functions: Mapping[str, Function] = FUNCTIONS,
) -> float:
    """Evaluate one printed expression; ``indices`` gives the index letters their 1-based values.

    Raises DataError, quoting the expression, when it cannot be read or has no value.
    """
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
        return float(_Reader(tensors or {}, indices or {}, functions).value(tree.body))
    except (SyntaxError, ArithmeticError, ValueError, IndexError, KeyError, TypeError) as error:
        raise DataError(f'The expression "{text}" has no value: {_reason(error)}.') from error


def names_in(text: str, letters: Sequence[str] = ()) -> set[str]:
    """Give the names of the tensors and numbers an expression reads: no index letters, no functions."""
    tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names - FUNCTIONS.keys() - set(letters)


def _reason(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return "it is not arithmetic (numbers, name[1,2], + - * / ^ and " + ", ".join(FUNCTIONS) + ")"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is not known here"
    return str(error)


class _Reader:
    """Walks an expression's tree; knows the tensors, the index letters and the functions."""

    def __init__(
        self,
        tensors: Mapping[str, NDArray[np.float64]],
        indices: Mapping[str, int],
        functions: Mapping[str, Function],
    ) -> None:
        self.tensors = tensors
        self.indices = indices
        self.functions = functions

    def value(self, node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                if name in self.indices:
                    return float(self.indices[name])
                return float(self.tensors[name])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
                return _BINARY[type(operator)](self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.functions[name](*(self.value(argument) for argument in arguments))
            case ast.Subscript(value=ast.Name(id=name), slice=place):
                return self.element(name, place)
        raise TypeError(f'"{ast.unparse(node)}" is not arithmetic')

    def element(self, name: str, place: ast.expr) -> float:
        tensor = self.tensors[name]
        parts = place.elts if isinstance(place, ast.Tuple) else [place]
        index = tuple(round(self.value(part)) - 1 for part in parts)
        if len(index) != tensor.ndim or any(not 0 <= i < n for i, n in zip(index, tensor.shape, strict=True)):
            shown = ",".join(str(i + 1) for i in index)
            raise IndexError(f"{name}[{shown}] lies outside {name}, which has the shape {tensor.shape}")
        return float(tensor[index])
