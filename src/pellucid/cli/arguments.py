"""Arguments that several commands share: shapes, key=value pairs, models by name."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import click

from pellucid.cli.config import parse_pair
from pellucid.errors import UsageError


class ImageShape(click.ParamType["tuple[int, ...]"]):
    """Channels, height and width of an image, written 1,28,28 or 1x28x28."""

    name = "C,H,W"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read the three numbers."""
        if isinstance(value, tuple):
            return value
        numbers = re.fullmatch(r"(\d+)[,x](\d+)[,x](\d+)", str(value).replace(" ", ""))
        if not numbers or "0" in numbers.groups():
            self.fail(f"{value!r} is not channels, height and width, such as 1,28,28.", param, ctx)
        return tuple(int(number) for number in numbers.groups())


model_option = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the model, such as activation=tanh; repeatable.",
)


def model_options(pairs: Iterable[str]) -> dict[str, Any]:
    """The options of `--option`, as the model's constructor takes them."""
    return dict(parse_pair(pair, "--option") for pair in pairs)


def suggestion(wanted: str, known: Iterable[str]) -> str:
    """A sentence that names the one that was meant, or all there are."""
    names = list(known)
    close = difflib.get_close_matches(wanted, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."


def check_name(what: str, wanted: str, known: Iterable[str]) -> str:
    """The name itself, or a UsageError with a suggestion."""
    names = list(known)
    if wanted not in names:
        raise UsageError(f"There is no {what} {wanted!r}. {suggestion(wanted, names)}")
    return wanted
