"""Sheets and their colours, views and the page they make."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pellucid as pc
from pellucid.errors import ResourceError, UsageError
from pellucid.look import colours
from pellucid.look.gallery import KINDS, fitting, look, write
from pellucid.look.sheet import Tile, sheet, smooth
from pellucid.look.subject import Choice, Subject

layers = pc.layers
IMAGE = np.random.default_rng(1).normal(size=(3, 12, 12)).astype(np.float32)


def model() -> pc.Graph:
    blocks = [
        ("conv1", layers.Conv2d(3, 5, 3, padding=1)), ("relu1", layers.ReLU()), ("pool", layers.MaxPool2d(2)),
        ("conv2", layers.Conv2d(5, 4, 3)), ("relu2", layers.ReLU()), ("flatten", layers.Flatten()),
        ("fc", layers.Linear(64, 3)),
    ]  # fmt: skip
    return pc.Sequential(blocks).init(seed=0)


def opened(png: bytes) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_colours_grow_with_the_value_and_with_its_sign() -> None:
    light = colours.amount(np.linspace(0, 2, 50)).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(light) > 0).all()
    red, _, blue = colours.signed(np.array([-3.0, -1.0, 0.0, 1.0, 3.0])).astype(int).T
    assert (np.sign(red - blue) == [-1, -1, 0, 1, 1]).all()
    assert (colours.signed(np.zeros(4)) == 247).all()
    assert (colours.amount(np.zeros((2, 2))) == colours.AMOUNT[0]).all()
    assert (colours.amount(np.array([np.nan, 1.0]))[0] == colours.AMOUNT[0]).all()
    assert (colours.spread(np.zeros((3, 2, 2))) == 128).all()
    assert colours.grey(IMAGE).shape == (12, 12, 3) and colours.grey(IMAGE[:1]).shape == (12, 12, 3)
    full = colours.over(np.zeros((1, 2, 3)), np.full((1, 2, 3), 200), np.array([[0.0, 1.0]]))
    assert full[0, 0, 0] == 0 and full[0, 1, 0] == 200


def test_pixels_of_a_sheet_stay_squares() -> None:
    checks = np.indices((4, 6)).sum(axis=0) % 2 * 255
    pixels = checks[..., None].repeat(3, axis=2).astype(np.uint8)
    picture = opened(sheet("t", [Tile(pixels, "a"), Tile(pixels, "b\nc")], note="words " * 40))
    rows, columns = np.nonzero((picture == 0).all(axis=2))
    top, left = rows.min(), columns.min()
    assert (picture[top : top + 16, left : left + 16] == 0).all()
    assert picture.shape[1] < 900


def test_boxes_are_drawn_where_they_belong() -> None:
    png = sheet("t", [Tile(np.zeros((10, 10, 3), np.uint8), "", ((2, 4, 5, 7),))], side=100)
    picture = opened(png)
    rows, columns = np.nonzero((picture == (213, 94, 0)).all(axis=2))
    dark_rows, dark_columns = np.nonzero((picture == 0).all(axis=2))
    top, left = dark_rows.min(), dark_columns.min()
    assert (rows.min() - top, rows.max() - top) == (20, 59)
    assert (columns.min() - left, columns.max() - left) == (40, 79)


def test_smooth_keeps_the_size_and_the_range() -> None:
    fine = smooth(np.array([[0.0, 1.0], [0.0, 1.0]]), 6, 8)
    assert fine.shape == (6, 8) and fine[0, 0] == 0 and fine[0, -1] == 1 and (np.diff(fine[2]) >= 0).all()


class Data:
    def __len__(self) -> int:
        return 6

    def batch(self, indices: object) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        chosen = np.asarray(indices)
        return np.stack([IMAGE * (1 + k / 10) for k in chosen]), chosen


def test_every_kind_makes_a_picture_and_the_page_holds_them_all(tmp_path: Path) -> None:
    subject = Subject(model(), IMAGE, ["a<b", "c", "d"], images=Data())
    views = look(subject)
    assert {view.kind for view in views} == set(KINDS)
    for view in views:
        picture = opened(view.png)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2, view.name
        assert picture.shape[1] <= 960
    files = write(views, "Inside <me>", "One & two.", tmp_path / "deep" / "look")
    assert [f.name for f in files][-1] == "report.html" and all(f.exists() for f in files)
    html = files[-1].read_text()
    assert html.count("data:image/png;base64,") == len(views)
    assert "Inside &lt;me&gt;" in html and "One &amp; two." in html
    assert not re.search(r'(src|href)="(?!data:)', html) and "<script" not in html
    with np.load(tmp_path / "deep" / "look" / "numbers.npz") as numbers:
        assert numbers["feature-maps relu2"].shape == (4, 4, 4)
        assert numbers["saliency"].shape == (12, 12)
    assert write(views[:1], "again", "", tmp_path / "deep" / "look")


def test_a_layer_a_channel_and_a_class() -> None:
    subject = Subject(model(), IMAGE, ["a", "b", "c"], Choice("conv1", 4, 2))
    assert subject.layer == "conv1" and subject.channels == [4]
    assert subject.description["class"] == "c"
    (view,) = look(subject, ["feature-maps"])
    assert view.name == "feature-maps-conv1"
    (view,) = look(subject, ["filters"])
    assert view.arrays["filters conv1"].shape == (5, 3, 3, 3)
    assert "top" not in fitting(subject)
    (view,) = look(Subject(model(), IMAGE, ["a"], Choice("conv2")), ["filters"])
    assert "output and input channel" in view.text
    assert "filters" not in fitting(Subject(model(), IMAGE, ["a"], Choice("relu2")))
    assert Subject(model(), IMAGE, ["only one"]).class_name(2) == "number 2"


def test_a_channel_alone_is_one_of_the_layer_looked_at() -> None:
    views = look(Subject(model(), IMAGE, ["a", "b", "c"], Choice(channel=3)))
    assert [view.name for view in views if view.kind == "feature-maps"] == ["feature-maps-relu2"]
    assert [view.facts["channels"] for view in views if view.kind == "deconv"] == [[3]]
    assert [view.name for view in views if view.kind == "filters"] == ["filters-conv1"]


def test_networks_without_classes_show_the_rest() -> None:
    conv = pc.Sequential([("conv", layers.Conv2d(3, 2, 3))]).init(seed=0)
    subject = Subject(conv, IMAGE, [])
    assert fitting(subject) == ["receptive", "feature-maps", "filters", "deconv"]
    assert len(look(subject)) == 4


@pytest.mark.parametrize(
    ("choice", "kinds", "message"),
    [
        (Choice(), ["salience"], "no view 'salience'. There are: receptive, "),
        (Choice("conv3"), ["deconv"], "no tensor 'conv3'. Did you mean 'conv2'"),
        (Choice("fc"), ["feature-maps"], "fc gives no feature maps"),
        (Choice("relu1"), ["filters"], "relu1 has no filters of rows and columns. These have: conv1, conv2"),
        (Choice(None, 4), ["deconv"], "relu2 has the channels 0 to 3, not 4"),
        (Choice("conv1", 5), ["feature-maps"], "conv1 has the channels 0 to 4, not 5"),
        (Choice("conv1", -1), ["filters"], "conv1 has the channels 0 to 4, not -1"),
        (Choice(label=3), ["saliency"], "numbered 0 to 2, not 3"),
        (Choice(), ["top"], "top needs images to search"),
    ],
)
def test_what_does_not_exist(choice: Choice, kinds: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        look(Subject(model(), IMAGE, ["a", "b", "c"], choice), kinds)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (view,) = look(Subject(model(), IMAGE, []), ["receptive"])
    with pytest.raises(ResourceError, match="Could not write"):
        write([view], "", "", tmp_path / "file" / "look")
