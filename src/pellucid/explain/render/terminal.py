"""A document for a terminal: the text in colours, with its receptive fields drawn."""

from __future__ import annotations

from pellucid.explain.document import Document
from pellucid.explain.field import Field
from pellucid.explain.render import picture, text
from pellucid.explain.render.words import Words

COLOURS = {"value": "1", "label": "36", "indices": "33", "note": "3"}
"""Select-graphic-rendition codes: bold, cyan, yellow, italic."""


def painted(kind: str, piece: str) -> str:
    """A piece of text in its colour."""
    return f"\x1b[{COLOURS[kind]}m{piece}\x1b[0m" if piece else piece


def render(document: Document, words: Words, *, colours: bool = True) -> str:
    """Text and pictures; without colours, as NO_COLOR asks, the pictures are made of characters."""
    lines = [text.render(document, words, painted if colours else text.unpainted)]
    for field in document.fields:
        lines += [caption(field, words), picture.blocks(field) if colours else picture.characters(field), ""]
    return "\n".join(lines)


def caption(field: Field, words: Words) -> str:
    """What a picture of a receptive field shows."""
    (top, bottom), (left, right) = field.box[2:]
    return words(
        "field", tensor=field.tensor.name, channel=field.channel, top=top, bottom=bottom, left=left, right=right
    )
