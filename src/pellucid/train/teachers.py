"""Knowledge distillation: a network learns the probabilities that trained networks give, not the labels.

Sources: Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015 (here at temperature 1); that
the teachers look at the very image the student sees, random changes included: Beyer et al., "Knowledge
distillation: a good teacher is patient and consistent", CVPR 2022.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid import execution
from pellucid.errors import UsageError
from pellucid.models.output import probabilities

Array = NDArray[Any]


class Teachers:
    """Trained networks whose probabilities are the targets of another one, for batches of up to `batch_size` images.

    Each batch is dealt out to them in equal parts, so that many cost no more time than one. Batches are shuffled
    anew in every epoch: sooner or later each image meets each teacher. As cross-entropy is linear in its targets,
    the gradient is on average that of the mean of all their probabilities. With `mirror` every second image is shown
    to them with left and right exchanged, so that the mean is over both views too.

    Raises UsageError for a network with another number of classes, ShapeError when the images do not fit one.
    """

    def __init__(
        self,
        models: Sequence[Any],
        classes: int,
        batch_size: int,
        image_shape: tuple[int, ...],
        engine: str,
        *,
        mirror: bool,
        dtype: str,
        threads: int | None,
    ) -> None:
        self._models, self._mirror, self._dtype = models, mirror, dtype
        self._part = -(-batch_size // len(models))
        self._predictions: list[execution.Inference] = []
        try:
            for number, model in enumerate(models, 1):
                infer = execution.compile(model, self._part, image_shape, engine, dtype=dtype, threads=threads)
                self._predictions.append(infer)
                given = infer(np.zeros((self._part, *image_shape), np.float32)).shape[1:]
                if given != (classes,):
                    raise UsageError(
                        f"teacher {number} gives outputs of shape {given} for an image, but the data have"
                        f" {classes} classes"
                    )
        except BaseException:
            self.close()
            raise

    def target(self, images: Array, labels: NDArray[np.int64]) -> Array:
        """The targets (n, K) for images (n, C, H, W); the labels do not matter."""
        if self._mirror:
            images = images.copy()
            images[::2] = images[::2, ..., ::-1]
        parts = []
        for k, (model, infer) in enumerate(zip(self._models, self._predictions, strict=True)):
            mine = images[k * self._part : (k + 1) * self._part]
            if len(mine):
                parts.append(probabilities(model, infer(mine)))
        return np.concatenate(parts).astype(self._dtype)

    def close(self) -> None:
        """Release threads and memory."""
        for infer in self._predictions:
            infer.close()
