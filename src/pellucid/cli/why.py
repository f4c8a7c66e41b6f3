"""What `pellucid why-nan` and `pellucid why-zero` share: from their arguments to a chain."""

from collections.abc import Callable
from typing import Any

import click

from pellucid.cli.arguments import model_option, model_options
from pellucid.cli.explain import class_number, from_file, numbered
from pellucid.cli.output import json_option, json_result, result
from pellucid.cli.runs import Which, evaluation_loss, model_or_run, which_option
from pellucid.errors import UsageError


def question(function: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options of both commands."""
    decorators = [
        click.argument("model", metavar="RUN_OR_MODEL"),
        click.argument("image"),
        click.argument("what"),
        click.option("--target", metavar="CLASS", help="Class for the loss; known for an image by number."),
        click.option(
            "--split",
            type=click.Choice(["test", "validation", "train"]),
            default="test",
            show_default=True,
            help="Where an image by number is taken from.",
        ),
        click.option("--training", is_flag=True, help="Compute as while training: dropout, statistics of the batch."),
        click.option("--seed", default=0, show_default=True, help="Seed of dropout's random numbers."),
        click.option("--step", default=0, show_default=True, help="Training step of dropout's random numbers."),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float64"]),
            default="float32",
            show_default=True,
            help="Precision of the computation.",
        ),
        which_option,
        model_option,
        click.option("--data-root", metavar="FOLDER", help="Where the run's data are now, if they have moved."),
        json_option,
    ]
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def answer(
    why: Callable[..., Any],
    model: str,
    image: str,
    what: str,
    target: str | None,
    split: str,
    training: bool,
    seed: int,
    step: int,
    dtype: str,
    which: Which,
    options: tuple[str, ...],
    data_root: str | None,
    as_json: bool,
) -> None:
    """Run the network, find the chain, print it."""
    import numpy as np

    from pellucid.explain import locate
    from pellucid.look.record import record

    network, run = model_or_run(model, model_options(options), which)
    picture = (
        numbered(network, run, int(image), split, data_root) if image.isdecimal() else from_file(network, run, image)
    )
    label = picture.label if target is None else class_number(target, picture.classes)
    name, coordinates = locate.parse(what)
    if label is None and name.startswith(("d ", "loss")):
        raise UsageError(f'"{what}" depends on the right class of the image: name it with --target.')
    labels = None if label is None else np.array([label])
    loss = "cross_entropy" if run is None else evaluation_loss(run)
    tensor, known = record(
        network, picture.pixels[None], name, labels, loss, training=training, seed=seed, step=step, dtype=dtype
    )
    chain = why(known, tensor, coordinates)
    if as_json:
        json_result({"what": what, "label": label, **chain.to_json()})
    else:
        result(str(chain))
