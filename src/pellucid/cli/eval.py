"""`pellucid eval`: how good a trained model is on a split of its data."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from pellucid.cli.output import json_option, json_result, message, result, table
from pellucid.cli.runs import Which, engine_option, evaluation_loss, restore_data, which_option
from pellucid.errors import CheckFailedError, DataError, UsageError

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
QUANTITIES = ("accuracy", "loss")


@dataclass(frozen=True)
class Requirement:
    """What must hold for a quantity, such as accuracy>=0.99."""

    quantity: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Read `accuracy>=0.99`; UsageError for anything else."""
        parts = re.fullmatch(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*([0-9.eE+-]+%?)\s*", text)
        try:
            if parts is None or parts[1] not in QUANTITIES:
                raise ValueError
            bound = float(parts[3].rstrip("%")) / (100 if parts[3].endswith("%") else 1)
        except ValueError:
            raise UsageError(
                f"--require {text!r}: write one of {' or '.join(QUANTITIES)}, a comparison and a number, "
                "such as 'accuracy>=0.99' (in quotes, because of the shell)."
            ) from None
        return cls(parts[1], parts[2], bound)

    def holds(self, values: dict[str, float]) -> bool:
        """Whether it holds; a value that is not a number never does."""
        return COMPARISONS[self.comparison](values[self.quantity], self.bound)


@click.command()
@click.argument("run")
@click.option(
    "--split",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    show_default=True,
    help="Which images.",
)
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="CHECK",
    help="Exit with 6 unless it holds: 'accuracy>=0.99'.",
)
@which_option
@click.option("--data-root", metavar="FOLDER", help="Where the data are now, if they have moved.")
@click.option("--mirror", is_flag=True, help="Average over each image and its mirror image.")
@engine_option
@json_option
def command(
    run: str,
    split: str,
    requirements: tuple[str, ...],
    which: Which,
    data_root: str | None,
    mirror: bool,
    engine: str | None,
    as_json: bool,
) -> None:
    """Measure the model of a RUN folder on the images that its training kept apart.

    \b
    pellucid eval runs/a
    pellucid eval runs/a --split test --require 'accuracy>=0.99' --json
    """
    from pellucid.train import evaluate, load_run

    if run.endswith(".onnx"):
        raise UsageError(
            f"{run} is a model without data of its own, and eval measures on the images that a training kept apart. "
            "`pellucid predict` classifies images with it."
        )
    required = [Requirement.parse(text) for text in requirements]
    trained = load_run(run, which=which)
    splits = restore_data(trained, data_root)
    dataset = splits.split(split)
    if dataset is None:
        raise DataError(f"{run}: its data have no {split} images: {splits.origins[split]}.")
    evaluation = evaluate(trained.model, dataset, loss=evaluation_loss(trained), engine=engine, mirror=mirror)
    if as_json:
        json_result({"run": run, "split": split, "weights": which, "mirror": mirror} | evaluation.to_json())
    else:
        result(as_text(f"{split}, averaged over mirror images" if mirror else split, evaluation))
    check(required, {"accuracy": evaluation.accuracy, "loss": evaluation.loss})


def check(required: list[Requirement], values: dict[str, float]) -> None:
    """Say of each requirement whether it holds; CheckFailedError if one does not."""
    failed = [needed for needed in required if not needed.holds(values)]
    for needed in required:
        if needed not in failed:
            message(f"holds: {needed.quantity} {values[needed.quantity]:.4f} {needed.comparison} {needed.bound:g}")
    if failed:
        raise CheckFailedError(
            "; ".join(
                f"{f.quantity} must be {f.comparison} {f.bound:g}, but is {values[f.quantity]:.4f}" for f in failed
            )
        )


def as_text(split: str, evaluation: Any) -> str:
    """The evaluation for people: one line in all, and one for each class."""
    rows = [
        [score.name, f"{score.support:,}", percent(score.precision), percent(score.recall)]
        for score in evaluation.per_class
    ]
    return f"{split}: {evaluation}\n\n" + table(rows, ["class", "images", "precision", "recall"])


def percent(share: float | None) -> str:
    """A share as a percentage; nothing where there is none."""
    return "" if share is None else f"{share:.1%}"
