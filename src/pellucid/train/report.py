"""report.html: what a training did, on one page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid.train.metrics import ClassScore, Evaluation
from pellucid.train.page import Picture, figure, page, pairs, scrolling, section, table, text
from pellucid.train.progress import duration
from pellucid.train.settings import flattened
from pellucid.train.state import Row

_MATRIX_UP_TO = 50  # classes; a larger table helps nobody

COLUMN_TITLES = {
    "epoch": "epoch",
    "train_loss": "train loss",
    "train_accuracy": "train accuracy",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
    "images_per_second": "images/s",
    "seconds": "time",
    "learning_rate": "learning rate",
}


@dataclass(frozen=True)
class Report:
    """Everything the page says.

    `part` names the images the evaluation was made on; `inside` is a section as pellucid.train.inside writes it.
    """

    title: str
    history: Sequence[Row]
    best: Row | None
    evaluation: Evaluation
    part: str
    summary: Sequence[Mapping[str, Any]]
    totals: Mapping[str, Any]
    data_text: str
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    notice: str = ""
    inside: str = ""


def render(report: Report) -> str:
    """Return the page as HTML."""
    body = [
        f"<h1>{text(report.title)}</h1>",
        _headline(report),
        f'<p class="notice" role="note">{text(report.notice)}</p>' if report.notice else "",
        section("Learning curves", _shown(report, "curves"), _history_table(report)),
        section(
            f"Confusion matrix ({report.part} images, best weights)",
            _shown(report, "confusion"),
            _confusion_table(report.evaluation),
        ),
        section("Precision and recall per class", _class_table(report.evaluation.per_class)),
        section("Worst mistakes", _shown(report, "worst")) if "worst" in report.pictures else "",
        report.inside,
        section("Network", table("Layers of the network", report.summary), pairs(report.totals)),
        section("Data", f"<pre tabindex='0'>{text(report.data_text)}</pre>"),
        section("Configuration", pairs(_settings(report.config))),
        section("Environment", pairs(_settings(report.environment))),
    ]
    return page(report.title, body)


def _headline(report: Report) -> str:
    facts = [(f"{report.part} accuracy", f"{report.evaluation.accuracy:.2%}")]
    facts.append((f"{report.part} loss", f"{report.evaluation.loss:.4f}"))
    if report.best is not None:
        facts.append(("best epoch", f"{report.best['epoch']} of {len(report.history)}"))
    facts.append(("training time", duration(sum(row["seconds"] for row in report.history))))
    items = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>'


def _history_table(report: Report) -> str:
    rows = [{COLUMN_TITLES[name]: _figure(name, row[name]) for name in COLUMN_TITLES} for row in report.history]
    return table("Metrics per epoch", rows)


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "seconds":
        return duration(value)
    if name.endswith("accuracy"):
        return f"{value:.2%}"
    if name.endswith("loss"):
        return f"{value:.4f}"
    return f"{value:,.0f}" if name == "images_per_second" else f"{value:g}"


def _confusion_table(evaluation: Evaluation) -> str:
    names = evaluation.classes
    if len(names) > _MATRIX_UP_TO:
        return f"<p>The table is left out: it would have {len(names)} rows and columns.</p>"
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    lines = []
    for true, name in enumerate(names):
        cells = "".join(
            f'<td class="{"right" if true == predicted else "wrong" if images else "none"}">{images}</td>'
            for predicted, images in enumerate(evaluation.confusion[true].tolist())
        )
        lines.append(f'<tr><th scope="row">{text(name)}</th>{cells}</tr>')
    caption = "Images by true class (rows) and predicted class (columns)"
    return scrolling(
        caption,
        f'<table class="matrix"><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">true \\ predicted</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>",
    )


def _class_table(scores: Iterable[ClassScore]) -> str:
    rows = [
        {
            "class": score.name,
            "precision": "–" if score.precision is None else f"{score.precision:.2%}",
            "recall": "–" if score.recall is None else f"{score.recall:.2%}",
            "images": f"{score.support:,}",
        }
        for score in scores
    ]
    return table(
        "Precision: how many of the images called so are right; recall: how many of its images were found",
        rows,
    )


def _settings(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flattened(table).items() if value is not None}


def _shown(report: Report, name: str) -> str:
    return figure(report.pictures[name]) if name in report.pictures else ""
