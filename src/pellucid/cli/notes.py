"""`pellucid notes`: the worked examples of the lecture notes, run and explained."""

import click

from pellucid.cli.output import json_option, json_result, result
from pellucid.cli.teaching import digits_option, language_option


@click.command()
@click.argument("name", required=False)
@click.argument("example", required=False)
@language_option
@digits_option
@json_option
def command(name: str | None, example: str | None, language: str | None, digits: str, as_json: bool) -> None:
    """Run the worked examples of the lecture notes NAME, or one EXAMPLE of them, and explain them.

    What the notes state stands beside what is true; where it first goes wrong is located, and what follows from it.
    Without a NAME, list the notes. The language is that of the notes unless --lang names another.

    \b
    pellucid notes training
    pellucid notes exercise backward --lang en
    """
    from pellucid.lessons.teaching import contents, teach, text

    if name is None:
        rows = contents(language, digits)
        if as_json:
            json_result([_listed(*row) for row in rows])
            return
        for notes, code, title, examples in rows:
            result(f"{notes} ({code}): {title}")
            for one, heading in examples:
                result(f"  {one}: {heading}")
        return
    taught = teach(name, example, language, digits)
    json_result(taught.to_json()) if as_json else result(text(taught, digits).rstrip("\n"))


def _listed(name: str, language: str, title: str, examples: list[tuple[str, str]]) -> dict[str, object]:
    return {"name": name, "language": language, "title": title, "examples": dict(examples)}
