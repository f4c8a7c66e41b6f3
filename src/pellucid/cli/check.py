"""`pellucid check`: a hand-worked solution, judged number by number."""

from pathlib import Path

import click

from pellucid.cli.output import json_option, json_result, result
from pellucid.cli.teaching import digits_option, language_option
from pellucid.errors import CheckFailedError


@click.command()
@click.argument("solution", type=click.Path(path_type=Path))
@language_option
@digits_option
@json_option
def command(solution: Path, language: str | None, digits: str, as_json: bool) -> None:
    """Judge the numbers that SOLUTION, a TOML file, states about a network or a layer.

    Each is right to the digits given, wrong, or right given an earlier slip: what the right rule gives from the
    numbers stated before it. docs/teaching.md describes the file. The exit code is 6 when something is wrong.

    \b
    pellucid check homework.toml --lang ko
    """
    from pellucid.languages import Prose
    from pellucid.lessons.marking import mark, text

    prose = Prose(language or "en", "check", digits)
    marked = mark(solution)
    json_result(marked.to_json(prose.of("findings"))) if as_json else result(text(marked, prose))
    if not marked.all_right:
        names = [finding.label for finding in marked.wrong]
        raise CheckFailedError(f"{len(names)} of {len(marked.findings)} numbers are wrong; the first is {names[0]}")
