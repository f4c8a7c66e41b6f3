"""What training needs from the rest of the library, and no more; tests stand in for it with small fakes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pellucid.train.metrics import LossValue, Predict

Array = NDArray[Any]


class Model(Protocol):
    """A network."""

    @property
    def parameters(self) -> Mapping[str, Array]:
        """What training changes, by name."""

    @property
    def states(self) -> Mapping[str, Array]:
        """What the network itself changes while it is trained, by name."""

    def load(self, values: Any, /) -> Any:
        """Take over all parameters and states; names and shapes must fit."""


class TrainingStep(Protocol):
    """One update of a network's parameters, and everything that changes with it."""

    @property
    def output(self) -> Array:
        """The network's output (n, K) in the last step, before the update."""

    def __call__(self, x: Array, y: Array, *, learning_rate: float | None = None) -> float:
        """Update the parameters with a batch; return its loss."""

    def state_dict(self) -> dict[str, Array]:
        """Return copies of everything that changes: parameters under "model.", and the rest."""

    def load_state_dict(self, state: dict[str, Array], /) -> None:
        """Take over such a state exactly."""

    def write_back(self) -> None:
        """Give the model the parameters as they are now."""

    def first_nonfinite(self, x: Array, y: Array) -> str | None:
        """Name the first layer whose value is not finite for a batch, with the parameters as they are."""

    def close(self) -> None:
        """Release threads and memory."""


class Dataset(Protocol):
    """Images (N, C, H, W) with labels (N,)."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image."""

    def __len__(self) -> int: ...

    def image(self, index: int, /) -> NDArray[np.float32]:
        """Return one image (C, H, W) as the network sees it."""


class Splits(Protocol):
    """A dataset in parts that are kept apart."""

    @property
    def train(self) -> Any:
        """The part that is learned from."""

    @property
    def validation(self) -> Any:
        """The part that decides when to stop and what is best, or None."""

    @property
    def test(self) -> Any:
        """The part that training never sees, or None."""

    @property
    def classes(self) -> list[str]:
        """The names of the classes."""

    def description(self) -> str:
        """Return sizes and origin, for people."""

    def to_json(self) -> dict[str, Any]:
        """Return sizes, counts and a fingerprint, for data.json."""


# (dataset, epoch or None for the dataset's own order, first batch) -> batches (x, labels)
MakeBatches = Callable[[Any, int | None, int], Iterator[tuple[Array, NDArray[np.int64]]]]

# (images, labels) -> what the loss compares the network's output with
Target = Callable[[Array, NDArray[np.int64]], Array]


@dataclass(frozen=True)
class Machinery:
    """The moving parts of a training, put together by `fit` or by a test.

    `target` is for training, not for validation. `predict` uses the model's parameters as they were
    at the last `refresh`.
    """

    step: TrainingStep
    predict: Predict
    refresh: Callable[[], None]
    loss_value: LossValue
    target: Target
    batches: MakeBatches
    close: Callable[[], None] = lambda: None  # release threads and memory of everything above
