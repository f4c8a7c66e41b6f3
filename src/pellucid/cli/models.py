"""`pellucid models`: what can be trained."""

from collections.abc import Mapping

import click

from pellucid.cli.output import json_option, json_result, result, table


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the models that can be trained, with their input, size and default training."""
    from pellucid import models

    rows = []
    for name in models.names():
        model = models.create(name)
        shape = tuple(model.input_shape) if model.input_shape else None
        summary = model.summary(input_shape=shape) if shape else None
        rows.append(
            {
                "name": name,
                "paper": models.source(name),
                "input_shape": shape,
                "classes": model.classes,
                "parameters": summary.parameters if summary else None,
                "multiply_adds": summary.multiply_adds if summary else None,
                "options": models.options(name),
                "defaults": dict(models.defaults(name)),
            }
        )
    if as_json:
        json_result(rows)
        return
    header = ["model", "input", "classes", "parameters", "multiply-adds", "options"]
    result(table([text_row(row) for row in rows], header))


def text_row(row: Mapping[str, object]) -> list[object]:
    """A model's row of the table."""
    shape, options = row["input_shape"], row["options"]
    return [
        row["name"],
        "x".join(map(str, shape)) if isinstance(shape, tuple) else "any",
        row["classes"] or "",
        f"{row['parameters']:,}" if row["parameters"] is not None else "",
        f"{row['multiply_adds']:,}" if row["multiply_adds"] is not None else "",
        ", ".join(f"{key}={value}" for key, value in options.items()) if isinstance(options, dict) else "",
    ]
