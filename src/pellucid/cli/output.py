"""What commands print: results on stdout, messages for people on stderr."""

import contextlib
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


def result(text: str) -> None:
    """Print a result on stdout."""
    click.echo(text)


def message(text: str) -> None:
    """Tell a person something, on stderr, away from results; nobody need listen."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def json_result(value: Any) -> None:
    """Print a result as JSON on stdout."""
    click.echo(json_text(value))


def json_text(value: Any) -> str:
    """A value as JSON; NaN and infinities, which JSON does not have, become null."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """The value in JSON's types: arrays and NumPy's numbers become lists and numbers, paths become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows below a header, in columns as wide as their widest entry; columns of numbers end flush right."""
    cells = [[str(cell) for cell in row] for row in rows]
    columns = list(zip(*[list(header), *cells], strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    numeric = [all(re.fullmatch(r"[\d,.]+%?", cell) for cell in column[1:] if cell) for column in columns]

    def line(row: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([line(header), *(line(row) for row in cells)])


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
