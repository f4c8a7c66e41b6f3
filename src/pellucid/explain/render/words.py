"""Prose for renderers: sentences of the catalogue, with counts in the digits of the language and formulas set apart."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.errors import UsageError
from pellucid.explain.document import Shown
from pellucid.explain.notes import Note
from pellucid.languages import DIGIT_STYLES, Catalogue, catalogue, native_digits

ISOLATE, END = "\u2066", "\u2069"
"""Unicode's marks around what runs from left to right within prose that does not."""


@dataclass(frozen=True)
class Words:
    """The sentences of explanations in one language; numbers of prose in the chosen style of digits."""

    sentences: Catalogue
    speech: Catalogue
    digit_style: str = "latin"

    @staticmethod
    def of(code: str = "en", digit_style: str = "latin") -> Words:
        """By a language's code; UsageError for a language or style that there is none of."""
        if digit_style not in DIGIT_STYLES:
            raise UsageError(f"there is no style of digits {digit_style!r}; there are {', '.join(DIGIT_STYLES)}")
        return Words(catalogue(code, "explain"), catalogue(code, "speech"), digit_style)

    @property
    def code(self) -> str:
        return self.sentences.code

    @property
    def direction(self) -> str:
        return self.sentences.direction

    def __call__(self, key: str, /, **values: int | str) -> str:
        """A sentence. Whole numbers are part of the prose; text is a formula, kept apart from it."""
        return self.sentences(key, **{name: self._gap(value) for name, value in values.items()})

    def counted(self, key: str, count: int, **values: int | str) -> str:
        """A sentence about so many: `key_one` where the count is 1."""
        return self(f"{key}_one" if count == 1 else key, count=count, **values)

    def note(self, note: Note) -> str:
        return self(note.key, **dict(note.values))

    def agreement(self, difference: Shown) -> str:
        """How far the two forms of a gradient are apart."""
        return self("scatter_equal", difference=difference.written) if difference.value else self("scatter_same")

    def apart(self, formula: str) -> str:
        """A formula within a line of prose."""
        return f"{ISOLATE}{formula}{END}" if self.direction == "rtl" else formula

    def _gap(self, value: int | str) -> str:
        if isinstance(value, str):
            return self.apart(value)
        return native_digits(str(value), self.code) if self.digit_style == "native" else str(value)
