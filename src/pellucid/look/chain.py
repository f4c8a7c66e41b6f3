"""From a number that is NaN or 0 upstream to the first number at fault: the chain of elements, and why each follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pellucid.errors import UsageError
from pellucid.explain import locate
from pellucid.look.record import Array, Record, element, in_words
from pellucid.notation import Expression, Tensor
from pellucid.notation.expression import Access, substitute

GIVEN = {"input": "input", "parameter": "weight", "state": "state", "constant": "constant"}
"""What a number is that no equation computes, by its tensor's role."""


@dataclass(frozen=True)
class Reason:
    """Why an expression has its value: a sentence, and either the element to follow or the kind of the cause."""

    sentence: str
    follow: Access | None = None
    cause: str = ""

    def after(self, sentence: str) -> Reason:
        """The same with another sentence before it."""
        return Reason("; ".join(filter(None, (sentence, self.sentence))), self.follow, self.cause)


@dataclass(frozen=True)
class Link:
    """One element on the way: its value, the equation that writes it as a layer has it and as it stands there, why."""

    tensor: str
    coordinates: tuple[int, ...]
    value: float | int
    equation: str | None
    here: str | None
    reason: str

    @property
    def place(self) -> str:
        return element(self.tensor, self.coordinates)


@dataclass(frozen=True)
class Chain:
    """The elements from the one that was asked about to the first number at fault, and the kind of fault."""

    links: tuple[Link, ...]
    cause: str

    def __str__(self) -> str:
        asked, first = self.links[0], self.links[-1]
        verdict = f"{asked.place} is {asked.value:.6g}. The first number at fault is {first.place}: {first.reason}."
        return "\n\n".join([verdict, *(f"{link.place} = {link.value:.6g}{_details(link)}" for link in self.links)])

    def to_json(self) -> dict[str, Any]:
        """The same as plain data; values as text, because JSON knows no NaN."""
        links = [{**asdict(link), "place": link.place, "value": f"{link.value:.9g}"} for link in self.links]
        return {"cause": self.cause, "at": self.links[-1].place, "reason": self.links[-1].reason, "chain": links}


def _details(link: Link) -> str:
    shown = [("equation", link.equation), ("here", link.here), ("because", link.reason)]
    return "".join(f"\n  {name:<9} {value}" for name, value in shown if value)


def start(known: Record, tensor: Tensor, coordinates: tuple[int, ...], faulty: Array, fault: str) -> tuple[int, ...]:
    """The element that is meant, which must be faulty; without coordinates, the first faulty one of its tensor.

    Raises UsageError where there is no such fault, ShapeError for coordinates outside the tensor.
    """
    if not coordinates and tensor.extents:
        if not faulty.any():
            raise UsageError(f"none of the {tensor.size:,} numbers of {tensor.name} is {fault}")
        return tuple(int(k) for k in np.argwhere(faulty)[0])
    place = locate.element(tensor, coordinates, tensor in known.of_images)
    if not faulty[place]:
        value = known.arrays[tensor.name][place]
        raise UsageError(f"{element(tensor.name, place)} is {value:.6g}, not {fault}")
    return place


def follow(known: Record, tensor: Tensor, place: tuple[int, ...], why: Callable[[Record, Expression], Reason]) -> Chain:
    """Go upstream for as long as a reason names an element to follow."""
    links = []
    while True:
        value = known.arrays[tensor.name][place].item()
        found = locate.writer(known.program.definition(tensor), place)
        if found is None:
            cause = GIVEN.get(tensor.role, "unwritten")
            written = "no equation writes this element" if cause == "unwritten" else f"this {cause} itself is {value:g}"
            links.append(Link(tensor.name, place, value, None, None, written))
            return Chain(tuple(links), cause)
        _, equation, point = found
        node = substitute(equation.value, point)
        reason = why(known, node)
        links.append(Link(tensor.name, place, value, str(equation), in_words(node), reason.sentence))
        if reason.follow is None:
            return Chain(tuple(links), reason.cause)
        tensor, place = reason.follow.tensor, tuple(a.constant for a in reason.follow.at)


def inside(access: Access) -> bool:
    """Whether a read at fixed coordinates lies inside its tensor."""
    return all(0 <= a.constant < extent for a, extent in zip(access.at, access.tensor.extents, strict=True))
