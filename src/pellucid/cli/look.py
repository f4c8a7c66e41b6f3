"""`pellucid look`: what is inside a network, as pictures."""

from pathlib import Path
from typing import Any

import click

from pellucid.cli.arguments import model_option, model_options
from pellucid.cli.explain import class_number, from_file, numbered
from pellucid.cli.output import json_option, json_result, message, result, table
from pellucid.cli.runs import Which, engine_option, model_or_run, restore_data, which_option

VIEWS = "receptive,feature-maps,filters,saliency,guided,grad-cam,occlusion,deconv,top"


@click.command()
@click.argument("model", metavar="RUN_OR_MODEL")
@click.argument("image")
@click.option("--what", metavar="VIEWS", help=f"Some of {VIEWS}; all that fit, unless named.")
@click.option("--layer", metavar="NAME", help="The layer to look at, such as conv2.")
@click.option("--channel", type=int, metavar="K", help="One channel of the layer.")
@click.option("--class", "name", metavar="NAME", help="Class to explain; the most probable one, unless named.")
@click.option(
    "--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True,
    help="Where an image by number is taken from, and where `top` searches.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures; RUN/look, unless named.")
@which_option
@model_option
@engine_option
@click.option("--data-root", metavar="FOLDER", help="Where the run's data are now, if they have moved.")
@json_option
def command(
    model: str,
    image: str,
    what: str | None,
    layer: str | None,
    channel: int | None,
    name: str | None,
    split: str,
    out: Path | None,
    which: Which,
    options: tuple[str, ...],
    engine: str | None,
    data_root: str | None,
    as_json: bool,
) -> None:
    """Draw what a network makes of an image: its fields, maps and filters, and where a class comes from.

    IMAGE is a file, or the number of an image among the run's test images. A MODEL by name is untrained,
    with the weights of seed 0; numbers then mean images of the data set digits. Writes PNG sheets, their
    numbers (numbers.npz) and report.html.

    \b
    pellucid look runs/a 0
    pellucid look runs/a 0 --what grad-cam,occlusion --class 7
    pellucid look runs/a digit.png --what deconv,top --layer conv2
    pellucid look vgg16 cat.jpg --what receptive --out fields
    """
    from pellucid.look.gallery import look, write
    from pellucid.look.subject import Choice, Subject

    network, run = model_or_run(model, model_options(options), which)
    picture = (
        numbered(network, run, int(image), split, data_root) if image.isdecimal() else from_file(network, run, image)
    )
    label = None if name is None else class_number(name, picture.classes)
    kinds = None if what is None else [kind.strip() for kind in what.split(",")]
    images = searched(network, run, split, data_root) if kinds is None or "top" in kinds else None
    subject = Subject(network, picture.pixels, picture.classes, Choice(layer, channel, label), images, engine)
    views = look(subject, kinds)
    folder = out or (Path("runs") / f"look-{Path(model).stem}" if run is None else Path(model) / "look")
    told = lead(subject, image, split)
    files = write(views, f"Inside {Path(model).name}", told, folder)
    reported = run is not None and into_report(Path(model), told, folder, views)
    if as_json:
        shown = [{"kind": v.kind, "file": f"{v.name}.png", "title": v.title, **v.facts} for v in views]
        json_result({"image": image, "folder": folder, "views": shown})
        return
    result(table([[f"{view.name}.png", view.title] for view in views], ["file", "what it shows"]))
    for view in views:
        if view.kind == "receptive":
            result(f"\n{table([list(row.values()) for row in view.rows], list(view.rows[0]))}")
    also = f"; {Path(model) / 'report.html'} shows them, too" if reported else ""
    message(f"Open {files[-1]} to see them{also}.")


def into_report(run: Path, told: str, folder: Path, views: list[Any]) -> bool:
    """Show the sheets in the run's own report, if it has one and they were written into its folder."""
    from pellucid.look.sheet import small
    from pellucid.train import inside

    if not folder.resolve().is_relative_to(run.resolve()):
        return False
    sheets = [inside.Sheet(folder / f"{view.name}.png", view.title, small(view.png)) for view in views]
    return inside.show(run, told, folder / "report.html", sheets)


def searched(network: Any, run: Any, split: str, root: str | None) -> Any:
    """The images among which `top` searches; None where there are none for this network."""
    from pellucid.cli.explain import DEFAULT_DATA
    from pellucid.cli.runs import image_size
    from pellucid.data import load

    if run is not None:
        return restore_data(run, root).split(split)
    return load(DEFAULT_DATA, size=image_size(network), channels=network.input_shape[0]).split(split)


def lead(subject: Any, image: str, split: str) -> str:
    """One sentence about the image and its class."""
    from pellucid.errors import UsageError

    where = f"Image {image} of the {split} images" if image.isdecimal() else f"The image {Path(image).name}"
    try:
        best = subject.probabilities.argmax()
        name, share = subject.class_name(best), subject.probabilities[best]
    except UsageError:
        return f"{where}."
    return f"{where}: the network says {name}, with a probability of {share:.1%}."
