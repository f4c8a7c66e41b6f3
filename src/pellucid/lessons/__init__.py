"""The worked examples of the five lecture notes as executable documentation.

What the notes state is stored as data (`notes/*.toml`); what is true is computed by the product; the
difference is reported by code, digit by digit, together with the first wrong number behind it.

    from pellucid import lessons

    findings = lessons.lesson("training").check()
    print(lessons.report(findings))
"""

from pellucid.lessons.findings import Finding, Phrase, Reason, Slip, Verdict, following
from pellucid.lessons.items import Item, Notes
from pellucid.lessons.lesson import Lesson, Reading, lesson, names
from pellucid.lessons.report import coverage, remarks, report

__all__ = [
    "Finding",
    "Item",
    "Lesson",
    "Notes",
    "Phrase",
    "Reading",
    "Reason",
    "Slip",
    "Verdict",
    "coverage",
    "following",
    "lesson",
    "names",
    "remarks",
    "report",
]
