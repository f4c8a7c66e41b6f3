"""report.html: complete, self-contained, and safe with any text from outside."""

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from pellucid.train.metrics import Evaluation
from pellucid.train.page import Picture
from pellucid.train.report import Report, render

NASTY = "<script>alert('x')</script>&\"'"
ROW = {
    "epoch": 1,
    "train_loss": 0.25,
    "train_accuracy": 0.9,
    "validation_loss": None,
    "validation_accuracy": None,
    "images_per_second": 1234.5,
    "seconds": 65.0,
    "learning_rate": 0.1,
}


def make(**changes: Any) -> Report:
    values: dict[str, Any] = {
        "title": f"run {NASTY}",
        "history": [ROW],
        "best": ROW,
        "evaluation": Evaluation(4, 0.5, 0.75, np.array([[2, 1], [0, 1]]), [NASTY, "cat"]),
        "part": "validation",
        "summary": [{"layer": NASTY, "kind": "Conv2d", "parameters": "156"}],
        "totals": {"parameters": "61,706"},
        "data_text": f"folder {NASTY}\n  train 10 images",
        "config": {"seed": 0, "model": {NASTY: NASTY, "nothing": None}, "epochs": 3},
        "environment": {"python": "3.11", "packages": {"numpy": NASTY}},
        "pictures": {"curves": Picture(b"\x89PNG", NASTY), "worst": Picture(b"\x89PNG2", "x")},
        "notice": f"notice {NASTY}",
    }
    return Report(**{**values, **changes})


class Reader(HTMLParser):
    """Collects elements and text, and checks that what is opened is closed."""

    EMPTY = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.words += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_every_text_from_outside_is_escaped() -> None:
    """Class, layer, file and setting names, also inside attributes."""
    reader = read(render(make()))
    assert "script" not in {tag for tag, _ in reader.elements}
    assert reader.words.count(NASTY) == 11, "shown as it is, wherever it occurs"
    images = [attributes for tag, attributes in reader.elements if tag == "img"]
    assert images[0]["alt"] == NASTY
    allowed = {"lang", "charset", "name", "content", "http-equiv", "class", "scope", "alt", "src", "role"}
    allowed |= {"aria-label", "tabindex"}
    assert {name for _, attributes in reader.elements for name in attributes} <= allowed


def test_nothing_is_loaded_from_anywhere() -> None:
    page = render(make())
    reader = read(page)
    sources = [value for _, attributes in reader.elements for value in (attributes.get("src"),) if value]
    assert len(sources) == 2 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not {tag for tag, _ in reader.elements} & {
        "script",
        "link",
        "iframe",
        "object",
        "form",
        "a",
        "base",
    }
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", page)
    policy = next(a["content"] for t, a in reader.elements if t == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_it_is_made_for_small_and_dark_screens_and_for_screen_readers() -> None:
    page = render(make())
    reader = read(page)
    assert ("html", {"lang": "en"}) in reader.elements
    assert any(a.get("name") == "viewport" for _, a in reader.elements)
    assert "prefers-color-scheme: dark" in page
    assert all(a["alt"] for t, a in reader.elements if t == "img")
    tables = [t for t, _ in reader.elements if t == "table"]
    assert len([t for t, _ in reader.elements if t == "caption"]) == len(tables) == 4
    assert all(a.get("scope") in ("row", "col") for t, a in reader.elements if t == "th")
    regions = [a for t, a in reader.elements if t == "div" and a.get("role") == "region"]
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions), "wide tables scroll by keyboard"


def test_the_figures_are_there() -> None:
    words = re.sub(r"\s+", " ", read(render(make())).words)
    for figure in (
        "75.00%",
        "0.5000",
        "1 of 1",
        "1:05",
        "1,234",
        "90.00%",
        "61,706",
        "156",
        "66.67%",
        "50.00%",
    ):
        assert figure in words, figure
    assert "–" in words, "what there is not"
    assert "nothing" not in words, "settings without a value are left out"


@pytest.mark.parametrize("count", [50, 51])
def test_a_huge_confusion_table_is_left_out(count: int) -> None:
    names = [f"class{k}" for k in range(count)]
    page = render(make(evaluation=Evaluation(1, 0.0, 1.0, np.zeros((count, count), np.int64), names)))
    assert ("table is left out: it would have 51 rows" in page) == (count == 51)
    assert f"class{count - 1}" in page, "precision and recall list every class in any case"


def test_without_pictures_the_page_stands() -> None:
    reader = read(render(make(pictures={}, notice="")))
    assert "img" not in {tag for tag, _ in reader.elements}
    assert "Worst mistakes" not in reader.words and "Learning curves" in reader.words
