"""LaTeX and HTML as documents: they compile, they are well formed, they are shown by notebooks."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.explain.networks import Network

VOID = {"meta", "image", "rect"}
LATEX = shutil.which("pdflatex") or shutil.which("xelatex")


class Elements(HTMLParser):
    """Checks that every element is closed where it was opened; collects names and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("what", ["d conv1.weight[2,0,1,1]", "conv2[3,4,5]", "pool1[2,3,4]", "fc1.bias[3]"])
def test_a_page_is_well_formed_and_fetches_nothing(what: str) -> None:
    page = Network("lenet5").explain(what, proof=True, depth=1).html()
    elements = Elements()
    elements.feed(page)
    assert elements.open == []
    assert all(address.startswith("data:image/png;base64,") for address in elements.addresses)
    assert "url(" not in page and "@import" not in page and "<script" not in page
    assert what.split("[")[0] in elements.text


def test_a_notebook_shows_an_explanation_by_itself() -> None:
    opened = Network("lenet5").explain("d conv1.weight[2,0,1,1]", proof=True)
    html, latex = opened._repr_html_(), opened._repr_latex_()
    elements = Elements()
    elements.feed(html)
    assert elements.open == [] and '<div class="pellucid"' in html and "<html" not in html
    assert latex.startswith("$$\n\\begin{aligned}") and latex.rstrip().endswith("$$")
    assert f"= {opened.value:.6g}" in latex


@pytest.mark.parametrize("code", ["en", "tr", "fa", "ko"])
def test_latex_closes_what_it_opens(code: str) -> None:
    source = Network("lenet5").explain("d conv1.weight[2,0,1,1]", proof=True, depth=1, lang=code).latex()
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", source):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert source.count(r"\left") == source.count(r"\right")
    assert re.findall(r"\\begin\{([\w*]+)\}", source).count("align*") == source.count(r"\end{align*}")
    assert not re.search(r"(?<!\\)[#$%]", source.partition(r"\begin{document}")[2])


@pytest.mark.skipif(LATEX is None, reason="no LaTeX here (Debian, Ubuntu: apt install texlive-latex-base)")
@pytest.mark.parametrize("what", ["d conv1.weight[2,0,1,1]", "loss", "predict", "d act1[0,4,6]"])
@pytest.mark.parametrize("code", ["en", "tr"])
def test_latex_compiles(what: str, code: str, tmp_path: Path) -> None:
    assert LATEX is not None
    source = Network("lenet5").explain(what, proof=True, depth=1, lang=code).latex()
    (tmp_path / "page.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [LATEX, "-halt-on-error", "-interaction=nonstopmode", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
