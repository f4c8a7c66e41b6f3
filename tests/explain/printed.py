"""Reading a printed explanation back: a small reader of its own, which shares nothing with what wrote it."""

import math
import re
from dataclasses import dataclass

NAMES = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "expm1": math.expm1,
    "log1p": math.log1p,
    "erf": math.erf,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "maximum": max,
    "minimum": min,
    "inf": math.inf,
    "float": float,
}


def evaluate(printed: str) -> float:
    """The value of printed arithmetic: `^` is a power, `[a == b]` is 1 or 0."""
    python = printed.replace("^", "**").replace("[", "float(").replace("]", ")")
    assert re.fullmatch(r"[\w\s.+\-*/(),=<>!]*", python), printed
    return float(eval(python, {"__builtins__": {}}, NAMES))


@dataclass
class Block:
    """One sum or maximum: its kind, its rows as evaluated and as printed, its printed value."""

    kind: str
    evaluated: list[float]
    stated: list[float]
    value: str


@dataclass
class Printed:
    """What an explanation states."""

    headline: str
    blocks: list[Block]
    arithmetic: str
    result: str
    is_operation: bool


def parse(text: str) -> Printed:
    """Take an explanation apart, but for the second form of a gradient and its proof."""
    lines = text.partition("\nthe same in scatter form")[0].splitlines()
    headline = lines[0].rpartition(" = ")[2]
    blocks: list[Block] = []
    arithmetic = result = ""
    for line in lines[1:]:
        if re.match(r"\d+ (term|candidate)s?\b", line):
            blocks.append(Block(line.split()[1], [], [], ""))
        elif match := re.match(r"  (sum|largest|place of the first largest) = (\S+)$", line):
            blocks[-1].kind, blocks[-1].value = match[1], match[2]
        elif re.match(r"  \S+=\d", line):
            parts = line.removesuffix(" (outside)").split(" = ")
            stated = float(parts[-1])
            blocks[-1].stated.append(stated)
            blocks[-1].evaluated.append(evaluate(parts[-2]) if len(parts) == 3 else stated)
        elif match := re.match(r"  \d+ others?\b.*  (=|<=) (\S+)$", line):
            blocks[-1].stated.append(float(match[2]))
            blocks[-1].evaluated.append(float(match[2]))
        elif line.startswith("result "):
            arithmetic = line.removeprefix("result").strip()
        elif line.startswith("          = "):
            result = line.removeprefix("          = ")
    return Printed(headline, blocks, arithmetic, result or arithmetic, bool(result))


def reevaluated(printed: Printed, opened: bool) -> float:
    """The result from the printed numbers: the operands of every row if `opened`, else the rows' values."""
    arithmetic = printed.arithmetic
    for block in printed.blocks:
        rows = block.evaluated if opened else block.stated
        total = math.fsum(rows) if block.kind == "sum" else max(rows)
        if block.kind.startswith("place"):
            total = rows.index(max(rows))
        if not printed.is_operation:
            return total
        arithmetic, count = re.subn(
            rf"(?<![\w.]){re.escape(block.value)}(?![\w.])", f"({total!r})", arithmetic, count=1
        )
        assert count == 1, f"{block.value} does not stand in {arithmetic}"
    return evaluate(arithmetic)
