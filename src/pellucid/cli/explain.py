"""`pellucid explain`: one number of a network, opened into its arithmetic."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pellucid.cli.arguments import check_name, model_option, model_options
from pellucid.cli.output import json_option, json_result, result
from pellucid.cli.runs import (
    Which,
    evaluation_loss,
    image_size,
    model_or_run,
    prepare,
    restore_data,
    which_option,
)
from pellucid.cli.watch import data_progress
from pellucid.errors import UsageError

DEFAULT_DATA = "digits"


@dataclass(frozen=True)
class Picture:
    """An image (C, H, W) as the network sees it, and its label where that is known."""

    pixels: Any
    label: int | None
    classes: list[str]


@click.command()
@click.argument("model", metavar="MODEL_OR_RUN")
@click.argument("image")
@click.argument("what")
@click.option("--target", metavar="CLASS", help="Class for the loss and the gradients; known for an image by number.")
@click.option(
    "--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True,
    help="Where an image by number is taken from.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="Show every term of long sums.")
@which_option
@model_option
@click.option("--data-root", metavar="FOLDER", help="Where the run's data are now, if they have moved.")
@json_option
def command(
    model: str,
    image: str,
    what: str,
    target: str | None,
    split: str,
    full: bool,
    which: Which,
    options: tuple[str, ...],
    data_root: str | None,
    as_json: bool,
) -> None:
    """Open the number WHAT of a network into the arithmetic that gives it.

    IMAGE is a file, or the number of an image among the run's test images. A MODEL by name is untrained,
    with the weights of seed 0; numbers then mean images of the data set digits.

    \b
    pellucid explain runs/a 0 "conv1[2,3,4]"
    pellucid explain runs/a 0 "d conv1.weight[2,0,1,1]"
    pellucid explain runs/a digit.png "loss" --target 7
    pellucid explain lenet5 0 "fc3[0]" --full
    """
    from pellucid.explain import explain

    network, run = model_or_run(model, model_options(options), which)
    if image.isdecimal():
        picture = numbered(network, run, int(image), split, data_root)
    else:
        picture = from_file(network, run, image)
    label = picture.label if target is None else class_number(target, picture.classes)
    if label is None and what.strip().startswith(("d ", "loss")):
        raise UsageError(f'"{what}" depends on the right class of the image: name it with --target.')
    loss = "cross_entropy" if run is None else evaluation_loss(run)
    explanation = explain(network, picture.pixels[None], what, label, loss, full=full)
    if as_json:
        json_result({"what": what, "value": explanation.value, "label": label, "text": str(explanation)})
    else:
        result(str(explanation))


def numbered(network: Any, run: Any, number: int, split: str, root: str | None) -> Picture:
    """An image of the run's data, or of the default data in the size of the model."""
    from pellucid.data import load

    if run is not None:
        splits = restore_data(run, root)
    else:
        with data_progress() as progress:
            splits = load(DEFAULT_DATA, size=image_size(network), channels=network.input_shape[0], progress=progress)
    dataset = splits.split(split)
    count = 0 if dataset is None else len(dataset)
    if dataset is None or number >= count:
        raise UsageError(f"there is no image {number}: the data have {count} {split} images, numbered from 0.")
    return Picture(dataset.image(number), int(dataset.labels[number]), splits.classes)


def from_file(network: Any, run: Any, name: str) -> Picture:
    """An image file, prepared like the run's images, or like those of the default data."""
    from pellucid.data import load

    if run is not None:
        return Picture(prepare(Path(name), run.data), None, run.data["classes"])
    splits = load(DEFAULT_DATA, size=image_size(network), channels=network.input_shape[0])
    return Picture(prepare(Path(name), splits.to_json()), None, splits.classes)


def class_number(target: str, classes: list[str]) -> int:
    """The number of a class by its name."""
    return classes.index(check_name("class", target, classes))
