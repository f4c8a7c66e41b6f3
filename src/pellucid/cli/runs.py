"""What commands need from a stored run."""

from pathlib import Path
from typing import Any, Literal

import click

from pellucid.cli.output import message
from pellucid.cli.watch import data_progress
from pellucid.errors import UsageError

Which = Literal["best", "last"]

which_option = click.option(
    "--weights",
    "which",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Weights of the best or of the last epoch.",
)

engine_option = click.option("--engine", help="Engine that computes; native where it runs, unless named.")


def restore_data(run: Any, root: str | None) -> Any:
    """The data a run was trained on, cut in the same way; DataError when they are no longer the same."""
    from pellucid.data import restore

    with data_progress() as progress:
        return restore(run.data, root=root, progress=progress)


def evaluation_loss(run: Any) -> Any:
    """The loss the run was trained with; cross-entropy, and a word about it, for one made in Python."""
    from pellucid import losses

    training = run.config.get("training", {})
    stored = training.get("loss", losses.CrossEntropy.name)
    name = stored.get("name") if isinstance(stored, dict) else stored
    if name in losses.names():
        return losses.get(name, label_smoothing=training.get("label_smoothing", 0.0))
    message(f"The run's own loss, {name}, cannot be made here; the loss below is {losses.CrossEntropy.name}.")
    return losses.get(losses.CrossEntropy.name)


def model_or_run(name: str, options: dict[str, Any], which: Which = "best") -> tuple[Any, Any]:
    """A model by its name or from an ONNX file, or a stored run's model with that run (otherwise None)."""
    from pellucid import models
    from pellucid.train import load_run

    if name.endswith(".onnx"):
        from pellucid.formats.onnx import import_onnx

        if options:
            raise UsageError(f"{name} is a finished model: leave out --option.")
        return import_onnx(name), None

    path = Path(name)
    if name not in models.names() and path.is_dir():
        if options:
            raise UsageError(f"{name} is a run, whose model has its options already: leave out --option.")
        run = load_run(name, which=which)
        return run.model, run
    if path.exists() or len(path.parts) > 1:
        what = "is a file" if path.exists() else "does not exist"
        raise UsageError(f"{name} {what}: give the name of a model, a run folder, or an .onnx file.")
    return models.create(name, **options), None


def prepare(path: Path, data: dict[str, Any]) -> Any:
    """One image file (C, H, W) as a model sees it that was trained on the data described."""
    from pellucid.data import Normalisation, prepare_image

    channels, height, width = data["image_shape"]
    normalisation = Normalisation.from_json(data["normalisation"])
    return prepare_image(path, size=(height, width), channels=channels, normalisation=normalisation)


def image_size(model: Any) -> tuple[int, int] | None:
    """Height and width of the images a model was made for; None if any will do.

    Raises UsageError for a model that does not take images at all.
    """
    shape = model.input_shape
    if shape is None:
        return None
    if len(shape) != 3:
        raise UsageError(f"this model takes {shape[0]} numbers, not images. `pellucid models` lists those for images.")
    return shape[1], shape[2]
