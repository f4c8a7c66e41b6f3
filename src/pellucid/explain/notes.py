"""What a person would point out in a trace: which cell a maximum took, what was dropped, where a path joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pellucid.explain.digits import place_of, shown
from pellucid.explain.trace import Node, Operation, Read, Reduction, Trace
from pellucid.notation.expression import Access, Add, Bracket, Call

FEW = 4
"""In a sum of so many terms each is worth a sentence."""


@dataclass(frozen=True)
class Note:
    """A sentence of the catalogue `explain`, by its key, and what fills its gaps."""

    key: str
    values: tuple[tuple[str, str], ...] = ()


def notes(trace: Trace, digits: int) -> tuple[Note, ...]:
    """What stands out in a trace, in no more than a few sentences."""
    if trace.equation is None or trace.tree is None:
        return (Note("unwritten"),) if trace.parts else (Note(f"given_{trace.tensor.role}"),)
    found = [*_by_kind(trace.tree, digits), *_by_structure(trace), *_by_name(trace)]
    return tuple(dict.fromkeys(found))


def _by_kind(tree: Node, digits: int) -> Iterator[Note]:
    """Maxima, dropout's draws, and the routes of gradients through maxima."""
    if isinstance(tree, Reduction) and tree.kind in ("max", "argmax"):
        best = max(range(len(tree.terms)), key=lambda k: (tree.terms[k].body.value, -place_of(tree, k)))
        term = tree.terms[best]
        at = " ".join(f"{index.name}={value}" for index, value in term.point)
        yield Note("maximum", (("at", at), ("value", shown(term.body.value, digits))))
    for node in _operations(tree):
        if not isinstance(node.expression, Bracket):
            continue
        left, right = node.parts
        holds = "_yes" if node.value == 1 else "_no"
        if isinstance(left, Read) and left.tensor.symbol.startswith("arg"):
            values = (("source", element(left)), ("place", str(left.value)), ("own", str(right.value)))
            yield Note("route" + holds, values)
        elif isinstance(left.expression, Call) and left.expression.function == "uniform":
            yield Note("draw" + holds, (("draw", shown(left.value, digits)), ("p", shown(right.value, digits))))


def _by_structure(trace: Trace) -> Iterator[Note]:
    """Concatenations, which copy, and residual sums, which add activations."""
    tree = trace.tree
    if isinstance(tree, Read) and trace.parts > 1:
        yield Note("joined", (("source", element(tree)), ("part", str(trace.part + 1)), ("parts", str(trace.parts))))
    if isinstance(tree, Operation) and isinstance(tree.expression, Add):
        reads = [part for part in tree.parts if isinstance(part, Read)]
        if len(reads) == len(tree.parts) and all(r.tensor.role == "defined" for r in reads):
            key = "paths_back" if trace.tensor.name.startswith("d ") else "paths"
            yield Note(key, (("sources", ", ".join(map(element, reads))),))


def _by_name(trace: Trace) -> Iterator[Note]:
    """Statistics of normalisation, updates and predictions, which their tensors' names and symbols tell."""
    name, symbol = trace.tensor.name, trace.tensor.symbol
    reads = [a.tensor for a in _accesses(trace) if a.tensor.role == "state"]
    if name.startswith("updated "):
        yield Note("update")
    if symbol == "K" and name == "predict":
        yield Note("prediction", (("number", str(trace.value)),))
    if any(tensor.name.endswith(("running_mean", "running_var")) for tensor in reads):
        yield Note("running_statistics")
    if symbol in ("M", "V") and "." in name and isinstance(trace.tree, Operation) and not name.startswith("loss"):
        yield Note("batch_mean" if symbol == "M" else "batch_variance")


def _accesses(trace: Trace) -> Iterator[Access]:
    if trace.equation is not None:
        yield from (node for node in trace.equation.value.walk() if isinstance(node, Access))


def _operations(node: Node) -> Iterator[Operation]:
    """The operations of a node, also those within the terms of its short sums."""
    if isinstance(node, Operation):
        yield node
    bodies = [term.body for term in node.terms] if isinstance(node, Reduction) and node.size <= FEW else []
    for part in (*node.operands, *bodies):
        yield from _operations(part)


def element(read: Read) -> str:
    """`name[1,2,3]`, or the name alone for a single number."""
    inside = ",".join(map(str, read.coordinates))
    return f"{read.tensor.name}[{inside}]" if inside else read.tensor.name
