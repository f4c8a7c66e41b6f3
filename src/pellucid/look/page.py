"""The page that shows all sheets: one file, without anything from a network."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.look.view import View
from pellucid.train.page import Picture, figure, section, table, text
from pellucid.train.page import page as whole


def page(views: Sequence[View], title: str, lead: str) -> str:
    """The sheets below each other, each with what it shows and its table."""
    body = [f"<h1>{text(title)}</h1>", f"<p>{text(lead)}</p>"]
    for view in views:
        picture = Picture(view.png, f"{view.title}. {view.text}")
        rows = table(f"{view.title}, in numbers", view.rows)
        body.append(section(view.title, f"<p>{text(view.text)}</p>", figure(picture), rows))
    return whole(title, body)
