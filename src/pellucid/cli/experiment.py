"""`pellucid experiment`: several trainings that together answer a question."""

from typing import Any

import click

from pellucid.cli.output import json_option, json_result, message, result, table
from pellucid.cli.watch import data_progress


@click.group()
def command() -> None:
    """Run an experiment: several trainings that together answer a question."""


class Numbers(click.ParamType["tuple[int, ...]"]):
    """Whole numbers separated by commas, such as 20,56."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read the numbers."""
        if isinstance(value, tuple):
            return value
        words = str(value).replace(" ", "").split(",")
        if not all(word.isdecimal() for word in words):
            self.fail(f"{value!r} is no list of whole numbers, such as 20,56.", param, ctx)
        return tuple(map(int, words))


@command.command()
@click.argument("data")
@click.option("--out", required=True, metavar="FOLDER", help="Folder of the experiment; the same one continues it.")
@click.option("--depths", type=Numbers(), default="20,56", show_default=True, help="Depths of the networks.")
@click.option("--seeds", type=Numbers(), default="0", show_default=True, help="Each network is trained from each seed.")
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True, help="Passes over the images.")
@click.option("--images", type=click.IntRange(1), help="Train on so many of the training images, not on all.")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Images per step.")
@click.option("--lr", type=float, default=0.1, show_default=True, help="Learning rate at the start.")
@click.option("--schedule", default="step", show_default=True, help="Course of the learning rate.")
@click.option("--augment", default="flip,crop", show_default=True, help="Random changes to the images, or none.")
@click.option("--size", type=click.IntRange(1), help="Resize the images to this side.")
@click.option("--validation", type=float, default=0.1, show_default=True, help="Share kept for validation.")
@click.option("--data-root", metavar="FOLDER", help="Folder that holds the data set's files.")
@click.option("--download", is_flag=True, help="Download the data set when it is not there.")
@click.option("--engine", help="Engine that computes.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the engine.")
@json_option
def depth(
    data: str,
    out: str,
    depths: tuple[int, ...],
    seeds: tuple[int, ...],
    size: int | None,
    validation: float,
    data_root: str | None,
    download: bool,
    engine: str | None,
    threads: int | None,
    as_json: bool,
    **budget: Any,
) -> None:
    """Train plain and residual networks of several depths under one budget; draw their training errors.

    \b
    pellucid experiment depth cifar10 --out runs/depth
    pellucid experiment depth digits --size 16 --depths 20 --epochs 5 --augment none --out runs/quick

    Writes curves.csv, curves.json, curves.png and a run folder for each network. Called again with the same folder,
    it continues where it was stopped.
    """
    from pellucid.data import load
    from pellucid.experiments import Budget, run
    from pellucid.experiments.curves import summary, verdict

    with data_progress() as progress:
        splits = load(data, root=data_root, download=download, size=size, validation=validation, progress=progress)
    message(splits.description())
    curves = run(
        splits, out, depths, seeds, Budget(**budget), engine=engine, threads=threads, progress=True, tell=message
    )
    rows = summary(curves)
    if as_json:
        json_result({"folder": out, "budget": budget, "networks": rows, "verdict": verdict(curves).splitlines()})
        return
    header = ("network", "epochs", "seeds", "training error", "validation error", "minutes")
    cells = [
        (
            row["network"],
            row["epochs"],
            row["seeds"],
            f"{row['train_error']:.2%}",
            "" if row["validation_error"] is None else f"{row['validation_error']:.2%}",
            f"{row['seconds'] / 60:.1f}",
        )
        for row in rows
    ]
    result(f"{table(cells, header)}\n\n{verdict(curves)}")
