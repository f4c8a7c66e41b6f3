"""Catalogues: for each subject and language a JSON file of sentences with named gaps.

`en/explain.json` and its three translations hold the same keys with the same gaps; a test keeps it so. A
sentence says only prose: numbers and formulas are put into its gaps by whoever asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pellucid.errors import UsageError

CODES = ("en", "tr", "fa", "ko")
"""English, Turkish, Persian, Korean."""

RIGHT_TO_LEFT = frozenset({"fa"})


@dataclass(frozen=True)
class Catalogue:
    """The sentences of one subject in one language; call it with a key and the values of the gaps."""

    code: str
    subject: str
    sentences: Mapping[str, str]

    @property
    def direction(self) -> str:
        """Where prose runs: "rtl" or "ltr"; mathematics runs from left to right in every language."""
        return "rtl" if self.code in RIGHT_TO_LEFT else "ltr"

    def __call__(self, key: str, /, **values: object) -> str:
        """The sentence of that key, its gaps filled; KeyError, a mistake of ours, for a key or gap it lacks."""
        return self.sentences[key].format(**values)


def catalogue(code: str, subject: str) -> Catalogue:
    """The catalogue of a subject in a language; UsageError for a language there is none for."""
    if code not in CODES:
        raise UsageError(f"there is no language {code!r}; there are {', '.join(CODES)}")
    return Catalogue(code, subject, _sentences(code, subject))


def subjects() -> list[str]:
    """The subjects that there are catalogues for, in the alphabet's order."""
    folder = files("pellucid.languages") / "en"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


@cache
def _sentences(code: str, subject: str) -> Mapping[str, str]:
    source = files("pellucid.languages") / code / f"{subject}.json"
    found: dict[str, str] = json.loads(source.read_text(encoding="utf-8"))
    return found
