"""One sheet of what was seen: its picture, what it shows, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid.look.colours import Array


@dataclass(frozen=True)
class View:
    """A PNG under a file name without its ending, a sentence that explains it, and its numbers.

    `rows` are a table to stand beside the picture, `facts` what is told as data, `arrays` the numbers themselves.
    """

    kind: str
    name: str
    title: str
    text: str
    png: bytes
    rows: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
