"""The workings of an example: a small graph of steps, run on true values or on the numbers as printed.

Each item that is not given has a *step*: a function of the same name whose parameters are the earlier items
it needs. Run on true values it gives what is true; run on the printed earlier numbers it gives what those
numbers lead to. Steps without an item compute what the notes leave out; elements that are not stated are computed
from what is.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError
from pellucid.lessons.arithmetic import FUNCTIONS, Function, evaluate, names_in
from pellucid.lessons.items import Item, Notes
from pellucid.lessons.printed import Printed, agreement, read, readings

Array = NDArray[np.float64]
Step = Callable[..., Any]

UNCHECKED = ("fact", "garbled")
NOTHING: Mapping[str, Array] = {}


@dataclass(frozen=True)
class Comparison:
    """A statement put to the test: both of its sides, computed by different routes."""

    left: Array
    right: Array

    @property
    def difference(self) -> float:
        """Largest difference, relative to the larger side's largest magnitude."""
        if self.left.shape != self.right.shape:
            return float("inf")
        scale = max(float(np.abs(self.left).max()), float(np.abs(self.right).max()), 1e-30)
        return float(np.abs(self.left - self.right).max()) / scale

    @property
    def holds(self) -> bool:
        """Equal but for float64 rounding."""
        return self.difference <= 1e-9


class Workings:
    """The steps of one set of notes, and the values they give.

    Raises DataError when an item has no step, or a step needs what the notes state only later.
    """

    def __init__(self, notes: Notes, steps: Iterable[Step]) -> None:
        self.notes = notes
        self.items: dict[str, Item] = {item.id: item for item in notes.items}
        self.steps: dict[str, Step] = {step.__name__: step for step in steps}
        self.needs = {name: _needs(step) for name, step in self.steps.items()}
        self.order = {item.id: position for position, item in enumerate(notes.items)}
        self._true: dict[str, Any] = {}
        self._printed: dict[str, list[Printed]] = {}
        self._validate()

    # ---- values --------------------------------------------------------------------------------------------

    def true(self, name: str) -> Any:
        """What is true for an item or a step: an array, sums of products, or a comparison."""
        if name not in self._true:
            item = self.items.get(name)
            given = item is not None and item.given
            self._true[name] = self.stated(name) if given else self._run(name, self.true)
        return self._true[name]

    def stated(self, name: str) -> Array:
        """The numbers of an item as printed."""
        item = self.items[name]
        return np.array([number.value for number in self.printed(item)]).reshape(item.shape)

    def from_stated(self, name: str, corrected: Mapping[str, Array] = NOTHING) -> Any:
        """Run one step on the earlier numbers as printed, some of them corrected."""
        memory: dict[str, Any] = {}
        return self._from_stated(name, corrected, memory)

    def is_stated(self, name: str) -> bool:
        """Whether the notes print numbers under this name."""
        item = self.items.get(name)
        return item is not None and item.kind == "number"

    def printed(self, item: Item) -> list[Printed]:
        """Read every element: an unreadable sign as what is true, else as what the numbers before give."""
        if item.id not in self._printed:
            unstated = [float(value) for value in self.from_stated(item.id).ravel()] if "" in item.stated else []
            options = [
                _readings(item, k) if text else [Printed("", "", unstated[k], 0.0)]
                for k, text in enumerate(item.stated)
            ]
            chosen = [numbers[0] for numbers in options]
            if any(len(numbers) > 1 for numbers in options):
                wanted = np.stack([self.true(item.id).ravel(), self.from_stated(item.id).ravel()])
                for k, numbers in enumerate(options):
                    fitting = (n for value in wanted[:, k] for n in numbers if agreement(n, float(value)))
                    chosen[k] = next(fitting, numbers[0])
            self._printed[item.id] = chosen
        return self._printed[item.id]

    def earlier(self, item: Item, k: int) -> list[str]:
        """Name the stated items an element comes from, through steps the notes leave out and its formula."""
        found: set[str] = set()

        def visit(names: Sequence[str]) -> None:
            for name in names:
                if self.is_stated(name):
                    found.add(name)
                if not self.is_stated(name) or "" in self.items[name].stated:
                    visit(self.needs.get(name, ()))

        visit(self.needs[item.id])
        for expression in expressions(item, k).values():
            visit(sorted(names_in(expression, item.indices)))
        return sorted(found, key=lambda name: self.order[name])

    def related(self, name: str) -> set[str]:
        """Name everything that depends on the same things as ``name``, it and its own included."""
        neighbours: dict[str, set[str]] = {step: set(needed) for step, needed in self.needs.items()}
        for step, needed in self.needs.items():
            for other in needed:
                neighbours.setdefault(other, set()).add(step)
        found: set[str] = set()
        waiting = [name]
        while waiting:
            if (here := waiting.pop()) not in found:
                found.add(here)
                waiting += neighbours.get(here, ())
        return found

    def _from_stated(self, name: str, corrected: Mapping[str, Array], memory: dict[str, Any]) -> Any:
        if name not in memory:
            memory[name] = self._run(name, lambda other: self._as_stated(other, corrected, memory))
        return memory[name]

    def _as_stated(self, name: str, corrected: Mapping[str, Array], memory: dict[str, Any]) -> Any:
        if name in corrected:
            return corrected[name]
        if not self.is_stated(name):
            return self._from_stated(name, corrected, memory)
        if "" not in self.items[name].stated:
            return self.stated(name)
        values = np.array(self._from_stated(name, corrected, memory), dtype=np.float64)
        for k, number in enumerate(self.printed(self.items[name])):
            if number.text:
                values.flat[k] = number.value
        return values

    def _run(self, name: str, source: Callable[[str], Any]) -> Any:
        """Run one step on values from ``source`` and hold the result to the item's shape."""
        result = self.steps[name](*(source(other) for other in self.needs[name]))
        item = self.items.get(name)
        if item is None or item.kind in ("sum", "statement"):
            return result
        array: Array = np.asarray(result, dtype=np.float64)
        if item.kind == "number" and array.shape != item.shape:
            raise DataError(
                f'{self.notes.name}: "{name}" states the shape {item.shape}, its step computed {array.shape}.'
            )
        return array

    # ---- formulas and calculations as printed --------------------------------------------------------------

    def evaluate(
        self,
        item: Item,
        k: int,
        text: str,
        corrected: Mapping[str, Array] = NOTHING,
        functions: Mapping[str, Function] = FUNCTIONS,
    ) -> float:
        """Evaluate what is printed beside an element, on the earlier numbers as printed."""
        names = names_in(text, item.indices)
        memory: dict[str, Any] = {}
        tensors = {name: np.asarray(self._as_stated(name, corrected, memory)) for name in names}
        return evaluate(text, tensors, item.letters(k, item.shape), functions)

    def formula_values(self, item: Item, which: int) -> list[tuple[int, float, float]]:
        """Evaluate a printed formula on true values: (element, what it gives, what is true)."""
        text = item.formula[which]
        tensors = {name: np.asarray(self.true(name)) for name in names_in(text, item.indices)}
        true: Array = np.asarray(self.true(item.id))
        elements = range(true.size) if len(item.formula) == 1 else [which]
        return [(k, evaluate(text, tensors, item.letters(k, true.shape)), float(true.ravel()[k])) for k in elements]

    def formula_holds(self, item: Item, which: int) -> bool:
        """Whether a printed formula gives what is true, for every element it stands for."""
        return all(close(value, true) for _, value, true in self.formula_values(item, which))

    # ---- the graph is in order -----------------------------------------------------------------------------

    def _validate(self) -> None:
        where = self.notes.name
        for item in self.notes.items:
            if item.kind not in UNCHECKED and not item.given and item.id not in self.steps:
                raise DataError(f'{where}: item "{item.id}" needs a step that computes it, or "given = true".')
        for name, needed in self.needs.items():
            for other in needed:
                if other not in self.items and other not in self.steps:
                    raise DataError(f'{where}: step "{name}" needs "{other}", which is no item and no step.')
                if self.order.get(other, -1) > self.order.get(name, len(self.order)):
                    raise DataError(f'{where}: step "{name}" needs "{other}", which is stated only later.')


def _needs(step: Step) -> tuple[str, ...]:
    """What a step needs: its parameters, unless it says so itself."""
    needs: Sequence[str] | None = getattr(step, "needs", None)
    return tuple(inspect.signature(step).parameters if needs is None else needs)


def expressions(item: Item, k: int) -> dict[str, str]:
    """What is printed beside an element, by name: its formula and its calculation."""
    found = {}
    if item.formula:
        which = 0 if len(item.formula) == 1 else k
        found[formula_name(item, which)] = item.formula[which]
    if item.written and item.written[k]:
        found["written"] = readings(item.written[k], item.glyphs)[0]
    return found


def formula_name(item: Item, which: int) -> str:
    """``formula`` for an item's only formula, ``formula[2]`` for one of several."""
    return "formula" if len(item.formula) == 1 else "formula" + item.label(which).removeprefix(item.id)


def close(value: float, true: float) -> bool:
    """Equal but for float64 rounding."""
    return abs(value - true) <= 1e-9 * max(abs(true), 1e-6)


def _readings(item: Item, k: int) -> list[Printed]:
    texts = readings(item.stated[k], item.glyphs)
    numbers = [read(text, scale=item.scale, approximate=item.approximate) for text in texts]
    return [Printed(item.stated[k], n.reading, n.value, n.place, n.open_ended) for n in numbers]
