"""A model with what turns its numbers into classes: the images as it wants them, and the classes' names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pellucid.cli.runs import Which, image_size, model_or_run, prepare
from pellucid.errors import DataError, UsageError


class Numbers(click.ParamType["tuple[float, ...]"]):
    """One number, or one for each channel, written 0.485,0.456,0.406."""

    name = "NUMBERS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Read the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(number) for number in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 0.485,0.456,0.406.", param, ctx)


@dataclass(frozen=True)
class Images:
    """What the user says about a model that does not know its own data; None where nothing was said."""

    classes: Path | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    def nothing(self) -> bool:
        """Whether nothing was said."""
        return self.classes is None and self.mean is None and self.std is None


@dataclass(frozen=True)
class Classifier:
    """A model, the names of its classes (None: their numbers), and how an image file becomes its input."""

    model: Any
    classes: Sequence[str] | None
    prepare: Callable[[Path], Any]

    def probabilities(self, images: Any, engine: str | None) -> Any:
        """The probability of every class for each image.

        Raises UsageError for a model that does not classify, or has other classes than are named.
        """
        from pellucid.execution import predict
        from pellucid.models.output import probabilities

        outputs = predict(self.model, images, engine=engine)
        scores = outputs.reshape(len(outputs), -1)
        if max(outputs.shape[1:]) != scores.shape[1] or scores.shape[1] < 2:
            shape = "x".join(map(str, outputs.shape[1:]))
            raise UsageError(f"this network gives no score for each class of an image, but {shape} numbers.")
        if self.classes is not None and len(self.classes) != scores.shape[1]:
            raise UsageError(f"the model has {scores.shape[1]} classes, but {len(self.classes)} are named.")
        return probabilities(self.model, scores)

    def name(self, number: int) -> str:
        """A class by its name, or its number as text."""
        return str(number) if self.classes is None else self.classes[number]


def classifier(name: str, which: Which, images: Images) -> Classifier:
    """The classifier of a run folder, or of an ONNX file with what was said about its images."""
    from pellucid.train import load_run

    if name.endswith(".onnx"):
        return _of_file(name, images)
    run = load_run(name, which=which)
    if not images.nothing():
        raise UsageError(f"{name} is a run, which knows its classes and images: leave out --classes, --mean and --std.")
    return Classifier(run.model, run.data["classes"], lambda path: prepare(path, run.data))


def _of_file(name: str, images: Images) -> Classifier:
    from pellucid.data import Normalisation, prepare_image

    model, _ = model_or_run(name, {})
    size = image_size(model)
    if size is None or 1 in size:
        raise UsageError(f"{name} does not say how large its images are. Export it with a fixed height and width.")
    channels = model.input_shape[0]
    normalisation = Normalisation(
        _each("--mean", images.mean or (0.0,), channels), _each("--std", images.std or (1.0,), channels)
    )
    return Classifier(
        model,
        None if images.classes is None else _names(images.classes),
        lambda path: prepare_image(path, size=size, channels=channels, normalisation=normalisation),
    )


def _each(option: str, numbers: tuple[float, ...], channels: int) -> tuple[float, ...]:
    from pellucid.train.settings import counted

    if len(numbers) not in (1, channels):
        has = counted(len(numbers), "number")
        raise UsageError(f"{option} has {has}, but the model's images have {counted(channels, 'channel')}.")
    return numbers * channels if len(numbers) == 1 else numbers


def _names(path: Path) -> list[str]:
    """The lines of a text file, the first for class 0."""
    try:
        names = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text file: give one with the name of a class on each line.") from None
    return [name.strip() for name in names if name.strip()]
