"""Finding out what went wrong with a number: the usual slips are tried, and one may yield what is printed.

Two families are tried: slips in the calculation (a base-10 logarithm, a forgotten exponential, a factor used
twice) and slips of the pen (sign, decimal point, digits exchanged, miscopied, lost or added). The more digits
a slip leaves free, the more printed digits it takes to believe it.
"""

import ast
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pellucid.errors import DataError
from pellucid.lessons.arithmetic import FUNCTIONS, Function
from pellucid.lessons.findings import Slip
from pellucid.lessons.printed import Printed, agreement, read

Evaluate = Callable[[str, Mapping[str, Function]], float]

_MISTAKEN_FUNCTIONS: tuple[tuple[Slip, str, Function], ...] = (
    ("base-10 logarithm", "log", math.log10),
    ("exponential left out", "exp", lambda x: x),
)


@dataclass(frozen=True)
class Candidate:
    """A value the printed number may have been meant to be, and the slips in calculation that lead to it."""

    value: float
    slips: tuple[Slip, ...] = ()


def candidates(expression: str, evaluate: Evaluate) -> list[Candidate]:
    """Evaluate a printed formula or calculation as it stands, and in each mistaken way."""
    attempts: list[tuple[str, Mapping[str, Function], tuple[Slip, ...]]] = [(expression, FUNCTIONS, ())]
    for slip, name, mistaken in _MISTAKEN_FUNCTIONS:
        if f"{name}(" in expression:
            attempts.append((expression, {**FUNCTIONS, name: mistaken}, (slip,)))
    attempts += [(text, FUNCTIONS, ("factor used twice",)) for text in _factor_twice(expression)]
    found = []
    for text, functions, slips in attempts:
        try:
            found.append(Candidate(evaluate(text, functions), slips))
        except DataError:  # a mistaken calculation may have no value, such as a division by zero
            if not slips:
                raise
    return found


def explain(printed: Printed, meant: list[Candidate], approximate: bool = False) -> tuple[Slip, ...]:
    """Say which slips lead from a value that may have been meant to what is printed; empty when none does."""
    for candidate in meant:
        if candidate.slips and agreement(printed, candidate.value):
            return candidate.slips
    if printed.open_ended or approximate:
        return ()
    for pen_slip, variant in _variants(printed.reading):
        for candidate in meant:
            # Two slips at once are believed only where many digits bear them out.
            if candidate.slips and printed.figures < 5:
                continue
            precision = agreement(variant, candidate.value)
            if precision and (precision != "truncated" or pen_slip in ("sign", "decimal point")):
                return (*candidate.slips, pen_slip)
    return ()


def _factor_twice(expression: str) -> Iterator[str]:
    """Give a product once for each of its factors, with that factor used twice."""
    tree = ast.parse(expression.replace("^", "**"), mode="eval").body
    factors: list[ast.expr] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult):
        factors.append(tree.right)
        tree = tree.left
    if factors:
        yield from (f"({expression}) * ({ast.unparse(factor)})" for factor in (tree, *reversed(factors)))


def _variants(text: str) -> Iterator[tuple[Slip, Printed]]:
    """Undo each slip of the pen that the number of printed digits allows one to believe."""
    digits = [k for k, sign in enumerate(text) if sign.isdigit()]
    figures = len("".join(text[k] for k in digits).lstrip("0"))
    exact = "/" in text
    if not digits or not (exact or all(sign.isdigit() or sign in "+-." for sign in text)):
        return
    if figures >= 2 or exact:
        yield "sign", read(text[1:] if text[0] == "-" else "-" + text.lstrip("+"))
    if figures >= 2 and not exact:
        yield from (("decimal point", _shifted(read(text), power)) for power in (-1, 1, -2, 2))
    if figures >= 3:
        for a, b in itertools.pairwise(digits):
            if b == a + 1:
                yield from _read("digits exchanged", text[:a] + text[b] + text[a] + text[b + 1 :])
    if figures >= 4 or exact:
        # Not the last decimal: without it the number would only be printed less precisely.
        shorter = {text[:k] + text[k + 1 :]: None for k in digits}
        if "." in text:
            shorter.pop(text[:-1], None)
        yield from (found for variant in shorter for found in _read("digit too many", variant))
    copies = [(k, digit) for k in (*digits, len(text)) for digit in "0123456789"]
    if figures >= 4 and not exact:
        replaced = (text[:k] + digit + text[k + 1 :] for k, digit in copies if k < len(text))
        yield from (found for variant in replaced for found in _read("one digit", variant))
    if figures >= 5:
        added = (text[:k] + digit + text[k:] for k, digit in copies)
        yield from (found for variant in added for found in _read("digit missing", variant))


def _shifted(printed: Printed, power: int) -> Printed:
    factor = 10.0**power
    return Printed(printed.text, printed.reading, printed.value * factor, printed.place * factor)


def _read(slip: Slip, text: str) -> Iterator[tuple[Slip, Printed]]:
    try:
        yield slip, read(text)
    except DataError:  # "1/0" or a lone sign: no number, so no explanation
        return
