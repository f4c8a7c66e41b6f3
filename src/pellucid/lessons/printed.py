"""Numbers as they stand on paper: the value, and how much of it the printed digits promise.

A printed number is a claim about its digits, not about a float: ``0.938`` promises three decimals, ``60``
thousand promises one figure, ``2.x`` promises only that the number lies between 2 and 3, and ``9/4`` promises
everything. :func:`agreement` is the one place that decides whether such a claim holds for a computed value.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pellucid.errors import DataError
from pellucid.lessons.arithmetic import evaluate

Precision = Literal["exact", "rounded", "truncated"]

_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")
_FRACTION = re.compile(r"([+-]?\d+)/(\d+)")
_OPEN = re.compile(r"([+-]?\d+)\.x")
# Computed values carry float64 rounding; a printed digit is never decided by the last of its bits.
_NOISE = 1e-9


@dataclass(frozen=True)
class Printed:
    """One number as printed.

    ``text`` is what stands on the page, ``reading`` how it was read (they differ where a scan is garbled),
    ``place`` the unit of the last digit that counts (0 when the number is exact), ``open_ended`` says that
    the decimals were left out on purpose, as in ``2.x``.
    """

    text: str
    reading: str
    value: float
    place: float
    open_ended: bool = False

    @property
    def figures(self) -> int:
        """How many significant digits are printed, leading zeros not counted."""
        return len(re.sub(r"\D", "", self.reading).lstrip("0"))


def read(text: str, *, scale: int = 1, approximate: bool = False) -> Printed:
    """Read a printed number.

    ``scale`` is the worth of a unit word ("60 thousand": ``scale=1000``). ``approximate`` says that trailing
    zeros of a whole number only hold the place, as they do in "about 60".

    Raises DataError when the text is neither a number, a fraction, ``n.x`` nor an arithmetic expression.
    """
    bare = text.strip().replace("−", "-")
    if match := _OPEN.fullmatch(bare):
        return Printed(text, bare, float(match[1]) * scale, float(scale), open_ended=True)
    if _DECIMAL.fullmatch(bare):
        whole, _, decimals = bare.lstrip("+-").partition(".")
        place = Fraction(1, 10 ** len(decimals))
        if approximate and not decimals:
            place = Fraction(10 ** (len(whole) - len(whole.rstrip("0"))))
        return Printed(text, bare, float(Fraction(bare) * scale), float(place * scale))
    if (match := _FRACTION.fullmatch(bare)) and int(match[2]):
        return Printed(text, bare, float(Fraction(int(match[1]), int(match[2])) * scale), 0.0)
    try:
        return Printed(text, bare, evaluate(bare) * scale, 0.0)
    except DataError as error:
        raise DataError(
            f'"{text}" must be a printed number: digits such as 0.938, a fraction such as 9/4, 2.x, or '
            f"arithmetic such as 4*5*5. {error}"
        ) from error


def readings(text: str, glyphs: Mapping[str, Sequence[str]]) -> list[str]:
    """List what a garbled text may say: every unreadable sign replaced by each of its possible meanings.

    >>> readings("9/Σ", {"Σ": ["4", "2"]})
    ['9/4', '9/2']
    """
    choices = [glyphs.get(sign, (sign,)) for sign in text]
    return ["".join(signs) for signs in itertools.product(*choices)]


def agreement(printed: Printed, true: float) -> Precision | None:
    """Say how a computed value bears out a printed number, or None when it does not.

    Rounded: within half a unit of the last printed place. Truncated: the printed digits are the value's own
    first digits although rounding would have given others. Exact: equal beyond what the digits show.
    """
    if not math.isfinite(true):
        return None
    noise = _NOISE * max(abs(true), printed.place, 1e-3)
    difference = abs(printed.value - true)
    if printed.open_ended:
        beyond = abs(true) - abs(printed.value)
        return "truncated" if noise < beyond < printed.place and true * printed.value >= 0 else None
    if difference <= noise:
        return "exact"
    if difference <= printed.place / 2 + noise:
        return "rounded"
    same_side = true * printed.value > 0 or printed.value == 0
    if same_side and 0 < abs(true) - abs(printed.value) < printed.place - noise:
        return "truncated"
    return None


def show(value: float, beside: Printed | None = None) -> str:
    """Write a computed value beside a printed one: two more digits, or a fraction beside a fraction."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if beside is None:
        return f"{value:.6g}"
    if beside.place == 0:
        near = Fraction(value).limit_denominator(64)
        exact = abs(float(near) - value) <= _NOISE * max(abs(value), 1e-3)
        return f"{near.numerator}/{near.denominator}" if exact else f"{value:.6g}"
    decimals = max(0, 2 - math.floor(math.log10(beside.place) + 0.5))
    return f"{value:.{decimals}f}"
