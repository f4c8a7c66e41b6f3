"""Digits as a language writes them: Persian prose may count in ۰۱۲۳۴۵۶۷۸۹; mathematics keeps 0123456789."""

from __future__ import annotations

DIGIT_STYLES = ("latin", "native")
"""How the numbers in prose are written."""

_NATIVE = {"fa": "۰۱۲۳۴۵۶۷۸۹"}


def native_digits(text: str, code: str) -> str:
    """The text with its digits as the language writes them by tradition, its decimal point as the momayyez."""
    digits = _NATIVE.get(code)
    if digits is None:
        return text
    table = {ord(str(value)): digit for value, digit in enumerate(digits)}
    parts = text.translate(table)
    return "".join(
        "٫" if c == "." and 0 < at < len(parts) - 1 and parts[at - 1] in digits and parts[at + 1] in digits else c
        for at, c in enumerate(parts)
    )
