"""A derivation step by step: the record of what `derive` did, as a chain of equations with the rule of each.

The record holds expressions; here they become text, LaTeX or plain data, and the rules' names sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pellucid.derivation.equations import Derivation
from pellucid.languages import Prose, math
from pellucid.notation import Tensor
from pellucid.notation.expression import Access, Expression
from pellucid.notation.printing import latex, text
from pellucid.notation.steps import Record, Step


@dataclass(frozen=True)
class Line:
    """One step: the rule's key, the rule as a sentence, the equation as text and as LaTeX."""

    rule: str
    says: str
    equation: str
    latex: str


@dataclass(frozen=True)
class Section:
    """The steps to one gradient, or to a name that the derivation introduced; what it is of, by name and symbol."""

    name: str
    gradient: str
    lines: tuple[Line, ...]


def sections(derivation: Derivation, prose: Prose) -> list[Section]:
    """The steps of a derivation, for each gradient in the order of deriving; `prose` is of the subject `derive`."""
    record = derivation.record
    return [_section(record, tensor, prose) for tensor in record.order]


def text_of(derivation: Derivation, prose: Prose) -> str:
    """The steps for a terminal."""
    lines = [derivation.title, "", prose("forward"), *(f"  {e}" for e in derivation.forward)]
    for section in sections(derivation, prose):
        lines += ["", prose("section", name=math(section.gradient))]
        for number, line in enumerate(section.lines, 1):
            lines += ["", *prose.wrap(prose("step", number=number, says=line.says), "  "), f"      {line.equation}"]
    return "\n".join(lines) + "\n"


def latex_of(derivation: Derivation, prose: Prose) -> str:
    """The steps as LaTeX: one aligned display for each gradient, the rule beside each equation."""
    blocks = []
    for section in sections(derivation, prose):
        rows = [rf"{line.latex} && \text{{{_escaped(line.says)}}}" for line in section.lines]
        blocks.append("\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}\n")
    return "\n".join(blocks)


def json_of(derivation: Derivation, prose: Prose) -> list[dict[str, Any]]:
    """The steps as plain data."""
    return [
        {"name": section.name, "gradient": section.gradient, "steps": [vars(line) for line in section.lines]}
        for section in sections(derivation, prose)
    ]


def _section(record: Record, tensor: Tensor, prose: Prose) -> Section:
    gradient = record.gradients.get(tensor, tensor)
    return Section(tensor.name, gradient.symbol, tuple(_lines(record, tensor, prose)))


def _lines(record: Record, tensor: Tensor, prose: Prose) -> Iterator[Line]:
    steps = record.steps.get(tensor, [])
    several = any(step.rule in ("several", "several_named") for step in steps)
    for step in steps:
        relation = "+=" if _adds(step, several) else "="
        left, typeset = _left(record, step)
        yield Line(
            step.rule,
            _says(step, prose),
            f"{left} {relation} {text(step.value)}",
            f"{typeset} &{'{+}=' if relation == '+=' else '='} {latex(step.value)}",
        )


ON_THE_WAY = frozenset(
    ["terms", "product", "numerator", "denominator", "power", "function", "sum", "maximum_first", "maximum_all", "read"]
)
SOLVED = frozenset(["solved", "in_place", "collected", "phase", "guarded"])


def _adds(step: Step, several: bool) -> bool:
    """Whether the step gives a share only: one read before it is solved, or one reader of several."""
    if step.named or not isinstance(step.left, Access):
        return False
    return step.rule in ON_THE_WAY or (several and step.rule in SOLVED)


def _left(record: Record, step: Step) -> tuple[str, str]:
    """The left-hand side: the gradient of a read, of a larger part, or a tensor of the derivation's own."""
    left: Expression = step.left
    if step.named:
        return text(left), latex(left)
    if not isinstance(left, Access):
        return f"d({text(left)})", rf"\frac{{\partial L}}{{\partial \left({latex(left)}\right)}}"
    gradient = record.gradients.get(left.tensor)
    if gradient is None:
        gradient = Tensor(f"d{left.tensor.symbol}", left.tensor.extents, name=f"d {left.tensor.name}")
    whole = Access(gradient, left.at)
    return text(whole), latex(whole)


def _says(step: Step, prose: Prose) -> str:
    values: dict[str, str] = {}
    comma = prose("comma")
    if step.solved:
        values["solved"] = comma.join(math(f"{index.name} -> {affine}") for index, affine in step.solved)
    if step.over:
        values["over"] = comma.join(math(index.name) for index in step.over)
    if step.names:
        values["names"] = comma.join(map(math, step.names))
    if step.found:
        values["found"] = comma.join(map(math, step.found))
        return prose("rule.written_recognised", **values)
    return prose(f"rule.{step.rule}", **values)


def _escaped(prose: str) -> str:
    """Prose within LaTeX's text mode, which needs no isolates; mathematics in it stays as it is written."""
    prose = prose.translate({0x2066: None, 0x2069: None, 0xA0: " "})
    for sign, written in (("\\", r"\textbackslash{}"), ("_", r"\_"), ("^", r"\^{}"), ("&", r"\&"), ("%", r"\%")):
        prose = prose.replace(sign, written)
    return prose
