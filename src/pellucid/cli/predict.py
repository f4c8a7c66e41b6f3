"""`pellucid predict`: the classes of image files, with a trained model."""

from pathlib import Path
from typing import Any

import click

from pellucid.cli.classifier import Classifier, Images, Numbers, classifier
from pellucid.cli.output import json_option, json_result, message, result, table
from pellucid.cli.runs import Which, engine_option, which_option
from pellucid.errors import DataError

BATCH = 64


@click.command()
@click.argument("model", metavar="RUN_OR_ONNX")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--top", default=1, show_default=True, type=click.IntRange(min=1), help="How many classes to name.")
@click.option(
    "--bad-files",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="Unreadable images: exit with 3 after the others are done, or leave them out.",
)
@click.option("--classes", type=click.Path(path_type=Path), metavar="FILE", help="Names for an ONNX model, one a line.")
@click.option("--mean", type=Numbers(), help="What an ONNX model wants subtracted from pixels of 0 to 1.")
@click.option("--std", type=Numbers(), help="What it wants them divided by then.")
@which_option
@engine_option
@json_option
def command(
    model: str,
    paths: tuple[str, ...],
    top: int,
    bad_files: str,
    classes: Path | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    which: Which,
    engine: str | None,
    as_json: bool,
) -> None:
    """Classify image files, and the images in folders, with the model of a run folder or an ONNX file.

    An ONNX file does not know its classes, which are numbered then, nor how its images were normalised.

    \b
    pellucid predict runs/a digit.png
    pellucid predict runs/a photos/ more/x.jpg --top 3 --json
    pellucid predict resnet50.onnx cat.jpg --classes names.txt --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    known = classifier(model, which, Images(classes, mean, std))
    predictions, unreadable = [], {}
    batch: list[tuple[Path, Any]] = []
    for path in image_files(paths):
        try:
            batch.append((path, known.prepare(path)))
        except DataError as error:
            unreadable[str(path)] = str(error)
        if len(batch) == BATCH:
            predictions += classify(known, batch, top, engine)
            batch = []
    predictions += classify(known, batch, top, engine)
    show(predictions, unreadable, as_json)
    if unreadable and bad_files == "error":
        raise DataError(f"{len(unreadable)} of {len(unreadable) + len(predictions)} images cannot be read (see above).")


def image_files(paths: tuple[str, ...]) -> list[Path]:
    """The files named, and in place of a folder the image files below it, in the order of their names."""
    from pellucid.data.listing import FolderTree

    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = [path.joinpath(*file.parts) for file in FolderTree(path).listing().files]
            if not inside:
                raise DataError(f"{path}: there are no images in this folder.")
            found += inside
        else:
            found.append(path)
    return found


def classify(known: Classifier, batch: list[tuple[Path, Any]], top: int, engine: str | None) -> list[dict[str, Any]]:
    """The most probable classes of each image."""
    import numpy as np

    if not batch:
        return []
    probabilities = known.probabilities(np.stack([image for _, image in batch]), engine)
    rows = []
    for (path, _), row in zip(batch, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:top]
        ranked = [{"class": known.name(int(k)), "probability": float(row[k])} for k in best]
        rows.append({"path": str(path), **ranked[0], "top": ranked})
    return rows


def show(predictions: list[dict[str, Any]], unreadable: dict[str, str], as_json: bool) -> None:
    """Print predictions as results, what could not be read as messages (in JSON: in the result, too)."""
    if as_json:
        failed = [{"path": path, "error": error} for path, error in unreadable.items()]
        json_result({"predictions": predictions, "unreadable": failed})
    elif predictions:
        rows = [
            [
                row["path"],
                ", ".join(f"{choice['class']} {choice['probability']:.1%}" for choice in row["top"]),
            ]
            for row in predictions
        ]
        result(table(rows, ["image", "class"]))
    for error in unreadable.values():
        message(f"unreadable: {error}")
