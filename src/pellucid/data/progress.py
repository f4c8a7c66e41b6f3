"""What a long data operation tells its caller while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """How far a download or the reading of many images has come.

    ``total`` is None when it is not known; ``unit`` says what ``done`` counts.
    """

    task: str
    done: int
    total: int | None
    unit: Literal["bytes", "images"]


ProgressCallback = Callable[[Progress], None]
