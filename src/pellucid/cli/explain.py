"""`pellucid explain`: one number of a network, opened into its arithmetic."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pellucid.cli.arguments import check_name, model_option, model_options
from pellucid.cli.output import json_option, json_text, message, result
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
from pellucid.errors import ResourceError, UsageError
from pellucid.languages import CODES, DIGIT_STYLES

DEFAULT_DATA = "digits"
OPTIMIZER_ARGUMENTS = ("lr", "momentum", "nesterov", "weight_decay", "betas", "eps")


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
@click.option(
    "--as", "form", type=click.Choice(["text", "latex", "mathml", "speech", "json", "html"]), default="text",
    show_default=True, help="What to write; text is coloured on a terminal.",
)  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write there instead of to stdout.")
@click.option(
    "--depth", type=click.IntRange(0), default=0, metavar="N", help="Open the numbers in it N levels further."
)
@click.option("--full", is_flag=True, help="Show every term of long sums.")
@click.option(
    "--digits", type=click.IntRange(1, 17), default=6, show_default=True, help="Significant digits of the result."
)
@click.option(
    "--fractions", is_flag=True, help="Compute exactly, in fractions, where all that is computed is rational."
)
@click.option("--lang", type=click.Choice(CODES), default="en", show_default=True, help="Language of the prose.")
@click.option(
    "--digit-style", type=click.Choice(DIGIT_STYLES), default="latin", show_default=True,
    help="Digits of the counts in prose; native ones for Persian.",
)  # fmt: skip
@click.option("--training", is_flag=True, help="Let the layers behave as while training: dropout, batch statistics.")
@click.option("--no-proof", is_flag=True, help="Leave out a gradient's scatter form and finite difference.")
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
    form: str,
    out: str | None,
    depth: int,
    full: bool,
    digits: int,
    fractions: bool,
    lang: str,
    digit_style: str,
    training: bool,
    no_proof: bool,
    which: Which,
    options: tuple[str, ...],
    data_root: str | None,
    as_json: bool,
) -> None:
    """Open the number WHAT of a network into the arithmetic that gives it.

    IMAGE is a file, or the number of an image among the run's test images. A MODEL by name is untrained,
    with the weights of seed 0; numbers then mean images of the data set digits. WHAT is a layer's output, a
    weight, a pixel, the loss, the gradient of the loss by any of them (d ...), a parameter after the optimiser's
    next step (update ...), or predict.

    \b
    pellucid explain runs/a 0 "conv1[2,3,4]" --depth 1
    pellucid explain runs/a 0 "d conv1.weight[2,0,1,1]" --as html --out opened.html
    pellucid explain runs/a digit.png "loss" --target 7
    pellucid explain runs/a 0 "update fc1.weight[0,3]" --lang tr
    pellucid explain lenet5 0 "fc3[0]" --full
    """
    from pellucid.explain import explain

    network, run = model_or_run(model, model_options(options), which)
    if image.isdecimal():
        picture = numbered(network, run, int(image), split, data_root)
    else:
        picture = from_file(network, run, image)
    label = picture.label if target is None else class_number(target, picture.classes)
    if label is None and what.strip().startswith(("d ", "loss", "update ")):
        raise UsageError(f'"{what}" depends on the right class of the image: name it with --target.')
    loss = "cross_entropy" if run is None else evaluation_loss(run)
    updating = update_state(run, which) if what.strip().startswith("update ") and run is not None else {}
    explanation = explain(
        network, picture.pixels[None], what, label, loss, full=full, depth=depth, digits=digits, fractions=fractions,
        proof=not no_proof, lang=lang, digit_style=digit_style, training=training, **updating,
    )  # fmt: skip
    if as_json or form == "json":
        value = explanation.value
        tree = {"what": what, "label": label, "text": str(explanation), **explanation.json()}
        written = json_text({**tree, "value": value if isinstance(value, int | float) else str(value)})
    else:
        written = rendered(explanation, form, out)
    deliver(written, out)


def rendered(explanation: Any, form: str, out: str | None) -> str:
    """The explanation in one of the forms; text in colours, and with pictures, where a terminal reads it."""
    if form == "text":
        if out is None and sys.stdout.isatty():
            return str(explanation.terminal(colours="NO_COLOR" not in os.environ))
        return str(explanation)
    return str(getattr(explanation, form)())


def deliver(written: str, out: str | None) -> None:
    """Print on stdout, or write to a file; ResourceError where the disk refuses."""
    if out is None:
        result(written.rstrip("\n"))
        return
    try:
        Path(out).write_text(written.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{out} cannot be written: {error.strerror}.") from error
    message(f"Written to {out}")


def update_state(run: Any, which: Which) -> dict[str, Any]:
    """A run's optimiser at the rate of its next step, with what it remembers and the number of steps done.

    The run's model gets the weights that the next step begins from, where it had their running averages.
    """
    from pellucid import optim
    from pellucid.train import checkpoint
    from pellucid.training import CURRENT

    stored = checkpoint.load(run.folder / "ckpt" / which)
    settings = dict(run.config.get("optimizer", {}))
    name = settings.pop("name", None)
    if name not in optim.names():
        raise UsageError(f"the run's own optimizer, {name}, cannot be made here; open its updates in Python.")
    if "betas" in settings:
        settings["betas"] = tuple(settings["betas"])
    current = {name.removeprefix(CURRENT): a for name, a in stored.state.items() if name.startswith(CURRENT)}
    if current:
        message("The run validates running averages of its weights; the update below is of the weights themselves.")
        run.model.load(current)
    memory = {name: array for name, array in stored.state.items() if name.startswith("optimizer.")}
    optimizer = optim.get(name, **{key: value for key, value in settings.items() if key in OPTIMIZER_ARGUMENTS})
    step = int(stored.state["counter.step"])
    optimizer.lr *= rate_factor(run, step)
    return {"optimizer": optimizer, "optimizer_state": memory, "step": step}


def rate_factor(run: Any, step: int) -> float:
    """What a run's schedule multiplies the learning rate by after so many steps; 1 for one made in Python."""
    from pellucid.train import schedules

    training = run.config.get("training", {})
    schedule = training.get("schedule", "constant")
    if not isinstance(schedule, str):
        message("The run's own schedule cannot be made here; the learning rate below is the one before it.")
        return 1.0
    images = run.data["splits"]["train"]["images"]
    return schedules.get(schedule, schedules.total_steps(images, training["batch_size"], training["epochs"]))(step)


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
