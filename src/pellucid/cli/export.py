"""`pellucid export`: a model for other programs."""

from pathlib import Path
from typing import Any

import click

from pellucid.cli.arguments import ImageShape, model_option, model_options
from pellucid.cli.output import json_option, json_result, message, result
from pellucid.cli.runs import Which, model_or_run, which_option
from pellucid.errors import UsageError

IMAGES = 4  # that the exported model is compared on


@click.command()
@click.argument("model", metavar="MODEL_OR_RUN")
@click.option("--out", required=True, metavar="FILE", help="File to write; one that is there is replaced.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "safetensors"]),
    help="What to write; told by the ending of the file's name if left out.",
)
@click.option("--input-shape", type=ImageShape(), help="Image that the model is given, such as 1,28,28.")
@which_option
@model_option
@json_option
def command(
    model: str,
    out: str,
    file_format: str | None,
    input_shape: tuple[int, ...] | None,
    which: Which,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the model of a RUN, a model by its name, or one in an .onnx file, for other programs.

    An ONNX file holds the whole model, for inference; it is checked, run, and compared with the model.
    A safetensors file holds the weights, by the names that PyTorch uses.

    \b
    pellucid export runs/a --out a.onnx
    pellucid export runs/a --out a.safetensors --weights last
    """
    kind = file_format or Path(out).suffix.removeprefix(".")
    if kind not in ("onnx", "safetensors"):
        raise UsageError(f"{out} does not say what to write: end it in .onnx or .safetensors, or give --format.")
    network, run = model_or_run(model, model_options(options), which)
    if run is None and not model.endswith(".onnx"):
        message(f"{model} is not a run: its weights are initial ones.")
    shape = input_shape or (tuple(run.data["image_shape"]) if run else None)
    if kind == "safetensors":
        from pellucid.formats import save_model
        from pellucid.train.settings import counted

        save_model(network, out, network.spec)
        count = len(network.tensors())
        json_result({"file": out, "tensors": count}) if as_json else result(f"{out}: {counted(count, 'tensor')}")
        return
    write_onnx(network, out, shape, as_json)


def write_onnx(network: Any, out: str, shape: tuple[int, ...] | None, as_json: bool) -> None:
    """Write the file, run it, and print by how much its numbers differ."""
    from dataclasses import asdict

    from pellucid.formats.onnx import difference, export_onnx
    from pellucid.formats.onnx.exporting import example, shape_of

    export_onnx(network, out, shape)
    found = difference(network, out, example(network, shape_of(network, shape), IMAGES))
    json_result({"file": out} | asdict(found)) if as_json else result(f"{out}: {found}")
