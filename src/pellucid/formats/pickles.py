"""Reading the pickles of tensor files without running them.

A pickle is a program for a small stack machine, and its usual reader imports and calls whatever the program names.
This reader is another machine. It knows only the instructions that plain values need: numbers, texts, tuples, lists
and dictionaries. A global is looked up in a table that its caller gives, never imported; a call is a call of one of
these functions. Everything else is refused.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pellucid.errors import CheckpointError

LENGTH_LIMIT = 8 << 20  # bytes; the pickle of a large network's state has a few hundred thousand
_PLAIN = (str, int, float, bool, type(None), bytes)

_MARK = object()
_PUSH = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


@dataclass(frozen=True)
class Named:
    """A global that a caller knows: its name in the pickle, and the function that a call of it calls, if any."""

    name: str
    call: Callable[..., Any] | None = None


class Table(dict[Any, Any]):
    """A dictionary of the pickle; as an OrderedDict it may have attributes, which are dropped."""


class Machine:
    """The stack machine, for one pickle.

    `globals` are the names that the pickle may use; `persistent` turns a reference to something outside the pickle
    into a value.
    """

    def __init__(self, globals: Mapping[str, Named], persistent: Callable[[Any], Any]) -> None:
        self._globals, self._persistent = globals, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, data: bytes, where: str) -> Any:
        """The value that the pickle describes. Raises CheckpointError for anything but plain values."""
        if len(data) > LENGTH_LIMIT:
            raise CheckpointError(
                f"{where} describes its tensors in {len(data):,} bytes; the limit is {LENGTH_LIMIT:,}."
            )
        try:
            for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
                if opcode.name == "STOP":
                    (value,) = self._stack
                    return value
                self._step(opcode.name, argument, where)
        except CheckpointError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, RecursionError) as error:
            raise CheckpointError(
                f"{where} is damaged: its description of the tensors makes no sense ({error})."
            ) from None
        raise CheckpointError(f"{where} is damaged: its description of the tensors has no end.")

    def _step(self, name: str, argument: Any, where: str) -> None:
        stack = self._stack
        if name in _PUSH:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._global(argument if name == "GLOBAL" else " ".join(reversed([stack.pop(), stack.pop()])), where)
        elif name not in ("PROTO", "FRAME"):
            raise CheckpointError(
                f"{where} contains the pickle instruction {name}, which no file of tensors needs. It is refused; "
                "save only a state_dict of tensors."
            )

    def _global(self, named: str, where: str) -> None:
        name = named.replace(" ", ".", 1)
        if name not in self._globals:
            raise CheckpointError(
                f"{where} asks for {name!r}: it holds Python objects or code besides tensors, which Pellucid never "
                "loads. In the program that made it, save the tensors alone: torch.save(model.state_dict(), path)."
            )
        self._stack.append(self._globals[name])

    def _above_mark(self) -> list[Any]:
        """Take off what lies above the topmost mark, and the mark."""
        for position in range(len(self._stack) - 1, -1, -1):
            if self._stack[position] is _MARK:
                items = self._stack[position + 1 :]
                del self._stack[position:]
                return items
        raise ValueError("a mark is missing")

    def _tuple(self, length: int | None = None) -> None:
        items = self._above_mark() if length is None else [self._stack.pop() for _ in range(length)][::-1]
        self._stack.append(tuple(items))

    def _dictionary(self) -> None:
        self._stack.append(Table())

    def _list(self) -> None:
        self._stack.append([])

    def _put(self, items: list[Any]) -> None:
        table = self._stack[-1]
        if not isinstance(table, Table) or len(items) % 2:
            raise ValueError("entries are put into something that is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _PLAIN):
                raise ValueError("a key is neither a text nor a number")
            table[key] = value

    def _entry(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._put([key, value])

    def _entries(self) -> None:
        self._put(self._above_mark())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise ValueError("items are appended to something that is no list")
        self._stack[-1].extend(items)

    def _append(self) -> None:
        self._extend([self._stack.pop()])

    def _appends(self) -> None:
        self._extend(self._above_mark())

    def _call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Named) or function.call is None or not isinstance(arguments, tuple):
            raise ValueError("something is called that is no function")
        self._stack.append(function.call(*arguments))

    def _attributes(self) -> None:
        self._stack.pop()
        if not isinstance(self._stack[-1], Table):
            raise ValueError("attributes are set on something that is no dictionary")

    def _reference(self) -> None:
        self._stack.append(self._persistent(self._stack.pop()))


_INSTRUCTIONS: dict[str, Callable[[Machine], None]] = {
    "TUPLE": Machine._tuple,
    "TUPLE1": lambda machine: machine._tuple(1),
    "TUPLE2": lambda machine: machine._tuple(2),
    "TUPLE3": lambda machine: machine._tuple(3),
    "EMPTY_DICT": Machine._dictionary,
    "EMPTY_LIST": Machine._list,
    "SETITEM": Machine._entry,
    "SETITEMS": Machine._entries,
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "REDUCE": Machine._call,
    "BUILD": Machine._attributes,
    "BINPERSID": Machine._reference,
}
