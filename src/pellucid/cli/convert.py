"""`pellucid convert`: weights from PyTorch's files to safetensors."""

from typing import Any

import click

from pellucid.cli.output import json_option, json_result, result
from pellucid.errors import UsageError


@click.command()
@click.argument("source", metavar="FILE.pth")
@click.argument("target", metavar="FILE.safetensors")
@click.option("--key", metavar="NAME", help="Entry that holds the weights, where the file holds more than weights.")
@json_option
def command(source: str, target: str, key: str | None, as_json: bool) -> None:
    """Turn the weights that torch.save wrote to a .pth file into safetensors.

    Names, shapes and numbers stay the same. A .pth file may carry code; none of it is ever run: a file
    that holds more than tensors and plain values is refused. PyTorch is not needed.

    \b
    pellucid convert resnet18.pth resnet18.safetensors
    pellucid convert checkpoint.pth weights.safetensors --key state_dict
    """
    from pellucid.formats import convert_checkpoint
    from pellucid.train.settings import counted

    if not target.endswith(".safetensors"):
        raise UsageError(f"{target} is to hold safetensors: end its name in .safetensors.")
    tensors: dict[str, Any] = convert_checkpoint(source, target, key=key)
    numbers = sum(int(values.size) for values in tensors.values())
    if as_json:
        json_result({"file": target, "tensors": {n: list(v.shape) for n, v in tensors.items()}, "numbers": numbers})
    else:
        result(f"{target}: {counted(len(tensors), 'tensor')}, {counted(numbers, 'number')}")
