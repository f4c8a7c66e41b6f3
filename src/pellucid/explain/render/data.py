"""A document as data for JSON: the same tree, each number as it is written and as it is."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from pellucid.explain.document import Document, Element, Opening, Row, Shown, Sum
from pellucid.explain.part import Number
from pellucid.explain.render.styles import PLAIN
from pellucid.explain.render.words import Words
from pellucid.notation import Expression
from pellucid.notation.expression import Access, Bracket, Call, Const, Position, Reduce

Tree = dict[str, Any]


def render(document: Document, words: Words) -> Tree:
    """Everything that the other renderers show, as JSON's types."""
    scatter = None if document.scatter is None else _sum(document.scatter, words)
    return {
        **_opening(document.opening, words),
        "scatter": scatter,
        "proof": {
            fact.key: {**_number(fact.value), "expression": None if fact.expression is None else tree(fact.expression)}
            for fact in document.facts
        },
        "receptive_fields": [
            {"tensor": field.tensor.name, "first": [a for a, _ in field.box], "last": [b for _, b in field.box]}
            for field in document.fields
        ],
        "opened": [_opening(opening, words) for opening in document.further],
        "unopened": document.unopened,
    }


def _opening(opening: Opening, words: Words) -> Tree:
    return {
        "tensor": opening.tensor.name,
        "index": [affine.constant for affine in opening.element.at],
        **_number(opening.value),
        "equation": None if opening.equation is None else str(opening.equation),
        "part": opening.part + 1 if opening.parts else None,
        "parts": opening.parts,
        "indices": dict(opening.indices),
        "here": None if opening.here is None else PLAIN.write(opening.here),
        "sums": [_sum(total, words) for total in opening.sums],
        "result": None if opening.result is None else tree(opening.result),
        "notes": [words.note(note) for note in opening.notes],
    }


def _sum(total: Sum, words: Words) -> Tree:
    return {
        "kind": total.kind,
        "name": None if total.named is None else PLAIN.write(total.named),
        **_number(total.value),
        "size": total.size,
        "terms": [_row(row, words) for row in total.rows],
        "folded": total.folded,
        "folded_zeros": total.zeros,
        "remainder": _number(total.remainder),
    }


def _row(row: Row, words: Words) -> Tree:
    return {
        "indices": dict(row.point),
        "name": PLAIN.write(row.named),
        "expression": None if row.numbers is None else tree(row.numbers),
        **_number(row.value),
        "partial_sum": None if row.partial is None else _number(row.partial),
        "outside": row.outside,
        "sums": [_sum(inner, words) for inner in row.sums],
    }


def _number(shown: Shown) -> Tree:
    return {"value": plain(shown.value), "shown": shown.written}


def plain(value: Number) -> float | int | str:
    """A number in JSON's types; fractions, infinities and not-a-number as text."""
    if isinstance(value, Fraction):
        return str(value)
    return value if math.isfinite(value) else str(value)


def tree(node: Expression) -> Tree:
    """An expression as nested tables: `{"operation": "mul", "of": [...]}` down to `{"number": "2.14"}`."""
    match node:
        case Shown(written):
            return {"number": written}
        case Const(value):
            return {"number": str(value)}
        case Position(affine):
            return {"position": str(affine)}
        case Element() | Access():
            return {"element": PLAIN.write(node)}
        case Call(function):
            return {"operation": "call", "function": function, "of": [tree(child) for child in node.children]}
        case Bracket(_, relation, _):
            return {"operation": "bracket", "relation": relation, "of": [tree(child) for child in node.children]}
        case Reduce(kind, indices):
            names = [index.name for index in indices]
            return {"operation": kind, "over": names, "of": [tree(child) for child in node.children]}
    return {"operation": type(node).__name__.lower(), "of": [tree(child) for child in node.children]}
