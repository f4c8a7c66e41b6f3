r"""A document as LaTeX: displays of a few lines each, in a file that compiles by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pellucid.explain.document import Document, Opening, Row, Sum
from pellucid.explain.render.styles import LATEX
from pellucid.explain.render.words import Words
from pellucid.notation.printing import latex_equation

PAGE = r"\usepackage[landscape,margin=15mm]{geometry}"
PREAMBLES = {
    "": r"\usepackage[utf8]{inputenc}",
    "fa": "% needs XeLaTeX or LuaLaTeX, and this font\n"
    "\\usepackage{fontspec}\n\\setmainfont[Script=Arabic]{DejaVu Sans}",
    "ko": "% needs XeLaTeX or LuaLaTeX, and this font\n\\usepackage{fontspec}\n\\setmainfont{Noto Sans CJK KR}",
}
"""What a language needs; the empty key is for those in Latin letters."""


def render(document: Document, words: Words) -> str:
    """A whole file, for pdfLaTeX in Latin letters and XeLaTeX otherwise."""
    body = list(_document(document, words))
    head = [
        r"\documentclass{article}",
        PREAMBLES.get(words.code, PREAMBLES[""]),
        PAGE,
        r"\usepackage{amsmath}",
        r"\setlength{\parindent}{0pt}\allowdisplaybreaks",
        r"\begin{document}",
    ]
    return "\n".join([*head, *body, r"\end{document}"]) + "\n"


def display(document: Document) -> str:
    """The number, its equation and its arithmetic alone, for a notebook."""
    return _aligned("aligned", _headline(document.opening), wrapped=True)


def _document(document: Document, words: Words) -> Iterator[str]:
    yield from _opening(document.opening, words)
    if document.scatter is not None and document.agreement is not None:
        yield prose(words("scatter"))
        yield from _sum(document.scatter, words)
        yield prose(words.agreement(document.agreement))
    for fact in document.facts:
        value = LATEX.write(fact.value)
        yield prose(words(fact.key))
        yield _aligned(
            "align*", [("", value if fact.expression is None else f"{LATEX.write(fact.expression)} = {value}")]
        )
    if document.further:
        yield prose(words("opened_further"))
    for opening in document.further:
        yield from _opening(opening, words)
    if document.unopened:
        yield prose(words.counted("unopened", document.unopened))


def _opening(opening: Opening, words: Words) -> Iterator[str]:
    yield _aligned("align*", _headline(opening))
    for total in opening.sums:
        yield from _sum(total, words)
    yield from (prose(words.note(note)) for note in opening.notes)


def _headline(opening: Opening) -> list[tuple[str, str]]:
    rows = [(LATEX.write(opening.element), LATEX.write(opening.value))]
    if opening.equation is not None and opening.here is not None:
        left, right = latex_equation(opening.equation).split(" = ", 1)
        rows += [(left, right), ("", LATEX.write(opening.here))]
    if opening.result is not None:
        rows.append(("", f"{LATEX.write(opening.result)} = {LATEX.write(opening.value)}"))
    return rows


def _sum(total: Sum, words: Words) -> Iterator[str]:
    largest = words("largest_shown", count=len(total.rows)) if total.folded else ""
    yield prose(words.counted("terms" if total.kind == "sum" else "candidates", total.size) + largest)
    rows = [_row(row) for row in total.rows]
    if total.folded:
        relation = "" if total.kind == "sum" else r"\leq "
        others = words.counted("others", total.folded)
        rows.append((rf"\text{{{escaped(others)}}}", relation + LATEX.write(total.remainder)))
    rows.append((rf"\text{{{escaped(words(f'value_{total.kind}'))}}}", LATEX.write(total.value)))
    yield _aligned("align*", rows)
    for row in total.rows:
        for inner in row.sums:
            yield from _sum(inner, words)


def _row(row: Row) -> tuple[str, str]:
    value = LATEX.write(row.value)
    return LATEX.write(row.named), value if row.numbers is None else f"{LATEX.write(row.numbers)} = {value}"


def _aligned(environment: str, rows: Iterable[tuple[str, str]], *, wrapped: bool = False) -> str:
    lines = " \\\\\n".join(f"{left} &= {right}" for left, right in rows)
    written = f"\\begin{{{environment}}}\n{lines}\n\\end{{{environment}}}"
    return f"$$\n{written}\n$$" if wrapped else written


def prose(sentence: str) -> str:
    """A sentence between displays."""
    return escaped(sentence) + r"\par"


def escaped(sentence: str) -> str:
    """Text for LaTeX: its special characters mean themselves."""
    marks = {
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "\u2066": "",
        "\u2069": "",
    }
    return re.sub(r"[\\^~#$%&_{}\u2066\u2069]", lambda m: marks.get(m[0], "\\" + m[0]), sentence)
