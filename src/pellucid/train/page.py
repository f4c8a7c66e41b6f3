"""Pages: one file that opens anywhere, offline, on a telephone and in the dark.

No scripts, no fonts, nothing loaded from anywhere: pictures are inside the file, and a content security
policy makes the browser refuse anything else. Every text from the user (class names, paths, settings) is
escaped.
"""

import base64
import html
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows, for those who cannot see it."""

    png: bytes
    description: str


def page(title: str, body: Iterable[str]) -> str:
    """A whole page of these parts; empty ones are left out."""
    return _PAGE.format(title=text(title), style=_STYLE, body="\n".join(part for part in body if part))


def section(title: str, *parts: str, place: str = "") -> str:
    """A part of the page below a heading; `place` is its identifier, for those that link there."""
    content = "\n".join(part for part in parts if part)
    opened = f'<section id="{text(place)}">' if place else "<section>"
    return f"{opened}\n<h2>{text(title)}</h2>\n{content}\n</section>"


def table(caption: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same keys as a table, the first column their names; nothing for no rows."""
    if not rows:
        return ""
    columns = list(rows[0])
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    lines = []
    for row in rows:
        first = f'<th scope="row">{text(row[columns[0]])}</th>'
        lines.append(f"<tr>{first}{''.join(f'<td>{text(row[column])}</td>' for column in columns[1:])}</tr>")
    table = (
        f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )
    return scrolling(caption, table)


def scrolling(label: str, table: str) -> str:
    """Let a wide table scroll inside itself, also by keyboard, so that the page never does."""
    return f'<div class="scroll" role="region" aria-label="{text(label)}" tabindex="0">{table}</div>'


def pairs(table: Mapping[str, Any]) -> str:
    """Names and their values."""
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in table.items())
    return f'<dl class="pairs">{items}</dl>' if items else ""


def figure(picture: Picture) -> str:
    """A picture, inside the page."""
    return f"<figure>{_image(picture)}</figure>"


def previews(pictures: Iterable[tuple[Picture, str, str]]) -> str:
    """Small pictures side by side, each with the address it leads to and its caption, which says what it shows."""
    items = "".join(
        f'<li><a href="{text(quote(address))}">{_image(picture)}{text(caption)}</a></li>'
        for picture, address, caption in pictures
    )
    return f'<ul class="previews">{items}</ul>' if items else ""


def anchor(address: str, caption: str) -> str:
    """A link to a file beside the page."""
    return f'<a href="{text(quote(address))}">{text(caption)}</a>'


def _image(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    return f'<img alt="{text(picture.description)}" src="data:image/png;base64,{data}">'


def command(*words: Any) -> str:
    """A call of `pellucid`, to be copied into a shell."""
    return f"<pre tabindex='0'>{text(shlex.join(['pellucid', *map(str, words)]))}</pre>"


def text(value: Any) -> str:
    """Anything as escaped text."""
    return html.escape(str(value), quote=True)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { --ink: #1a1a1a; --paper: #ffffff; --soft: #f2f4f7; --line: #cfd6de; --quiet: #56606b;
  --right: #d6e8f5; --wrong: #fbe3d3; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #15181c; --soft: #1f242a; --line: #3a424c; --quiet: #a9b3be;
    --right: #173c55; --wrong: #55301a; --accent: #6cb8e6; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 0; }
.facts div { background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; }
.facts dt { color: var(--quiet); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.notice { border-left: .3rem solid var(--accent); background: var(--soft); padding: .6rem .8rem; }
figure { margin: 1rem 0; }
.previews { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); align-items: start; }
.previews a { display: block; border: 1px solid var(--line); border-radius: .5rem; padding: .6rem; color: inherit;
  overflow-wrap: anywhere; }
.previews img { display: block; max-width: 100%; max-height: 12rem; border-radius: .3rem; margin: 0 auto .4rem; }
a { color: var(--accent); }
a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
figure img { display: block; max-width: min(100%, 44rem); height: auto; border-radius: .4rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll:focus-visible, pre:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: .4rem; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: right; white-space: nowrap; }
thead th { background: var(--soft); }
tbody th { text-align: left; font-weight: 600; }
.matrix td { text-align: center; }
.matrix .right { background: var(--right); font-weight: 600; }
.matrix .wrong { background: var(--wrong); }
.matrix .none { color: var(--quiet); }
.pairs { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .25rem 1rem; }
.pairs dt { color: var(--quiet); overflow-wrap: anywhere; }
.pairs dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .8rem; border-radius: .5rem; overflow-x: auto; font-size: .9rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { body { font-size: 11pt; } section { break-inside: avoid; } }
"""
