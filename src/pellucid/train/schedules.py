"""Learning-rate schedules: pure functions of the step, so that a resumed run continues on the same curve.

A schedule is called with the number of update steps already made and returns the factor by which the
optimiser's learning rate is multiplied for the next one. Any such function will do; these are the usual
ones.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pellucid.errors import ConfigError

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout."""

    def __call__(self, step: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """Multiply the learning rate by `factor` after every `every` steps."""

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(f"StepDecay: every must be at least 1 step, but is {self.every}.")

    def __call__(self, step: int) -> float:
        """Return factor ** floor(step / every)."""
        return float(self.factor ** (step // self.every))


@dataclass(frozen=True)
class Cosine:
    """Fall from 1 to `floor` over `steps` steps along half a cosine, then stay (Loshchilov & Hutter 2017)."""

    steps: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"Cosine: steps must be at least 1, but is {self.steps}.")

    def __call__(self, step: int) -> float:
        """Return floor + (1 - floor) * (1 + cos(pi * step / steps)) / 2."""
        part = min(step / self.steps, 1.0)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * part))


@dataclass(frozen=True)
class LinearWarmup:
    """Rise evenly to the full learning rate over `steps` steps, then follow `after`, counted from there."""

    steps: int
    after: Schedule = Constant()

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"LinearWarmup: steps must be at least 1, but is {self.steps}.")

    def __call__(self, step: int) -> float:
        """Return (step + 1) / steps while warming up: the first step already learns a little."""
        return (step + 1) / self.steps if step < self.steps else self.after(step - self.steps)


WARMUP_PART = 0.05  # of all steps, for the schedules made by name

NAMES = ("constant", "step", "cosine", "warmup", "warmup-cosine")


def total_steps(images: int, batch_size: int, epochs: int) -> int:
    """The update steps of a whole training; the last batch of an epoch may be a smaller one."""
    return epochs * -(-images // batch_size)


def get(name: str, total_steps: int) -> Schedule:
    """Make one of the usual schedules for a training of `total_steps` steps.

    "constant"; "step": divided by 10 after each third; "cosine": down to 0 at the end; "warmup" and
    "warmup-cosine": the first 5 % of the steps rise linearly. Raises ConfigError for another name.
    """
    total = max(total_steps, 1)
    warmup = max(1, round(total * WARMUP_PART))
    made: dict[str, Schedule] = {
        "constant": Constant(),
        "step": StepDecay(every=math.ceil(total / 3)),
        "cosine": Cosine(total),
        "warmup": LinearWarmup(warmup),
        "warmup-cosine": LinearWarmup(warmup, after=Cosine(max(total - warmup, 1))),
    }
    if name not in made:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"There is no learning-rate schedule {name!r}; there are {', '.join(NAMES)}.{hint}")
    return made[name]


def describe(schedule: object) -> dict[str, Any]:
    """Return a schedule as a table for config.toml: its name and its numbers."""
    if dataclasses.is_dataclass(schedule) and not isinstance(schedule, type):
        table: dict[str, Any] = {"name": type(schedule).__name__}
        for field in dataclasses.fields(schedule):
            value = getattr(schedule, field.name)
            table[field.name] = describe(value) if callable(value) else value
        return table
    return {"name": getattr(schedule, "__qualname__", type(schedule).__name__)}
