"""What a set of notes states, item by item, read from a TOML file.

Only what stands on the page is stored here: places, printed numbers (as text, so that the number of digits is
known), printed formulas and calculations. No true value and no verdict is ever written down; what an item is about
is said by the catalogue `notes`, in four languages.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError

Kind = Literal["number", "sum", "formula", "statement", "question", "fact", "garbled"]

_TEXT_KEYS = frozenset(["stated", "written", "formula", "indices"])
_ITEM_KEYS = _TEXT_KEYS | {"id", "place", "what", "original", "kind", "given", "scale", "approximate"}
_ITEM_KEYS |= {"glyphs", "doubtful"}
_TYPES = {"given": bool, "approximate": bool, "scale": int, "glyphs": dict, "doubtful": dict}
_NOTE_KEYS = frozenset(["name", "language", "source", "examples", "item"])


@dataclass(frozen=True)
class Item:
    """One thing the notes state: a number or a matrix of numbers, sums of products, or a sentence.

    ``kind`` is ``number``; ``sum`` (letters instead of numbers); ``formula`` (only a formula is printed);
    ``statement`` (something that holds or not); ``question`` (asked, the answer not printed); ``fact``
    (stated, but nothing to compute); ``garbled`` (not readable in the scan). ``given`` items are what an
    example starts from.

    ``stated`` holds the printed texts row by row, ``shape`` their arrangement. ``formula`` is the formula
    printed for the item, over other items' names and the letters in ``indices``: one for all elements or one
    each. ``written`` is the calculation printed for each element. ``glyphs`` says what an unreadable sign may
    stand for; ``doubtful`` which readable texts may be a scanner's misreading of which others. An element of
    ``stated`` that is "" is not stated.

    ``origin`` is the number that places count from; the first dimension of a ``batched`` item has one place, which
    is not named.
    """

    id: str
    place: str
    what: str = ""
    kind: Kind = "number"
    stated: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    original: str = ""
    given: bool = False
    formula: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    scale: int = 1
    approximate: bool = False
    glyphs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    doubtful: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""
    origin: int = 1
    batched: bool = False

    def label(self, position: int, shape: tuple[int, ...] | None = None) -> str:
        """Name one element as the notes count: from `origin`, row before column."""
        shape = self.shape if shape is None else shape
        if not shape:
            return self.id
        index = np.unravel_index(position, shape)[1 if self.batched else 0 :]
        return f"{self.id}[{','.join(str(int(i) + self.origin) for i in index)}]"

    def letters(self, position: int, shape: tuple[int, ...]) -> dict[str, int]:
        """Give the index letters of ``formula`` their values for one element."""
        if not self.indices:
            return {}
        index = np.unravel_index(position, shape)
        return {letter: int(i) + 1 for letter, i in zip(self.indices, index, strict=True)}


@dataclass(frozen=True)
class Notes:
    """A whole set of notes: short name, language (ISO 639-1), file of origin, items in order.

    ``examples`` are the worked examples, each with the ids of its items; together they hold every item once.
    """

    name: str
    language: str
    source: str
    items: tuple[Item, ...]
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def load(file: Traversable) -> Notes:
    """Read a file of stated items.

    Raises DataError naming the file, the item and what must hold.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{file.name}: must be a readable TOML file in UTF-8: {error}") from error
    _known(content, _NOTE_KEYS, file.name)
    items = tuple(_item(entry, file.name) for entry in content.get("item", []))
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DataError(f'{file.name}: the id "{item.id}" must be used once; rename one of its items.')
        seen.add(item.id)
    header = {key: str(content.get(key, "")) for key in ("name", "language", "source")}
    if not header["name"] or not items:
        raise DataError(f'{file.name}: must have a "name" and at least one [[item]].')
    return Notes(items=items, examples=_examples(content.get("examples", {}), seen, file.name), **header)


def _examples(content: Mapping[str, Any], ids: set[str], where: str) -> dict[str, tuple[str, ...]]:
    """The worked examples, which share out all items."""
    if not content:
        return {}
    examples = {name: tuple(items) for name, items in content.items()}
    held = [name for items in examples.values() for name in items]
    for name in (*sorted(ids), *held):
        if held.count(name) != 1 or name not in ids:
            raise DataError(f'{where}: every item must stand in one of the "examples", and once; "{name}" does not.')
    return examples


def _item(entry: Mapping[str, Any], where: str) -> Item:
    where = f'{where}, item "{entry.get("id", "?")}"'
    _known(entry, _ITEM_KEYS, where)
    for key in ("id", "place"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise DataError(f'{where}: needs a text "{key}".')
    if not entry["id"].isidentifier():
        raise DataError(f"{where}: the id must be one word of letters, digits and _; formulas use it.")
    for key, kind_of_value in _TYPES.items():
        if key in entry and type(entry[key]) is not kind_of_value:
            raise DataError(f'{where}: "{key}" must be of type {kind_of_value.__name__}, not {entry[key]!r}.')
    kind = entry.get("kind", "number")
    if kind not in get_args(Kind):
        raise DataError(f'{where}: kind "{kind}" must be one of {", ".join(get_args(Kind))}.')
    stated, shape = _texts(entry.get("stated", []), where, "stated")
    if bool(stated) == (kind in ("question", "formula")):
        raise DataError(f'{where}: "stated" must hold what is printed; a {kind} states no number.')
    if kind == "formula" and not entry.get("formula"):
        raise DataError(f'{where}: a formula needs a text "formula".')
    written, written_shape = _texts(entry.get("written", []), where, "written")
    formula, formula_shape = _texts(entry.get("formula", []), where, "formula")
    indices = tuple(entry.get("indices", ()))
    if written and written_shape != shape:
        raise DataError(f'{where}: "written" has the shape {written_shape}, must have that of "stated": {shape}.')
    if formula and formula_shape not in ((), shape) and kind != "formula":
        raise DataError(f'{where}: "formula" has the shape {formula_shape}, must be one text or have {shape}.')
    if indices and kind != "formula" and len(indices) != len(shape):
        raise DataError(f'{where}: {len(indices)} "indices" for {len(shape)} dimensions; name one letter for each.')
    if formula and kind == "formula":
        shape = formula_shape
    rest = {key: entry[key] for key in entry.keys() - _TEXT_KEYS}
    return Item(**rest, stated=stated, shape=shape, written=written, formula=formula, indices=indices)


def _texts(value: object, where: str, key: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Flatten a text or nested lists of texts; ragged lists and bare numbers are refused."""
    if value == []:
        return (), ()
    array: NDArray[np.object_] = np.array(value, dtype=object)
    flat = tuple(array.ravel().tolist())
    if not flat or not all(isinstance(text, str) for text in flat):
        raise DataError(
            f'{where}: "{key}" must be a text or equally long rows of texts in quotes, such as [["0.10"]]; '
            f"the quotes keep the printed digits."
        )
    return flat, array.shape


def _known(entry: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    unknown = sorted(entry.keys() - keys)
    if unknown:
        raise DataError(f'{where}: unknown key "{unknown[0]}"; known are {", ".join(sorted(keys))}.')
