"""What an exercise is: what is given, what is asked, the answers, and what the usual misconceptions would answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mistake:
    """A misconception, by its key in the catalogue `exercise`, and what it answers."""

    key: str
    answer: Array


@dataclass(frozen=True)
class Question:
    """One tensor or number that is asked for, by its name."""

    name: str
    answer: Array
    mistakes: tuple[Mistake, ...] = ()

    @property
    def telling(self) -> bool:
        """Whether every misconception can be told from the truth and from the others."""
        answers = [self.answer, *(mistake.answer for mistake in self.mistakes)]
        return not any(np.array_equal(a, b) for a, b in itertools.combinations(answers, 2))


@dataclass(frozen=True)
class Exercise:
    """One exercise. `task` is the key of its sentence in the catalogue, `values` fill its gaps; `given` is printed."""

    kind: str
    seed: int
    task: str
    values: Mapping[str, int | str]
    given: Mapping[str, Array]
    questions: tuple[Question, ...]

    @property
    def telling(self) -> bool:
        """Whether wrong answers say which misconception they come from."""
        return all(question.telling for question in self.questions)
