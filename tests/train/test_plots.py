"""The pictures: right size, right content where it can be checked, and no surprises from names."""

import io
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid.errors import MissingExtraError
from pellucid.train import plots
from pellucid.train.metrics import Evaluation, Mistake
from tests.train.fakes import make_dataset

pytest.importorskip("matplotlib")


def history(epochs: int, validation: bool = True) -> list[dict[str, Any]]:
    return [
        {
            "epoch": k,
            "train_loss": 1 / k,
            "train_accuracy": 1 - 0.5 / k,
            "validation_loss": 1.1 / k if validation else None,
            "validation_accuracy": 1 - 0.6 / k if validation else None,
        }
        for k in range(1, epochs + 1)
    ]


def evaluation(classes: list[str], worst: int = 0) -> Evaluation:
    count = len(classes)
    confusion = np.eye(count, dtype=np.int64) * 9
    confusion[0, -1] += 1
    mistakes = [Mistake(i, 0, count - 1, 2.0) for i in range(worst)]
    return Evaluation(int(confusion.sum()), 0.1, 0.9, confusion, classes, mistakes)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


@pytest.mark.parametrize(("epochs", "validation"), [(1, True), (3, False), (200, True)])
def test_curves(epochs: int, validation: bool) -> None:
    image = opened(plots.draw_curves(history(epochs, validation)))
    assert 1000 < image.width < 1600 and 400 < image.height < 800
    colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or []}
    assert (0x00, 0x72, 0xB2) in colours, "training is blue"
    assert ((0xD5, 0x5E, 0x00) in colours) == validation, "validation is vermilion, if there is one"


def test_a_nearly_level_loss_has_room_above_it() -> None:
    rows = [row | {"train_loss": 0.3 + 0.01 / row["epoch"], "validation_loss": 0.3} for row in history(4)]
    with plots.drawing(6, 4) as figure:
        axes = figure.subplots()
        plots._draw_curve(axes, rows, "loss", None)
        low, high = axes.get_ylim()
    assert low == 0 and high >= 0.31 * 1.04


@pytest.mark.parametrize("count", [2, 10, 30, 100])
def test_confusion(count: int) -> None:
    image = opened(plots.draw_confusion(evaluation([f"class {k}" for k in range(count)])))
    assert 400 < image.width < 2600 and 400 < image.height < 2600


@pytest.mark.parametrize("worst", [0, 1, 5, 16])
def test_worst(worst: int) -> None:
    image = opened(plots.draw_worst(make_dataset(20, 0), evaluation(["a", "b", "c"], worst)))
    rows = -(-worst // 4)
    assert image.height > 200 * max(rows, 1)
    assert len(image.convert("RGB").getcolors(1 << 20) or []) > 1, "something is drawn"


@pytest.mark.parametrize("name", ["$x^$", "\x00\x1b[31m", "x" * 300, "고양이", "گربه", "", "<script>", "a\nb"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    """No formulas, no errors, no warnings, whatever a class is called."""
    result = evaluation([name, "other"], worst=2)
    opened(plots.draw_confusion(result))
    opened(plots.draw_worst(make_dataset(3, 0), result))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_number_of_channels_is_shown(channels: int) -> None:
    image = np.linspace(-3, 5, channels * 12, dtype=np.float32).reshape(channels, 3, 4)
    shown = plots._displayable(image)
    assert shown.shape == ((3, 4, 3) if channels == 3 else (3, 4))
    assert shown.min() >= 0 and shown.max() <= 1
    assert np.isfinite(plots._displayable(np.zeros((1, 2, 2), np.float32))).all(), "an even image"


def test_a_picture_is_the_same_every_time() -> None:
    assert plots.draw_curves(history(3)) == plots.draw_curves(history(3))


def test_no_display_and_no_global_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    monkeypatch.delenv("DISPLAY", raising=False)
    plots.draw_curves(history(2))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError) as caught:
        plots.draw_curves(history(2))
    assert caught.value.exit_code == 7
    assert 'pip install "pellucid[plots]"' in str(caught.value)
