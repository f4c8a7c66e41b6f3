"""Marking a hand-worked solution: each stated number is right, wrong, or right given an earlier slip.

The judge is that of the lecture notes (`examination.py`); only the steps differ, which come from the equations of the
solution's own network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError, UsageError
from pellucid.languages import Prose, math
from pellucid.lessons.examination import Examination
from pellucid.lessons.findings import Finding, following
from pellucid.lessons.items import Item, Notes
from pellucid.lessons.printed import read
from pellucid.lessons.solution import Solution, load
from pellucid.lessons.solving import Solved
from pellucid.lessons.workings import Workings

Texts = NDArray[np.object_]

NAME = "solution"


@dataclass(frozen=True)
class Marked:
    """The judged numbers of a solution, in the order of computing."""

    title: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> list[Finding]:
        """The numbers that went wrong by themselves."""
        return [finding for finding in self.findings if finding.verdict == "deviates"]

    @property
    def all_right(self) -> bool:
        """Whether nothing is wrong: then nothing follows from a slip either."""
        return not self.wrong

    def to_json(self, prose: Prose) -> dict[str, Any]:
        """The judgement as plain data, its sentences said by `prose`, of the subject `findings`."""
        return {
            "title": self.title,
            "all_right": self.all_right,
            "numbers": [
                {
                    "name": finding.label,
                    "stated": finding.stated,
                    "true": finding.true,
                    "from_your_numbers": finding.given,
                    "verdict": verdict(finding),
                    "says": finding.say(prose),
                    "causes": [cause.partition(".")[2] for cause in finding.causes],
                }
                for finding in self.findings
            ],
        }


def verdict(finding: Finding) -> str:
    """`right`, `wrong`, or right given an earlier slip or earlier rounding; the keys of the catalogue `check`."""
    if finding.verdict == "follows from an earlier slip":
        return "slip" if finding.reason == "earlier slip" else "rounding"
    return "right" if finding.verdict == "agrees" else "wrong"


def mark(file: Path) -> Marked:
    """Judge the solution in a file; DataError when the file is not a solution or states what does not exist."""
    solution = load(file)
    try:
        return judge(solution)
    except (DataError, UsageError, ValueError) as error:
        raise DataError(f"{file.name}: {error}") from error


def judge(solution: Solution) -> Marked:
    """Judge everything a solution states."""
    solved = Solved(solution)
    items = tuple(_items(solution, solved))
    workings = Workings(Notes(NAME, "en", "", items), solved.steps())
    return Marked(solution.title, tuple(Examination(workings, strict=True).findings()))


def text(marked: Marked, prose: Prose) -> str:
    """The judgement for a terminal; `prose` is of the subject `check`."""
    say = prose.of("findings")
    names, numbers = (
        max(map(len, column)) for column in zip(*((f.label, f.stated) for f in marked.findings), strict=True)
    )
    lines = [marked.title, ""] if marked.title else []
    for finding in marked.findings:
        row = f"{finding.label.ljust(names)}  {finding.stated.ljust(numbers)}"
        lines.append(f"{prose.set(math(row))}  {prose(verdict(finding))}")
        if finding.verdict != "agrees":
            lines += say.wrap(prose("true_is", true=math(finding.true)) + say("then") + finding.say(say), "    ")
    lines.append("")
    counts = {key: 0 for key in ("right", "wrong", "slip", "rounding")}
    for finding in marked.findings:
        counts[verdict(finding)] += 1
    lines += prose.wrap(prose("counts", total=len(marked.findings), **counts))
    if marked.wrong:
        first = marked.wrong[0]
        later = [math(other.label) for other in following(marked.findings, first.id)]
        lines += prose.wrap(prose("first", name=math(first.label)))
        lines += prose.wrap(prose("follow", names=say("comma").join(later))) if later else []
    return "\n".join(lines)


# ---- what is stated, as items ------------------------------------------------------------------------------


def _items(solution: Solution, solved: Solved) -> list[Item]:
    """One item for each stated tensor, with "" for the elements that are not stated."""
    texts: dict[str, Texts] = {}
    for key, value in solution.stated.items():
        name, at = _address(key, solved)
        if name not in texts:
            texts[name] = np.full(solved.shape(name), "", dtype=object)
        _state(texts[name], name, at, value, solved)
    return [_item(name, texts[name], solved) for name in solved.names() if name in texts]


def _address(key: str, solved: Solved) -> tuple[str, tuple[int, ...] | None]:
    match = re.fullmatch(r"\s*(.+?)\s*(?:\[([\d\s,]+)\])?\s*", key)
    known = list(solved.names())
    name = re.sub(r"^update\s+", "updated ", match[1]) if match else key
    if name not in known:
        raise DataError(f'[stated] has "{key}", but there is no such number; there are {", ".join(known)}')
    at = None if match is None or match[2] is None else tuple(int(part) for part in match[2].split(","))
    return name, at


def _state(texts: Texts, name: str, at: tuple[int, ...] | None, value: Any, solved: Solved) -> None:
    """Write one stated number, or all of a tensor's, to their places."""
    shape = texts.shape
    if at is not None:
        whole = (0, *at) if solved.batched(name) else at
        if len(whole) != len(shape) or any(i >= n for i, n in zip(whole, shape, strict=True)):
            least = shape[1:] if solved.batched(name) else shape
            raise DataError(f'[stated] has "{name}{list(at)}", but {name} has the shape {"x".join(map(str, least))}')
        texts[whole] = _text(name, value)
        return
    given: Texts = np.array(value, dtype=object)
    missing = len(shape) - given.ndim
    if missing < 0 or (1,) * missing + given.shape != shape:
        raise DataError(f"[stated] gives {name} the shape {given.shape}; it has {shape}")
    texts[...] = np.array([_text(name, one) for one in given.ravel()], dtype=object).reshape(shape)


def _text(name: str, value: Any) -> str:
    """A stated number as it is written; "" and "?" leave a place open."""
    written = str(value).strip()
    if written in ("", "?"):
        return ""
    try:
        read(written)
    except DataError as error:
        raise DataError(f"[stated] {name}: {error}") from error
    return written


def _item(name: str, texts: Texts, solved: Solved) -> Item:
    stated = tuple(texts.ravel().tolist())
    return Item(id=name, place="", stated=stated, shape=texts.shape, origin=0, batched=solved.batched(name))
