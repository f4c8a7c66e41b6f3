"""Where a training run stands: everything besides the numbers in the network and the optimiser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "images_per_second",
    "seconds",
    "learning_rate",
)


@dataclass
class TrainingState:
    """The position of a run. Epochs and batches count what is finished; sums belong to the epoch under way.

    There are no random generators to save: every random number is a function of the seed and a position.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    learning_rate: float = 0.0
    best: Row | None = None
    since_best: int = 0
    history: list[Row] = field(default_factory=list)
    finished: str | None = None

    def start_epoch(self) -> None:
        """Clear what belongs to a single epoch."""
        self.batch, self.loss_sum, self.correct, self.seen, self.seconds = 0, 0.0, 0, 0, 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the state as a table of plain values."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "TrainingState":
        """Rebuild a state. Raises ValueError when something is missing or not of its kind."""
        values = {}
        for name, kinds in _KINDS.items():
            if name not in table:
                raise ValueError(f"{name} is missing")
            value = table[name]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}")
            values[name] = value
        state = cls(**values)
        counters = (state.epoch, state.batch, state.step, state.correct, state.seen, state.since_best)
        if min(counters) < 0 or len(state.history) != state.epoch:
            raise ValueError("its counters contradict each other")
        state.history = [_checked_row(row) for row in state.history]
        state.best = None if state.best is None else _checked_row(state.best)
        return state


def better(row: Row, best: Row | None) -> bool:
    """Say whether an epoch is the best so far: by validation accuracy, then by validation loss.

    Without a validation split the training figures decide.
    """
    return best is None or _merit(row) > _merit(best)


def _merit(row: Row) -> tuple[float, float]:
    split = "train" if row["validation_accuracy"] is None else "validation"
    return row[f"{split}_accuracy"], -row[f"{split}_loss"]


def _checked_row(row: Any) -> Row:
    """Return a stored row with its columns in their order."""
    if not isinstance(row, dict) or set(row) != set(COLUMNS):
        raise ValueError("its history is not a list of epochs")
    for name, value in row.items():
        absent = value is None and name.startswith("validation_")
        if not absent and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ValueError(f"its history has {name} = {value!r}")
    return {name: row[name] for name in COLUMNS}


_KINDS: dict[str, Any] = {
    "epoch": int,
    "batch": int,
    "step": int,
    "loss_sum": (int, float),
    "correct": int,
    "seen": int,
    "seconds": (int, float),
    "learning_rate": (int, float),
    "best": (dict, type(None)),
    "since_best": int,
    "history": list,
    "finished": (str, type(None)),
}
