"""The report's section "Inside the network": the command that looks there, or what it has drawn.

The section is written anew whenever somebody has looked; the rest of the page stays as the training left it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pellucid.errors import UsageError
from pellucid.formats.files import replace_file, resource_errors
from pellucid.train.page import Picture, anchor, command, previews, section, text

TITLE = "Inside the network"
PLACE = "inside"
_WRITTEN = re.compile(rf'<section id="{PLACE}">.*?</section>', re.DOTALL)
_END = "</main>"


@dataclass(frozen=True)
class Sheet:
    """A picture drawn of the network: its file, its title, and a small copy of it."""

    file: Path
    title: str
    small: bytes


def not_yet(folder: Path) -> str:
    """The section of a run that nobody has looked into: the command that does."""
    told = "<p>Nothing was looked at yet. This draws what the network makes of test image 0:</p>"
    return section(TITLE, told, command("look", folder, 0), place=PLACE)


def show(folder: Path, lead: str, page: Path, sheets: Sequence[Sheet]) -> bool:
    """Write the section into the report of a run: links to the page and the sheets, with small copies of them.

    Whether there is such a report; a training that has not ended has none. Raises UsageError for a page that does not
    lie in the run's folder, ResourceError when the report cannot be written.
    """
    report = folder / "report.html"
    if not page.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{page} does not lie in the run folder {folder}.")
    if not report.is_file():
        return False
    with resource_errors(f"write {report}"):
        replace_file(report, put(report.read_text(encoding="utf-8"), _looked(folder, lead, page, sheets)).encode())
    return True


def put(html: str, written: str) -> str:
    """A report with this section in place of its own; at the end, if it has none."""
    if _WRITTEN.search(html):
        return _WRITTEN.sub(lambda _: written, html, count=1)
    return html.replace(_END, f"{written}\n{_END}", 1)


def _looked(folder: Path, lead: str, page: Path, sheets: Sequence[Sheet]) -> str:
    def link(file: Path) -> str:
        return file.resolve().relative_to(folder.resolve()).as_posix()

    small = previews([(Picture(sheet.small, ""), link(sheet.file), sheet.title) for sheet in sheets])
    whole = f"<p>{text(lead)} {anchor(link(page), 'All sheets on one page')}.</p>"
    return section(TITLE, whole, small, place=PLACE)
