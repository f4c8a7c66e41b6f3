"""The curves of the depth experiment: as a table, as data, as a picture, and what they say in words.

The training error is the part of the training images that the network got wrong while it learned from them, in
the course of an epoch, changed at random if the budget says so.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pellucid.errors import MissingExtraError
from pellucid.formats.files import replace_file
from pellucid.train import plots

COLUMNS = ("network", "depth", "seed", "epoch", "train_error", "validation_error", "train_loss", "learning_rate")


@dataclass(frozen=True)
class Curve:
    """One trained network: its kind ("plain" or "resnet"), depth and seed, and the rows of its metrics.csv."""

    kind: str
    depth: int
    seed: int
    history: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        """Such as plain20."""
        return f"{self.kind}{self.depth}"

    @property
    def train_errors(self) -> list[float]:
        """The training error in each epoch."""
        return [1 - row["train_accuracy"] for row in self.history]

    @property
    def validation_errors(self) -> list[float | None]:
        """The validation error after each epoch, where there are validation images."""
        values = [row["validation_accuracy"] for row in self.history]
        return [None if value is None else 1 - value for value in values]

    def rows(self) -> list[dict[str, Any]]:
        """One row for each epoch."""
        errors = zip(self.history, self.train_errors, self.validation_errors, strict=True)
        return [
            {
                "network": self.name,
                "depth": self.depth,
                "seed": self.seed,
                "epoch": row["epoch"],
                "train_error": train,
                "validation_error": validation,
                "train_loss": row["train_loss"],
                "learning_rate": row["learning_rate"],
            }
            for row, train, validation in errors
        ]


def write_curves(folder: Path, curves: Sequence[Curve], budget: dict[str, Any]) -> str:
    """Write curves.csv, curves.json and, with matplotlib, curves.png; return what to say without it."""
    rows = [row for curve in curves for row in curve.rows()]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(folder / "curves.csv", text.getvalue().encode())
    document = {"budget": budget, "summary": summary(curves), "curves": rows}
    replace_file(folder / "curves.json", (json.dumps(document, indent=2) + "\n").encode())
    try:
        replace_file(folder / "curves.png", draw(curves))
    except MissingExtraError as error:
        return f"The picture was not drawn. {error}"
    return ""


def summary(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """For each network the mean, over its seeds, of the errors in the last epoch, and their range."""
    found = []
    for name in dict.fromkeys(curve.name for curve in curves):
        own = [curve for curve in curves if curve.name == name]
        train = [curve.train_errors[-1] for curve in own]
        validation = [value for curve in own if (value := curve.validation_errors[-1]) is not None]
        found.append(
            {
                "network": name,
                "kind": own[0].kind,
                "depth": own[0].depth,
                "seeds": len(own),
                "epochs": len(own[0].history),
                "train_error": fmean(train),
                "train_error_range": [min(train), max(train)],
                "validation_error": fmean(validation) if validation else None,
                "seconds": sum(row["seconds"] for curve in own for row in curve.history),
            }
        )
    return found


def verdict(curves: Sequence[Curve]) -> str:
    """What the curves say about depth, and no more: each comparison, and whether the seeds agree."""
    by_name = {row["network"]: row for row in summary(curves)}
    depths = sorted({curve.depth for curve in curves})
    lines = []
    if len(depths) > 1:
        shallow, deep = depths[0], depths[-1]
        lines = [_compared(by_name[f"{kind}{deep}"], by_name[f"{kind}{shallow}"]) for kind in ("plain", "resnet")]
    lines += [_compared(by_name[f"resnet{depth}"], by_name[f"plain{depth}"]) for depth in depths]
    if max(row["seeds"] for row in by_name.values()) == 1:
        lines.append("One seed each: small differences may be chance.")
    return "\n".join(lines)


def _compared(one: dict[str, Any], other: dict[str, Any]) -> str:
    difference = one["train_error"] - other["train_error"]
    word = "above" if difference > 0 else "below" if difference < 0 else "as is"
    apart = (
        one["train_error_range"][0] > other["train_error_range"][1]
        or one["train_error_range"][1] < other["train_error_range"][0]
    )
    seeds = "" if one["seeds"] == 1 else ", for every pair of seeds" if apart else ", but the seeds overlap"
    error, reference = one["train_error"], other["train_error"]
    return (
        f"{one['network']} ends with a training error of {error:.2%}, {word} the {reference:.2%} "
        f"of {other['network']}{seeds}."
    )


def draw(curves: Sequence[Curve]) -> bytes:
    """A PNG of the training errors over the epochs: plain networks left, residual ones right, on one scale.

    Deeper networks are drawn with thicker, unbroken lines; several seeds share a colour.
    """
    depths = sorted({curve.depth for curve in curves})
    styles = dict(zip(depths, [(0, (4, 2)), "-", (0, (1, 1)), "-."], strict=False))
    with plots.drawing(9.0, 3.9) as figure:
        both = figure.subplots(1, 2, sharey=True)
        for axes, kind, title, colour in zip(
            both, ("plain", "resnet"), ("plain", "residual"), (plots.ORANGE, plots.BLUE), strict=True
        ):
            named: set[int] = set()
            for curve in (curve for curve in curves if curve.kind == kind):
                epochs = [row["epoch"] for row in curve.history]
                label = f"{curve.depth} layers" if curve.depth not in named else None
                named.add(curve.depth)
                width = 1.4 if curve.depth == depths[0] else 2.4
                marker = "o" if len(epochs) == 1 else ""
                axes.plot(
                    epochs,
                    curve.train_errors,
                    color=colour,
                    linestyle=styles.get(curve.depth, "-"),
                    linewidth=width,
                    marker=marker,
                    label=label,
                )
            plots.dress(axes, title)
            axes.set_ylim(bottom=0)
            if named:
                axes.legend(frameon=False)
        both[0].set_ylabel("training error")
        return plots.png(figure)
