"""Pictures of a training: curves, confusion matrix, the worst mistakes. They need matplotlib (extra "plots").

Drawn without a display. Colours are Okabe and Ito's, which people with any kind of colour vision tell
apart; lines differ in style as well, and every cell of the confusion matrix carries its count.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import MissingExtraError
from pellucid.train.metrics import Evaluation, Mistake
from pellucid.train.protocols import Dataset
from pellucid.train.state import Row, better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#555555"
DOTS_PER_INCH = 144
_COUNTS_UP_TO = 30  # classes; beyond that numbers in the cells would be too small to read
_NAME_LENGTH = 16


def require_matplotlib() -> None:
    """Raise MissingExtraError, saying what to install, when matplotlib is not there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            'Plots need matplotlib, which is not installed. Install it with: pip install "pellucid[plots]"'
        ) from None


def draw_curves(history: Sequence[Row]) -> bytes:
    """Return a PNG of loss and accuracy over the epochs, for training and validation."""
    with drawing(9.0, 3.8) as figure:
        best: Row | None = None
        for row in history:
            best = row if better(row, best) else best
        for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            _draw_curve(axes, history, quantity, best)
        return png(figure)


def draw_confusion(evaluation: Evaluation) -> bytes:
    """Return a PNG of the confusion matrix; shades show the part of each true class, numbers count images."""
    count = len(evaluation.classes)
    side = min(max(3.6, 0.62 * count + 1.6), 14.0)
    with drawing(side + 0.9, side) as figure:
        axes = figure.subplots()
        totals = np.maximum(evaluation.confusion.sum(axis=1, keepdims=True), 1)
        part = evaluation.confusion / totals
        image = axes.imshow(part, cmap="Blues", vmin=0.0, vmax=1.0)
        names = [_short(name) for name in evaluation.classes]
        if count <= _COUNTS_UP_TO:
            _write_counts(axes, evaluation.confusion, part)
            axes.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 3 else 0)
            axes.set_yticks(range(count), names)
            axes.set_xticks(np.arange(-0.5, count), minor=True)
            axes.set_yticks(np.arange(-0.5, count), minor=True)
            axes.grid(which="minor", color="#DDDDDD", linewidth=0.6)
            axes.tick_params(which="both", length=0)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.set_title(f"{evaluation.images:,} images, accuracy {evaluation.accuracy:.2%}", fontsize=11)
        bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, format="{x:.0%}")
        bar.set_label("part of the true class")
        return png(figure)


def draw_worst(dataset: Dataset, evaluation: Evaluation) -> bytes:
    """Return a PNG of the images that were most clearly mistaken for another class."""
    worst = evaluation.worst
    columns = min(max(len(worst), 1), 4)
    rows = -(-max(len(worst), 1) // columns)
    with drawing(max(2.1 * columns, 4.0), 2.35 * rows + 0.5) as figure:
        figure.suptitle("Most clearly mistaken" if worst else "No mistakes", fontsize=12)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid:
            axes.axis("off")
        for axes, mistake in zip(grid, worst, strict=False):
            _draw_mistake(axes, dataset, evaluation.classes, mistake)
        return png(figure)


def _draw_curve(axes: "Axes", history: Sequence[Row], quantity: str, best: Row | None) -> None:
    epochs = [row["epoch"] for row in history]
    shown = len(epochs) <= 40
    for split, colour, style, shape in (("train", BLUE, "-", "o"), ("validation", ORANGE, "--", "s")):
        marker = shape if shown else ""
        values = [row[f"{split}_{quantity}"] for row in history]
        if all(value is not None for value in values):
            axes.plot(epochs, values, style, color=colour, marker=marker, markersize=4, linewidth=2, label=split)
    if best is not None:
        axes.axvline(best["epoch"], color=GREY, linewidth=1, linestyle=":", label=f"best: epoch {best['epoch']}")
    if len(epochs) == 1:
        axes.set_xlim(0.5, 1.5)
    dress(axes, quantity, percent=quantity != "loss")
    if quantity == "loss":
        axes.update_datalim([(epochs[0], 0.0)])  # so that the margin above is a share of what is shown
        axes.autoscale_view()
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def dress(axes: "Axes", title: str, *, percent: bool = True) -> None:
    """Give a curve over the epochs its title, scales and grid."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_title(title, fontsize=12)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(color="#E4E4E4", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _write_counts(axes: "Axes", confusion: NDArray[np.int64], part: NDArray[Any]) -> None:
    size = 10 if confusion.shape[0] <= 12 else 7
    for (true, predicted), images in np.ndenumerate(confusion):
        if images:
            colour = "white" if part[true, predicted] > 0.55 else "black"
            axes.text(predicted, true, f"{images}", ha="center", va="center", color=colour, fontsize=size)


def _draw_mistake(axes: "Axes", dataset: Dataset, classes: Sequence[str], mistake: Mistake) -> None:
    axes.imshow(_displayable(dataset.image(mistake.index)), cmap="gray", interpolation="nearest")
    text = f"{_short(classes[mistake.true])}\nread as {_short(classes[mistake.predicted])}"
    axes.set_title(text, fontsize=10)


def _displayable(image: NDArray[np.float32]) -> NDArray[Any]:
    """Return a normalised image (C, H, W) as grey (H, W) or colour (H, W, 3) between 0 and 1."""
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / max(high - low, 1e-12)
    return scaled.transpose(1, 2, 0) if image.shape[0] == 3 else scaled.mean(axis=0)


def _short(name: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return printable if len(printable) <= _NAME_LENGTH else printable[: _NAME_LENGTH - 1] + "…"


@contextmanager
def drawing(width: float, height: float) -> "Iterator[Figure]":
    """Make a figure of its own, without pyplot's global list of figures."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A class name in a script the font lacks is drawn as boxes; the report's tables carry it properly.
        warnings.filterwarnings("ignore", message=".*Glyph.*missing")
        yield figure


def png(figure: "Figure") -> bytes:
    """The figure's picture file."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be called "$x$"; it is a name, not a formula
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None}, bbox_inches="tight", pad_inches=0.12)
    return data.getvalue()
