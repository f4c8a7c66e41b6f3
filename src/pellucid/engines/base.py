"""What every engine offers: a program goes in, something that runs comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pellucid.notation import Program

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Recipe:
    """A program that is written only where it must be.

    `key` decides what `write` returns: an engine that has compiled a program of that key before need not see it again.
    """

    key: str
    write: Callable[[], Program]


class Executable(Protocol):
    """A program made ready to run."""

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs from the given tensors, all by name.

        The arrays have the shapes of their tensors; float tensors the executable's dtype, integer tensors int64.
        State that the program updates is overwritten in its array. The outputs are arrays that nobody
        else has.
        """

    def close(self) -> None:
        """Give back memory and threads; a closed executable cannot run."""


class Engine(Protocol):
    """A way to run programs."""

    name: str

    def compile(self, program: Program | Recipe, *, dtype: str = "float32", threads: int | None = None) -> Executable:
        """Make a program ready to run; a dtype the engine does not compute in is a UsageError."""
