"""The losses' case table: every loss with every kind of target, alone and in batches."""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.oracles import losses
from tests.oracles.result import Array

Target = npt.NDArray[np.generic]


@dataclass(frozen=True)
class LossCase:
    """A loss, the shape of the outputs it judges, and how the target is given."""

    kind: str
    batch: int
    classes: int
    target: str
    label_smoothing: float = 0.0

    @property
    def id(self) -> str:
        """A name that tells the case apart."""
        smoothed = f":smoothing={self.label_smoothing}" if self.label_smoothing else ""
        return f"{self.kind}:{self.batch}x{self.classes}:{self.target}{smoothed}"

    @property
    def seed(self) -> int:
        """A seed of the case's own."""
        return zlib.crc32(self.id.encode())

    def answer(self, z: Array, target: Target) -> tuple[float, Array]:
        """Value and gradient by plain loops."""
        if self.kind == "cross_entropy":
            return losses.cross_entropy(z, target, label_smoothing=self.label_smoothing)
        if self.kind == "output_cross_entropy":
            return losses.output_cross_entropy(z, target)
        return losses.mean_squared_error(z, target)


SHAPES = ((3, 4), (1, 4), (5, 2), (2, 10))
LOSS_CASES = (
    *(
        LossCase("cross_entropy", batch, classes, target, smoothing)
        for batch, classes in SHAPES
        for target in ("labels", "one-hot", "probabilities")
        for smoothing in (0.0, 0.1, 0.5)
    ),
    *(
        LossCase(kind, batch, classes, target)
        for kind in ("output_cross_entropy", "mean_squared_error")
        for batch, classes in (*SHAPES, (3, 1))
        for target in ("labels", "one-hot", "values")
        # A single output has no labels; squared differences are between numbers.
        if not (target == "labels" and (classes == 1 or kind == "mean_squared_error"))
    ),
)


def loss_inputs(case: LossCase) -> tuple[Array, Target]:
    """Outputs and target of a case; outputs are probabilities where the loss expects them."""
    generator = np.random.default_rng(case.seed)
    shape = (case.batch, case.classes)
    z = 2 * generator.normal(size=shape)
    if case.kind == "output_cross_entropy":
        z = generator.uniform(0.05, 0.95, size=shape)
    labels = generator.integers(case.classes, size=case.batch)
    if case.target == "labels":
        return z, labels
    if case.target == "one-hot":
        return z, losses.one_hot(labels, case.classes)
    values = generator.uniform(0.05, 0.95, size=shape)
    if case.target == "probabilities":
        values /= values.sum(axis=1, keepdims=True)
    return z, values
