"""The report on findings, and docs/lessons.md, whose tables it writes."""

from pathlib import Path

import pytest

from pellucid import lessons
from pellucid.lessons.findings import Finding

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "lessons.md"
BEGIN, END = "<!-- written by the code from here -->\n", "<!-- to here -->\n"

RIGHT = Finding("a.x[1]", "page 1", "x", "1.0", "1.00", "agrees", "exact")
CUT = Finding("a.x[2]", "page 1", "x", "1.0", "1.09", "agrees", "truncated")
WRONG = Finding("a.y", "page 2", "y", "2|3", "3", "deviates", "slip", ("a.y",), ("one digit",), "3", note="Hm.")
LATER = [
    Finding(f"a.z[{k}]", "page 3", "z", str(k), "9", "follows from an earlier slip", "earlier slip", ("a.y",))
    for k in (1, 2)
]


def test_counts_and_rows() -> None:
    written = lessons.report([RIGHT, CUT, WRONG, *LATER])
    assert "| a | 5 | 2 | 1 | 1 | 2 | 0 |" in written
    assert "| page 2 | y | `2\\|3` | 3 | goes wrong here; one digit is wrong. Hm. |" in written
    assert "| page 3 | z: 2 numbers | `1`, ... | 9, ... | right for the numbers printed before it" in written
    assert "x[1]" not in written


def test_one_that_follows_stands_by_itself() -> None:
    assert "| page 3 | z[1] | `1` | 9 |" in lessons.report([WRONG, LATER[0]])


def test_without_deviations_there_are_only_counts() -> None:
    assert lessons.report([RIGHT]).count("\n") == 3


def test_each_lesson_has_its_own_part() -> None:
    other = Finding("b.y", "page 2", "y", "2", "3", "deviates", "slip", ("b.y",))
    written = lessons.report([RIGHT, WRONG, other])
    assert written.index("### a") < written.index("### b")


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("slides", "quiz_size: asked without an answer; it is 98 x 130."),
        ("training", "alexnet_accuracy: not checked, a fact from outside."),
        ("exercise", "filter_gradient_letters: not checked, unreadable in the scan."),
    ],
)
def test_remarks_say_what_the_findings_leave_out(name: str, remark: str) -> None:
    assert remark in lessons.remarks(lessons.lesson(name))


def test_remarks_name_a_better_reading() -> None:
    assert any("X[1,3] as 4 (printed 5)" in remark for remark in lessons.remarks(lessons.lesson("exercise")))


def generated() -> str:
    """The part of docs/lessons.md that the code writes."""
    every = [lessons.lesson(name) for name in lessons.names()]
    remarks = [f"- `{lesson.name}` {remark}" for lesson in every for remark in lessons.remarks(lesson)]
    found = lessons.report(finding for lesson in every for finding in lesson.check())
    return "\n".join([found, *remarks, "", "### Worked examples", "", lessons.coverage(every), ""])


def test_the_document_shows_what_the_code_finds() -> None:
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    shown, end, _ = rest.partition(END)
    assert before and end
    assert shown == generated(), "run tests/lessons/test_report.py as a program to write docs/lessons.md anew"


if __name__ == "__main__":
    head, _, tail = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(head + BEGIN + generated() + END + tail.partition(END)[2], encoding="utf-8")
