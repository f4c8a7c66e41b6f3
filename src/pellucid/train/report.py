"""report.html: one file that opens anywhere, offline, on a telephone and in the dark.

No scripts, no fonts, nothing loaded from anywhere: pictures are inside the file, and a content security
policy makes the browser refuse anything else. Every text from the user (class names, paths, settings) is
escaped.
"""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid.train.metrics import ClassScore, Evaluation
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
class Picture:
    """A PNG and what it shows, for those who cannot see it."""

    png: bytes
    description: str


@dataclass(frozen=True)
class Report:
    """Everything the page says. `part` names the images the evaluation was made on."""

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


def render(report: Report) -> str:
    """Return the page as HTML."""
    body = [
        f"<h1>{_text(report.title)}</h1>",
        _headline(report),
        f'<p class="notice" role="note">{_text(report.notice)}</p>' if report.notice else "",
        _section("Learning curves", _picture(report, "curves"), _history_table(report)),
        _section(
            f"Confusion matrix ({report.part} images, best weights)",
            _picture(report, "confusion"),
            _confusion_table(report.evaluation),
        ),
        _section("Precision and recall per class", _class_table(report.evaluation.per_class)),
        _section("Worst mistakes", _picture(report, "worst")) if "worst" in report.pictures else "",
        _section("Network", _table("Layers of the network", report.summary), _pairs(report.totals)),
        _section("Data", f"<pre tabindex='0'>{_text(report.data_text)}</pre>"),
        _section("Configuration", _pairs(_settings(report.config))),
        _section("Environment", _pairs(_settings(report.environment))),
    ]
    return _PAGE.format(title=_text(report.title), style=_STYLE, body="\n".join(part for part in body if part))


def _headline(report: Report) -> str:
    facts = [(f"{report.part} accuracy", f"{report.evaluation.accuracy:.2%}")]
    facts.append((f"{report.part} loss", f"{report.evaluation.loss:.4f}"))
    if report.best is not None:
        facts.append(("best epoch", f"{report.best['epoch']} of {len(report.history)}"))
    facts.append(("training time", duration(sum(row["seconds"] for row in report.history))))
    items = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>'


def _history_table(report: Report) -> str:
    rows = [{COLUMN_TITLES[name]: _figure(name, row[name]) for name in COLUMN_TITLES} for row in report.history]
    return _table("Metrics per epoch", rows)


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
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in names)
    lines = []
    for true, name in enumerate(names):
        cells = "".join(
            f'<td class="{"right" if true == predicted else "wrong" if images else "none"}">{images}</td>'
            for predicted, images in enumerate(evaluation.confusion[true].tolist())
        )
        lines.append(f'<tr><th scope="row">{_text(name)}</th>{cells}</tr>')
    caption = "Images by true class (rows) and predicted class (columns)"
    return _scrolling(
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
    return _table(
        "Precision: how many of the images called so are right; recall: how many of its images were found",
        rows,
    )


def _table(caption: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    columns = list(rows[0])
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    lines = []
    for row in rows:
        first = f'<th scope="row">{_text(row[columns[0]])}</th>'
        lines.append(f"<tr>{first}{''.join(f'<td>{_text(row[column])}</td>' for column in columns[1:])}</tr>")
    table = (
        f"<table><caption>{_text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )
    return _scrolling(caption, table)


def _scrolling(label: str, table: str) -> str:
    """Let a wide table scroll inside itself, also by keyboard, so that the page never does."""
    return f'<div class="scroll" role="region" aria-label="{_text(label)}" tabindex="0">{table}</div>'


def _pairs(table: Mapping[str, Any]) -> str:
    items = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in table.items())
    return f'<dl class="pairs">{items}</dl>' if items else ""


def _settings(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flattened(table).items() if value is not None}


def _picture(report: Report, name: str) -> str:
    if name not in report.pictures:
        return ""
    picture = report.pictures[name]
    data = base64.b64encode(picture.png).decode("ascii")
    return f'<figure><img alt="{_text(picture.description)}" src="data:image/png;base64,{data}"></figure>'


def _section(title: str, *parts: str) -> str:
    content = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{_text(title)}</h2>\n{content}\n</section>"


def _text(value: Any) -> str:
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
