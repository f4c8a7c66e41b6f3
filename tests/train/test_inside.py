"""The report's section "Inside the network": written by a training, and again by whoever looks."""

from pathlib import Path

import pytest

from pellucid.errors import UsageError
from pellucid.train import inside
from tests.train.test_report import NASTY, make, read, render

SHEET = b"\x89PNG small"


def run(folder: Path, html: str) -> tuple[Path, list[inside.Sheet]]:
    """A run folder with a report, and what was drawn into it."""
    look = folder / "look"
    look.mkdir(parents=True)
    (folder / "report.html").write_text(html, encoding="utf-8")
    return look / "report.html", [inside.Sheet(look / f"{NASTY[:8]} {k}.png", f"{NASTY} {k}", SHEET) for k in range(2)]


def test_a_training_tells_the_command(tmp_path: Path) -> None:
    page = render(make(inside=inside.not_yet(tmp_path / "my run")))
    assert f"pellucid look '{tmp_path / 'my run'}' 0" in read(page).words


def test_looking_puts_the_sheets_in_place_of_the_command_and_of_earlier_ones(tmp_path: Path) -> None:
    before = render(make(inside=inside.not_yet(tmp_path)))
    page, sheets = run(tmp_path / "run", before)
    assert inside.show(tmp_path / "run", "Image 7: dog.", page, sheets[:1])
    assert inside.show(tmp_path / "run", f"Image 8: {NASTY} \\1", page, sheets)
    after = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    reader = read(after)
    links = [attributes["href"] for tag, attributes in reader.elements if tag == "a"]
    assert links == ["look/report.html", *(f"look/%3Cscript%3E%20{k}.png" for k in range(2))]
    assert f"Image 8: {NASTY} \\1" in reader.words and "Image 7" not in reader.words
    assert "pellucid look" not in reader.words and "script" not in {tag for tag, _ in reader.elements}
    assert after.count("data:image/png;base64,") == before.count("data:image/png;base64,") + 2
    assert reader.words.index("Inside the network") < reader.words.index("Environment")


def test_a_report_without_the_section_gets_it_at_the_end(tmp_path: Path) -> None:
    page, sheets = run(tmp_path, render(make()))
    assert inside.show(tmp_path, "Image 7.", page, sheets)
    words = read((tmp_path / "report.html").read_text(encoding="utf-8")).words
    assert words.index("Environment") < words.index("Inside the network")


def test_without_a_report_nothing_is_written(tmp_path: Path) -> None:
    page, sheets = run(tmp_path, "")
    (tmp_path / "report.html").unlink()
    assert not inside.show(tmp_path, "Image 7.", page, sheets)
    assert [path.name for path in tmp_path.iterdir()] == ["look"]


def test_links_stay_within_the_run(tmp_path: Path) -> None:
    page, sheets = run(tmp_path / "other", "")
    with pytest.raises(UsageError, match=r"other/look/report\.html does not lie in the run folder"):
        inside.show(tmp_path / "run", "Image 7.", page, sheets)
