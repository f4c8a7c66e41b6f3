"""`pellucid derive`: an equation, and everything that is derived from it."""

from typing import Any

import click

from pellucid.cli.config import parse_value
from pellucid.cli.output import json_option, json_result, result
from pellucid.cli.teaching import digits_option, language_option
from pellucid.errors import UsageError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="LAYER", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[--ARGUMENT VALUE]...")
@click.option("--latex", "as_latex", is_flag=True, help="Print LaTeX in place of plain text.")
@click.option("--steps", is_flag=True, help="Print the derivation step by step, with the rule of each.")
@click.option("--path", metavar="START..END", help="Derive along a path through the model LAYER names.")
@language_option
@digits_option
@json_option
def command(
    name: str | None,
    arguments: tuple[str, ...],
    as_latex: bool,
    steps: bool,
    path: str | None,
    language: str | None,
    digits: str,
    as_json: bool,
) -> None:
    """Print the equations of LAYER, and the gradients derived from them.

    Losses and optimisers are equations, too. The constructor's arguments are options of the same name;
    without LAYER, the command lists what there is.

    \b
    pellucid derive conv2d --stride 2 --padding 1
    pellucid derive maxpool2d --kernel-size 3,2 --ties all
    pellucid derive softmax+cross_entropy --latex
    pellucid derive conv2d --steps --lang tr
    pellucid derive lenet5 --path conv1..loss --steps
    """
    from pellucid import models
    from pellucid.derivation import derivable_names, derive_by_name, derive_path
    from pellucid.derivation import steps as stepwise
    from pellucid.languages import Prose

    if name is None:
        names = derivable_names()
        json_result(names) if as_json else result("\n".join(names))
        return
    given = parse_arguments(arguments)
    if path is not None:
        derivation = derive_path(models.create(name, **given), path, name)
    elif name in models.names():
        raise UsageError(f"{name} is a model: name a path through it, as in --path conv1..loss.")
    else:
        derivation = derive_by_name(name, given)
    prose = Prose(language or "en", "derive", digits)
    if as_json:
        found = {
            "title": derivation.title,
            "forward": [str(equation) for equation in derivation.forward],
            "gradients": [str(equation) for equation in derivation.gradients],
            "latex": derivation.latex(),
        }
        json_result({**found, "steps": stepwise.json_of(derivation, prose)} if steps else found)
    elif steps:
        result((stepwise.latex_of if as_latex else stepwise.text_of)(derivation, prose).rstrip("\n"))
    else:
        result((derivation.latex() if as_latex else derivation.text()).rstrip("\n"))


def parse_arguments(words: tuple[str, ...]) -> dict[str, Any]:
    """Constructor arguments from `--stride 2`, `--stride=2`, `--stride 2,1`, `--flip` and `--no-bias`.

    Raises UsageError for words that are none of these; whether the names exist is the constructor's to say.
    """
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise UsageError(f"{word!r} is not an argument of a layer; write --name value, as in --stride 2.")
        key, equals, value = word[2:].partition("=")
        if not equals and rest and not rest[0].startswith("--"):
            equals, value = "=", rest.pop(0)
        key = key.replace("-", "_")
        if equals:
            found[key] = argument_value(value)
        elif key.startswith("no_"):
            found[key[3:]] = False
        else:
            found[key] = True
    return found


def argument_value(text: str) -> Any:
    """A number, true or false, a pair such as 2,1 as a tuple, or text."""
    if "," in text:
        return tuple(parse_value(part.strip()) for part in text.strip("()").split(","))
    return parse_value(text)
