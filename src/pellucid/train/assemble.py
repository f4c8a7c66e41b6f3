"""Putting a training's moving parts together: the compiled step, prediction, loss and batches."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid import execution, losses, optim
from pellucid.data import Batches, Transform
from pellucid.errors import ConfigError
from pellucid.train.metrics import Evaluation, Predict, measure, one_hot
from pellucid.train.protocols import Machinery, Target
from pellucid.train.teachers import Teachers
from pellucid.training import compile_training

Array = NDArray[Any]

DEFAULT_LEARNING_RATE, DEFAULT_MOMENTUM = 0.05, 0.9
_PREDICT_BATCH = 128


def assemble(
    model: Any,
    splits: Any,
    batch_size: int,
    optimizer: Any,
    loss: Any,
    *,
    transforms: Sequence[Transform],
    seed: int,
    engine: str,
    dtype: str,
    threads: int | None,
    ema_decay: float,
    teachers: Sequence[Any],
    teacher_mirror: bool,
) -> tuple[Machinery, optim.Optimizer, losses.Loss]:
    """Compile the training step; return the parts, and the optimiser and loss as objects."""
    loss_function = losses.get(loss)
    optimizer = _optimizer(optimizer)
    _initialise(model, seed)
    shape = tuple(splits.train.image(0).shape)
    step = compile_training(
        model,
        batch_size,
        shape,
        loss_function,
        optimizer,
        engine,
        dtype=dtype,
        threads=threads,
        seed=seed,
        ema_decay=ema_decay,
    )
    classes = len(splits.classes)
    with ExitStack() as parts:
        parts.callback(step.close)
        infer = execution.compile(model, batch_size, shape, engine, dtype=dtype, threads=threads)
        parts.callback(infer.close)
        target: Target = functools.partial(_from_labels, loss_function, classes)
        if teachers:
            taught = Teachers(
                teachers, classes, batch_size, shape, engine, mirror=teacher_mirror, dtype=dtype, threads=threads
            )
            parts.callback(taught.close)
            target = taught.target
        close = parts.pop_all().close

    machinery = Machinery(
        step=step,
        predict=infer,
        refresh=infer.update,
        loss_value=functools.partial(_loss_value, execution.LossValue(loss_function, dtype), classes),
        target=target,
        batches=functools.partial(_batches, batch_size, seed, transforms),
        close=close,
    )
    return machinery, optimizer, loss_function


def evaluate(
    model: Any,
    dataset: Any,
    *,
    classes: list[str] | None = None,
    loss: Any = "cross_entropy",
    batch_size: int = _PREDICT_BATCH,
    engine: str | None = None,
    dtype: str = "float32",
    threads: int | None = None,
    mirror: bool = False,
) -> Evaluation:
    """Run a model over a dataset: loss, accuracy, confusion matrix, scores per class, worst mistakes.

    classes: their names, by default the dataset's own. mirror: take the mean of a model's outputs for each image and
    its mirror image (test-time augmentation). Raises ShapeError when the images do not fit.
    """
    loss_function = losses.get(loss)
    names = list(dataset.classes) if classes is None else classes
    shape = tuple(dataset.image(0).shape)
    infer = execution.compile(model, batch_size, shape, engine, dtype=dtype, threads=threads)
    try:
        return measure(
            _batches(batch_size, 0, (), dataset, None, 0),
            functools.partial(_mirrored, infer) if mirror else infer,
            functools.partial(_loss_value, execution.LossValue(loss_function, dtype), len(names)),
            names,
        )
    finally:
        infer.close()


def _mirrored(predict: Predict, images: Array) -> Array:
    """The mean of the outputs for the images and for their mirror images, left and right exchanged."""
    return (predict(images) + predict(np.ascontiguousarray(images[..., ::-1]))) / 2


def _optimizer(optimizer: Any) -> optim.Optimizer:
    """An optimiser as it is, by its name, or the usual one for None."""
    if optimizer is None:
        return optim.SGD(lr=DEFAULT_LEARNING_RATE, momentum=DEFAULT_MOMENTUM)
    if isinstance(optimizer, str):
        return optim.get(optimizer)
    if not isinstance(optimizer, optim.Optimizer):
        raise ConfigError(f"optimizer must be one of pellucid.optim, such as SGD(lr=0.05), but is {optimizer!r}.")
    return optimizer


def _initialise(model: Any, seed: int) -> None:
    """Give a model that has no values yet those of the training's seed."""
    if any(tensor.value is None for tensor in model.tensors().values()):
        model.init(seed)


def _batches(
    batch_size: int, seed: int, transforms: Sequence[Transform], dataset: Any, epoch: int | None, start: int
) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """Make the batches of an epoch, shuffled and transformed; without an epoch, the dataset as it is."""
    if epoch is None:
        return iter(Batches(dataset, batch_size, shuffle=False, start=start))
    return iter(Batches(dataset, batch_size, seed=seed, epoch=epoch, start=start, transforms=transforms))


def _from_labels(loss_function: losses.Loss, classes: int, images: Array, labels: NDArray[np.int64]) -> Array:
    """The target that labels alone make, whatever the images show."""
    return _target(loss_function, classes, labels)


def _target(loss_function: losses.Loss, classes: int, labels: NDArray[np.int64]) -> Array:
    """Give labels to the losses that take them, rows with a single 1 to the others."""
    if isinstance(loss_function, losses.CrossEntropy | losses.OutputCrossEntropy):
        return labels
    return one_hot(labels, classes)


def _loss_value(value: execution.LossValue, classes: int, output: Array, labels: NDArray[np.int64]) -> float:
    return value(output, _target(value.loss, classes, labels))
