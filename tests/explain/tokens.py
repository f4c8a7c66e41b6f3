"""Evaluating arithmetic given as tokens: what the readers of LaTeX, MathML and speech share, and nothing else does."""

import math
import operator
from collections.abc import Callable

FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "expm1": math.expm1,
    "log1p": math.log1p,
    "erf": math.erf,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "max": max,
    "min": min,
    "constant": lambda x: x,
}
RELATIONS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class NotNumbers(ValueError):
    """The tokens name tensors or indices."""


class Reader:
    """Precedence climbing over tokens: numbers, names of functions, + - * / ^ ( ) , [ relation ]."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, "end"]
        self.at = 0

    def take(self, expected: str | None = None) -> str:
        token = self.tokens[self.at]
        if expected is not None and token != expected:
            raise NotNumbers(f"{expected} expected, {token} found in {self.tokens}")
        self.at += 1
        return token

    @property
    def next(self) -> str:
        return self.tokens[self.at]

    def sum(self) -> float:
        value = self.product()
        while self.next in "+-":
            sign = 1 if self.take() == "+" else -1
            value += sign * self.product()
        return value

    def product(self) -> float:
        """A false bracket makes a product 0 whatever else is in it."""
        false = self.next == "["
        value = self.signed()
        false = false and value == 0
        while self.next in "*/":
            sign, bracket = self.take(), self.next == "["
            factor = self.signed()
            false = false or (bracket and factor == 0)
            if false:
                continue
            value = value * factor if sign == "*" else value / factor
        return 0.0 if false else value

    def signed(self) -> float:
        if self.next == "-":
            self.take()
            return -self.product()
        base = self.atom()
        if self.next == "^":
            self.take()
            return float(base ** (-self.atom() if self.next == "-" and self.take() else self.atom()))
        return base

    def atom(self) -> float:
        token = self.take()
        if token == "(":
            value = self.sum()
            self.take(")")
            return value
        if token == "[":
            left, relation, right = self.sum(), self.take(), self.sum()
            self.take("]")
            return float(RELATIONS[relation](left, right))
        if token in FUNCTIONS:
            self.take("(")
            arguments = [self.sum()]
            while self.next == ",":
                self.take()
                arguments.append(self.sum())
            self.take(")")
            return FUNCTIONS[token](*arguments)
        try:
            return float(token)
        except ValueError:
            raise NotNumbers(token) from None


def evaluate(tokens: list[str]) -> float:
    """The value; NotNumbers where something else than numbers is in it."""
    reader = Reader(tokens)
    try:
        value = reader.sum()
    except OverflowError:
        value = math.inf
    reader.take("end")
    return value


def sides(tokens: list[str]) -> list[list[str]]:
    """The sides of an equation: split at = that stands in no brackets."""
    found: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token in "([") - (token in ")]")
        if token == "=" and not depth:
            found.append([])
        else:
            found[-1].append(token)
    return found
