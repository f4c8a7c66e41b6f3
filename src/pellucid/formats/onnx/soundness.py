"""What must hold of a graph before its nodes are read: a version, names, operators that are known, an order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pellucid.errors import DataError
from pellucid.formats.onnx.folding import FOLDED
from pellucid.formats.onnx.operators import RULES
from pellucid.formats.onnx.reading import require_onnx

OLDEST = 7
"""The first operator set that is read; the newest is that of the installed package."""

_DOMAINS = ("", "ai.onnx")


def version_of(model: Any) -> int:
    """The operator set that the model uses; DataError for one that is not read."""
    newest = require_onnx().defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    if not versions or not OLDEST <= versions[0] <= newest:
        found = f"operator set {versions[0]}" if versions else "no operator set of ONNX itself"
        raise DataError(f"The model uses {found}; sets {OLDEST} to {newest} are read.")
    return int(versions[0])


def refuse_unsound(graph: Any) -> None:
    """DataError for a graph with damaged names, or with operators that are not read, all of them listed."""
    _refuse_damaged_names(graph)
    _refuse_unknown(graph)


def _refuse_damaged_names(graph: Any) -> None:
    """Protobuf gives a text that is not in UTF-8 as bytes."""
    names = [value.name for values in (graph.input, graph.output, graph.initializer) for value in values]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(name, str) for name in names):
        raise DataError("The graph is damaged: a name in it is no text.")


def _refuse_unknown(graph: Any) -> None:
    """One message for all operators that are not read."""
    unknown = Counter(
        node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
        for node in graph.node
        if node.domain not in _DOMAINS or (node.op_type not in RULES and node.op_type not in FOLDED)
    )
    if unknown:
        names = ", ".join(f"{name:.60} ({count})" for name, count in sorted(unknown.items())[:50])
        raise DataError(f"The model has operators that are not read: {names}. docs/onnx.md lists those that are.")
    if graph.sparse_initializer:
        raise DataError("The model has sparse tensors, which are not read.")


def in_order(nodes: Sequence[Any], known: set[str]) -> list[Any]:
    """The nodes, each after those it reads; DataError for a cycle or a value that nothing gives."""
    made = {name for node in nodes for name in node.output if name}
    missing = {name for node in nodes for name in node.input if name and name not in made and name not in known}
    if missing:
        raise DataError(f"The graph is damaged: nothing gives {_list(missing)}.")
    readers: dict[str, list[int]] = {}
    waiting = []
    for number, node in enumerate(nodes):
        reads = {name for name in node.input if name in made and name not in known}
        waiting.append(len(reads))
        for name in reads:
            readers.setdefault(name, []).append(number)
    ready = [number for number, count in enumerate(waiting) if not count]
    ordered = []
    for number in ready:
        ordered.append(nodes[number])
        for name in dict.fromkeys(nodes[number].output):
            for reader in readers.get(name, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
    if len(ordered) < len(nodes):
        circle = {name for node, count in zip(nodes, waiting, strict=True) if count for name in node.output if name}
        raise DataError(f"The graph is damaged: there is a cycle among {_list(circle)}.")
    return ordered


def _list(names: set[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in sorted(names)[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
