"""`pellucid summary`: a model layer by layer."""

from typing import Any

import click

from pellucid.cli.arguments import ImageShape, model_option, model_options
from pellucid.cli.output import json_option, json_result, result
from pellucid.cli.runs import model_or_run


@click.command()
@click.argument("model", metavar="MODEL_OR_RUN")
@click.option("--input-shape", type=ImageShape(), help="Image that the model is given, such as 1,28,28.")
@model_option
@json_option
def command(model: str, input_shape: tuple[int, ...] | None, options: tuple[str, ...], as_json: bool) -> None:
    """List the layers of a model or a trained run's model: shapes, parameters, cost for one image.

    \b
    pellucid summary lenet5
    pellucid summary notes-cnn --option classes=26 --input-shape 1,28,28
    pellucid summary runs/a --json
    """
    network, run = model_or_run(model, model_options(options))
    summary: Any = network.summary(input_shape or (tuple(run.data["image_shape"]) if run else None))
    if as_json:
        json_result({"model": model} | summary.to_json())
    else:
        result(str(summary))
