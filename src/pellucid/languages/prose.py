"""Prose with mathematics in it: sentences run as their language does, formulas and numbers from left to right.

A sentence of a catalogue marks mathematics by backticks, `Y = X * W`; so do the values that fill its gaps when they
are wrapped by `math`. In a right-to-left language each such part becomes an isolate (Unicode's U+2066 ... U+2069),
so that a formula keeps its order within the sentence; elsewhere the marks are dropped. The digits of the prose itself
may be the language's own; mathematics keeps 0123456789.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from pellucid.errors import UsageError
from pellucid.languages.catalogue import catalogue
from pellucid.languages.digits import DIGIT_STYLES, native_digits

_MATHEMATICS = re.compile(r"`([^`]*)`|(\u2066[^\u2069]*\u2069)")
_ISOLATE = "\u2066{}\u2069"
_WIDTH = 100
_SHORT = 50
_WIDE_LETTERS = frozenset({"ko"})  # each takes two columns of a terminal


def math(value: object) -> str:
    """A value marked as mathematics, to fill the gap of a sentence."""
    return f"`{value}`"


@dataclass(frozen=True)
class Prose:
    """The sentences of one subject in one language, ready to print; call it with a key and the values of the gaps.

    Raises UsageError for a language or a digit style that there is not.
    """

    code: str
    subject: str
    digits: str = "latin"

    def __post_init__(self) -> None:
        catalogue(self.code, self.subject)
        if self.digits not in DIGIT_STYLES:
            raise UsageError(f"there is no digit style {self.digits!r}; there are {', '.join(DIGIT_STYLES)}")

    def __call__(self, key: str, /, **values: object) -> str:
        """The sentence of that key with its gaps filled, mathematics set apart."""
        return self.set(catalogue(self.code, self.subject)(key, **values))

    def of(self, subject: str) -> Prose:
        """The same language and digits for another subject."""
        return Prose(self.code, subject, self.digits)

    def knows(self, key: str) -> bool:
        """Whether there is a sentence of that key."""
        return key in catalogue(self.code, self.subject).sentences

    def set(self, text: str) -> str:
        """Set marked text: mathematics apart, digits of the prose in the wanted style; what is set already stays."""
        right_to_left = catalogue(self.code, self.subject).direction == "rtl"
        parts = _MATHEMATICS.split(text)  # prose, marked mathematics or None, set mathematics or None, prose, ...
        found = []
        for at, part in enumerate(parts):
            if at % 3 == 0:
                found.append(native_digits(part, self.code) if self.digits == "native" else part)
            elif part is not None:
                found.append(_isolated(part) if at % 3 == 1 and right_to_left else part)
        return "".join(found)

    def wrap(self, text: str, indent: str = "") -> list[str]:
        """Lines no wider than a terminal likes them."""
        width = _WIDTH * 6 // 10 if self.code in _WIDE_LETTERS else _WIDTH
        return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _isolated(part: str) -> str:
    """An isolate; a short one stays on one line, since a line's end would also end the isolate."""
    return _ISOLATE.format(part.replace(" ", "\u00a0") if len(part) < _SHORT else part)
