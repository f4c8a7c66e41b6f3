"""Which number is meant: "conv2[3,4,5]" as a name and coordinates, and the equation that writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pellucid.errors import ShapeError, UsageError
from pellucid.notation import Affine, Equation, Index, Program, Tensor
from pellucid.notation.expression import accesses

NAMED = 40
"""An error names so many tensors of a model."""


def parse(what: str) -> tuple[str, tuple[int, ...]]:
    """The tensor's name and the coordinates in `what`; UsageError if it is not of the form name[i,j,...]."""
    match = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[([^\[\]]*)\])?\s*", what)
    inside = [] if match is None or not (match[2] or "").strip() else match[2].split(",")
    if match is None or any(not re.fullmatch(r"\s*-?\d+\s*", number) for number in inside):
        raise UsageError(f'{what!r} names no number; write it as "conv2[3,4,5]", "d conv1.weight[2,0,1,1]" or "loss"')
    return re.sub(r"\s+", " ", match[1]), tuple(int(number) for number in inside)


def unknown(name: str, known: Sequence[str]) -> UsageError:
    """The error for a tensor that does not exist, with the name that was probably meant."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    some = ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
    return UsageError(f"there is no tensor {name!r}.{hint} There are {some}")


def element(tensor: Tensor, coordinates: tuple[int, ...], per_image: bool) -> tuple[int, ...]:
    """All coordinates of an element: where only the image is missing it is image 0.

    Raises ShapeError when there are too few or too many, or one lies outside the tensor.
    """
    shape = tensor.extents
    if per_image and len(coordinates) == len(shape) - 1:
        coordinates = (0, *coordinates)
    given = f"[{','.join(map(str, coordinates))}]"
    if not shape and coordinates:
        raise ShapeError(f"{tensor.name} is a single number; leave out {given}")
    extents = f"{tensor.name} has the shape {'x'.join(map(str, shape))}"
    if len(coordinates) != len(shape):
        least = f"{len(shape) - 1} (image 0) or " if per_image else ""
        raise ShapeError(f"{extents}: give {least}{len(shape)} indices, not {len(coordinates)}")
    for number, (coordinate, extent) in enumerate(zip(coordinates, shape, strict=True)):
        if not 0 <= coordinate < extent:
            raise ShapeError(f"{extents}: index {number} of {given} must be 0 to {extent - 1}, not {coordinate}")
    return coordinates


def of_images(program: Program, inputs: Sequence[Tensor]) -> set[Tensor]:
    """The tensors whose first dimension counts the images of the batch, as that of the inputs does.

    It does where an equation writes at the same first index at which it reads such a tensor.
    """
    found = set(inputs)
    for equation in program:
        first = equation.at[0] if equation.at else None
        reads = (a for a in accesses(equation.value) if a.tensor in found)
        if first is not None and first.single is not None and any(a.at[0] == first for a in reads):
            found.add(equation.tensor)
    return found


def writer(
    equations: Sequence[Equation], coordinates: tuple[int, ...]
) -> tuple[int, Equation, dict[Index, int]] | None:
    """The equation that writes an element: its number among the parts, itself, its indices' values.

    None if no part writes the element, which is then 0.
    """
    for number, equation in enumerate(equations):
        for point in solutions(equation.at, coordinates):
            return number, equation, {index: point[index] for index in equation.indices}
    return None


def solutions(at: Sequence[Affine], coordinates: Sequence[int]) -> Iterator[dict[Index, int]]:
    """All values of the indices, within their extents, at which the affine expressions have these values."""
    yield from _solve([(affine, goal) for affine, goal in zip(at, coordinates, strict=True)], {})


def _solve(open_terms: list[tuple[Affine, int]], point: dict[Index, int]) -> Iterator[dict[Index, int]]:
    table = {index: Affine.of(value) for index, value in point.items()}
    rest = [(affine.substitute(table), goal) for affine, goal in open_terms]
    if any(not affine.bounds[0] <= goal <= affine.bounds[1] for affine, goal in rest):
        return
    rest = [(affine, goal) for affine, goal in rest if affine.terms]
    if not rest:
        yield point
        return
    # The largest coefficient leaves the fewest choices: in 14*i + j, with j < 14, one i for each goal.
    terms = ((i, c, affine, goal) for affine, goal in rest for i, c in affine.terms)
    index, coefficient, affine, goal = max(terms, key=lambda term: abs(term[1]))
    low, high = (affine - Affine(((index, coefficient),))).bounds
    ends = (goal - high, goal - low) if coefficient > 0 else (low - goal, high - goal)
    size = abs(coefficient)
    for candidate in range(max(0, -(-ends[0] // size)), min(index.size - 1, ends[1] // size) + 1):
        yield from _solve(rest, {**point, index: candidate})
