"""Expressions and equations as plain text and as LaTeX."""

from __future__ import annotations

from fractions import Fraction

from pellucid.notation.equation import Equation
from pellucid.notation.expression import (
    Access,
    Add,
    Bracket,
    Call,
    Const,
    Div,
    Expression,
    Mul,
    Number,
    Position,
    Pow,
    Reduce,
)
from pellucid.notation.functions import FUNCTIONS
from pellucid.notation.index import Affine
from pellucid.notation.tensor import Tensor

SUM, MAXIMUM, PRODUCT, POWER, ATOM = range(5)
"""How strongly an expression holds together. A maximum is weaker than a product: its body may be one."""


def number(value: Number) -> str:
    """A number as it is written by hand: whole numbers and fractions exactly, others to six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def text(node: Expression) -> str:
    """An expression in plain text, with no more parentheses than needed."""
    return _text(node)[0]


def equation_text(equation: Equation) -> str:
    """`Y[n,o,i,j] = ...`."""
    return f"{text(equation.left)} = {text(equation.value)}"


def _wrap(node: Expression, level: int) -> str:
    written, strength = _text(node)
    return written if strength >= level else f"({written})"


def _split_sign(node: Expression) -> tuple[bool, Expression]:
    """Whether a term is subtracted, and what is left of it."""
    if isinstance(node, Const) and node.value < 0:
        return True, Const(-node.value)
    if isinstance(node, Mul):
        negative, first = _split_sign(node.factors[0])
        factors = node.factors[1:] if first == Const(1) and len(node.factors) > 1 else (first, *node.factors[1:])
        if negative:
            return True, factors[0] if len(factors) == 1 else Mul(factors)
    if isinstance(node, Div):
        negative, numerator = _split_sign(node.numerator)
        if negative:
            return True, Div(numerator, node.denominator)
    return False, node


def _text(node: Expression) -> tuple[str, int]:
    negative, positive = _split_sign(node)
    if negative:
        return f"-{_wrap(positive, MAXIMUM)}", SUM
    match node:
        case Const(value):
            return number(value), PRODUCT if isinstance(value, Fraction) else ATOM
        case Position(affine):
            return str(affine), ATOM if affine.single or not affine.terms else SUM
        case Access(tensor, at):
            return f"{tensor.symbol}[{','.join(map(str, at))}]" if at else tensor.symbol, ATOM
        case Add(terms):
            parts = [_wrap(terms[0], SUM)]
            for term in terms[1:]:
                minus, rest = _split_sign(term)
                parts.append(f" - {_wrap(rest, MAXIMUM)}" if minus else f" + {_wrap(rest, MAXIMUM)}")
            return "".join(parts), SUM
        case Mul(factors):
            return " * ".join(_wrap(f, PRODUCT if k == 0 else POWER) for k, f in enumerate(factors)), PRODUCT
        case Div(numerator, denominator):
            return f"{_wrap(numerator, PRODUCT)} / {_wrap(denominator, POWER)}", PRODUCT
        case Pow(base, exponent):
            return f"{_wrap(base, ATOM)}^{_wrap(exponent, ATOM)}", POWER
        case Call(function, args):
            return f"{function}({', '.join(text(a) for a in args)})", ATOM
        case Bracket(left, relation, right):
            return f"[{text(left)} {relation} {text(right)}]", ATOM
        case Reduce(kind, over, body):
            names = ",".join(i.name for i in over)
            return f"{kind}({names}) {_wrap(body, PRODUCT)}", PRODUCT if kind == "sum" else MAXIMUM
    raise TypeError(f"cannot print {type(node).__name__}")


def latex_symbol(tensor: Tensor) -> str:
    """The tensor's letter; a gradient is typeset as a partial derivative of the loss."""
    symbol = tensor.symbol
    of_loss = tensor.name.startswith("d ") or tensor.role == "input"  # "drop1" is no gradient
    if symbol.startswith("d") and len(symbol) > 1 and of_loss:
        return rf"\frac{{\partial L}}{{\partial {_letters(symbol[1:].strip())}}}"
    return _letters(symbol)


def _letters(symbol: str) -> str:
    prime = "'" * symbol.count("'")
    plain = symbol.replace("'", "").replace("_", r"\_")
    return (plain if len(plain) == 1 else rf"\mathit{{{plain}}}") + prime


def latex_equation(equation: Equation) -> str:
    """The equation for LaTeX's mathematics mode."""
    return f"{latex(equation.left)} = {latex(equation.value)}"


def _latex_affine(affine: Affine) -> str:
    return str(affine).replace("*", "")


def _latex_number(value: Number) -> str:
    digits, _, exponent = number(value).partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if exponent else digits


def _latex_wrap(node: Expression, level: int) -> str:
    written, strength = _latex(node)
    return written if strength >= level else rf"\left({written}\right)"


def latex(node: Expression) -> str:
    """An expression for LaTeX's mathematics mode."""
    return _latex(node)[0]


_RELATIONS = {"==": "=", "!=": r"\neq", "<=": r"\leq", ">=": r"\geq", "<": "<", ">": ">"}


def _latex(node: Expression) -> tuple[str, int]:
    negative, positive = _split_sign(node)
    if negative:
        return f"-{_latex_wrap(positive, MAXIMUM)}", SUM
    match node:
        case Const(value):
            if isinstance(value, Fraction) and value.denominator != 1:
                return rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}", POWER
            return _latex_number(value), ATOM
        case Position(affine):
            return _latex_affine(affine), ATOM if affine.single or not affine.terms else SUM
        case Access(tensor, at):
            subscript = ",".join(map(_latex_affine, at))
            symbol = latex_symbol(tensor)
            if not at:
                return symbol, POWER if symbol.startswith(r"\frac") else ATOM
            if symbol.startswith(r"\frac"):
                return symbol[:-1] + f"_{{{subscript}}}" + "}", POWER
            return f"{symbol}_{{{subscript}}}", ATOM
        case Add(terms):
            parts = [_latex_wrap(terms[0], SUM)]
            for term in terms[1:]:
                minus, rest = _split_sign(term)
                parts.append(f" {'-' if minus else '+'} {_latex_wrap(rest, MAXIMUM)}")
            return "".join(parts), SUM
        case Mul(factors):
            return r" \, ".join(_latex_wrap(f, PRODUCT if k == 0 else POWER) for k, f in enumerate(factors)), PRODUCT
        case Div(numerator, denominator):
            return rf"\frac{{{latex(numerator)}}}{{{latex(denominator)}}}", POWER
        case Pow(base, exponent):
            return f"{_latex_wrap(base, ATOM)}^{{{latex(exponent)}}}", POWER
        case Call(function, args):
            inner = ", ".join(latex(a) for a in args)
            if function == "sqrt":
                return rf"\sqrt{{{inner}}}", ATOM
            return rf"{FUNCTIONS[function].latex}\left({inner}\right)", ATOM
        case Bracket(left, relation, right):
            return rf"\left[{latex(left)} {_RELATIONS[relation]} {latex(right)}\right]", ATOM
        case Reduce(kind, over, body):
            names = ",".join(i.name for i in over)
            operator = {"sum": r"\sum", "max": r"\max", "argmax": r"\operatorname*{arg\,max}"}[kind]
            return rf"{operator}_{{{names}}} {_latex_wrap(body, PRODUCT)}", PRODUCT if kind == "sum" else MAXIMUM
    raise TypeError(f"cannot typeset {type(node).__name__}")
