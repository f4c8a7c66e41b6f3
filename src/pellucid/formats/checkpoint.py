"""PyTorch's `.pth` files, turned into safetensors without running the code that a pickle may carry.

`torch.save` writes a zip archive: `data.pkl`, a pickle that describes the tensors, and one file of plain numbers for
each storage. The pickle is read by `pickles.py`, which executes nothing; what is not a tensor, a number, a text or a
collection of these is refused.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import CheckpointError
from pellucid.formats.pickles import Machine, Named, Table
from pellucid.formats.safetensors import save_weights

Array = NDArray[Any]

STORAGES = {
    "torch.DoubleStorage": "f8", "torch.FloatStorage": "f4", "torch.HalfStorage": "f2", "torch.BFloat16Storage": "u2",
    "torch.LongStorage": "i8", "torch.IntStorage": "i4", "torch.ShortStorage": "i2", "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1", "torch.BoolStorage": "?",
}  # fmt: skip
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that files of PyTorch before 1.6 begin with
_SHARED = 8  # a storage may be behind several tensors; more than this many times the file is no honest use
_DEPTH = 8


@dataclass(frozen=True)
class _Storage:
    """A run of numbers in the archive."""

    values: Array
    bfloat16: bool


def convert_checkpoint(source: str | Path, target: str | Path, *, key: str | None = None) -> dict[str, Array]:
    """Turn a `.pth` file into a safetensors file with the same names, shapes and numbers; returns the tensors.

    Arguments and errors are those of `read_checkpoint`; ResourceError when the disk refuses the new file.
    """
    tensors = read_checkpoint(source, key=key)
    save_weights(target, tensors)
    return tensors


def read_checkpoint(path: str | Path, *, key: str | None = None) -> dict[str, Array]:
    """The tensors of a file that `torch.save` wrote of a state dict; numbers in bfloat16 become float32, exactly.

    `key` names the entry that holds the state dict, where the file holds more; a dot leads further down.

    Raises CheckpointError for a file that holds anything but tensors and plain values, that is damaged, or that was
    written in the form of PyTorch before 1.6.
    """
    where = str(path)
    try:
        if not Path(path).is_file():
            raise CheckpointError(f"{where} is not a file. Give the path of a .pth or .pt file.")
        with open(path, "rb") as file:
            _refuse_legacy(file.read(512), where)
        with zipfile.ZipFile(path) as archive:
            value = _Reader(archive, where).value()
    except OSError as error:
        raise CheckpointError(f"{where} cannot be read: {error.strerror or error}.") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        ValueError,
        EOFError,
        struct.error,
    ) as error:
        raise CheckpointError(f"{where} is damaged or no file of torch.save: {error}.") from error
    return _state_dict(value, key, where)


def _refuse_legacy(head: bytes, where: str) -> None:
    tar = head[257:262] == b"ustar"
    if head.startswith(_LEGACY) or tar:
        raise CheckpointError(
            f"{where} has the form that PyTorch wrote before version 1.6, which mixes numbers with a program. Write it "
            "anew with PyTorch: torch.save(torch.load(path, weights_only=True), new_path)."
        )
    if not head.startswith(b"PK"):
        raise CheckpointError(f"{where} is no file of torch.save: it does not begin like a zip archive.")


class _Reader:
    """One archive: its entries, and the storages read so far."""

    def __init__(self, archive: zipfile.ZipFile, where: str) -> None:
        self._archive, self._where = archive, where
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            if entry.filename in self._entries:
                raise CheckpointError(f"{where} is damaged: its entry {entry.filename!r} is there twice.")
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise CheckpointError(f"{where}: torch.save compresses nothing, but {entry.filename!r} is compressed.")
            self._entries[entry.filename] = entry
        self._storages: dict[str, _Storage] = {}
        self._stored = sum(entry.file_size for entry in self._entries.values())
        if self._stored > Path(where).stat().st_size:
            raise CheckpointError(f"{where} is damaged: its entries claim more bytes than the file has.")
        self._claimed = 0
        self._prefix = self._find_prefix()

    def _find_prefix(self) -> str:
        """The folder inside the archive that everything is in."""
        descriptions = [name for name in self._entries if re.fullmatch(r"[^/]+/data\.pkl", name)]
        if len(descriptions) != 1:
            raise CheckpointError(f"{self._where} is no file of torch.save: it is a zip archive without data.pkl.")
        prefix = descriptions[0].removesuffix("data.pkl")
        if f"{prefix}constants.pkl" in self._entries:
            raise CheckpointError(
                f"{self._where} is a TorchScript program, not a file of weights. "
                "Save its weights: torch.save(model.state_dict(), path)."
            )
        return prefix

    def _content(self, name: str) -> bytes:
        if self._prefix + name not in self._entries:
            raise CheckpointError(f"{self._where} is damaged: its entry {name!r} is missing.")
        return self._archive.read(self._entries[self._prefix + name])

    def value(self) -> Any:
        """What was saved."""
        known: dict[str, Named] = {name: Named(name) for name in STORAGES}
        known["collections.OrderedDict"] = Named("collections.OrderedDict", _ordered)
        known["torch._utils._rebuild_tensor_v2"] = Named("torch._utils._rebuild_tensor_v2", self._tensor)
        known["torch._utils._rebuild_parameter"] = Named("torch._utils._rebuild_parameter", _parameter)
        known["torch.Size"] = Named("torch.Size", tuple)
        return Machine(known, self._storage).read(self._content("data.pkl"), self._where)

    def _storage(self, reference: Any) -> _Storage:
        """The storage that a persistent reference means: ("storage", its type, its key, a device, its length)."""
        word, kind, key, _, length = reference
        if word != "storage" or not isinstance(kind, Named) or kind.name not in STORAGES:
            raise ValueError("a reference is to no storage of numbers")
        if not isinstance(key, str) or not re.fullmatch(r"\d{1,9}", key) or type(length) is not int:
            raise ValueError("a storage has a name that is no number")
        if key not in self._storages:
            dtype = np.dtype(STORAGES[kind.name]).newbyteorder(self._byteorder())
            data = self._content(f"data/{key}")
            if len(data) % dtype.itemsize:
                raise ValueError(f"storage {key} does not hold whole numbers of {dtype.itemsize} bytes")
            self._storages[key] = _Storage(np.frombuffer(data, dtype), kind.name == "torch.BFloat16Storage")
        storage = self._storages[key]
        if storage.values.dtype != np.dtype(STORAGES[kind.name]).newbyteorder(self._byteorder()):
            raise ValueError(f"storage {key} is used with two types")
        if len(storage.values) != length:
            raise ValueError(f"storage {key} holds {len(storage.values)} numbers, not {length}")
        return storage

    def _byteorder(self) -> Literal["<", ">"]:
        if f"{self._prefix}byteorder" not in self._entries:
            return "<"  # files written before the entry was introduced
        orders: dict[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}
        return orders[self._content("byteorder")]

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
        """The part of a storage that a tensor sees, copied."""
        if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
            raise ValueError("a tensor is made of something that is no storage")
        if len(size) != len(stride) or any(
            type(number) is not int or number < 0 for number in (offset, *size, *stride)
        ):
            raise ValueError("a tensor's shape, steps or offset are no whole numbers")
        count = math.prod(size)
        last = offset + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
        if count > len(storage.values) or (count and last >= len(storage.values)):
            raise ValueError(f"a tensor of shape {size} reaches beyond its storage of {len(storage.values)} numbers")
        self._claimed += count * storage.values.itemsize
        if self._claimed > _SHARED * self._stored:
            raise ValueError(f"its tensors claim more than {_SHARED} times the numbers in the file")
        return _part(storage, offset, tuple(size), tuple(stride))


def _part(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Array:
    if 0 in size:
        return np.zeros(size, np.float32 if storage.bfloat16 else storage.values.dtype.newbyteorder("="))
    values = storage.values[offset:]
    view = np.lib.stride_tricks.as_strided(values, size, [step * values.itemsize for step in stride], writeable=False)
    native = np.array(view, dtype=values.dtype.newbyteorder("="), order="C")
    # A bfloat16 is the upper half of a float32.
    return (native.astype(np.uint32) << 16).view(np.float32) if storage.bfloat16 else native


def _ordered(*items: Any) -> Table:
    """An OrderedDict, empty or of pairs."""
    table = Table()
    for key, value in items[0] if items else ():
        if not isinstance(key, str):
            raise ValueError("a name is no text")
        table[key] = value
    return table


def _parameter(data: Any, *_: Any) -> Array:
    if not isinstance(data, np.ndarray):
        raise ValueError("a parameter is no tensor")
    return data


def _state_dict(value: Any, key: str | None, where: str) -> dict[str, Array]:
    """The tensors by name in the entry `key`; whatever else stands in that dictionary must be tensors, too."""
    for part in key.split(".") if key else ():
        if not isinstance(value, Table) or part not in value:
            raise CheckpointError(f"{where} has no entry {key!r}. {_entries(value)}")
        value = value[part]
    if isinstance(value, Table) and value and all(isinstance(item, np.ndarray) for item in value.values()):
        return {str(name): item for name, item in value.items()}
    raise CheckpointError(f"{where} is not a state dict, a table of nothing but tensors. {_entries(value)}")


def _entries(value: Any) -> str:
    """Where in a nested value the state dicts are, as advice."""
    found: list[str] = []
    seen: set[int] = set()

    def look(item: Any, path: tuple[str, ...]) -> None:
        if isinstance(item, Table) and id(item) not in seen and len(path) < _DEPTH and len(found) < _DEPTH:
            seen.add(id(item))
            if path and item and all(isinstance(inner, np.ndarray) for inner in item.values()):
                found.append(".".join(path))
                return
            for name, inner in list(item.items())[:100]:
                look(inner, (*path, str(name)))

    look(value, ())
    if not found:
        return "There is none in it."
    return f"Choose an entry of it with key (on the command line: --key): {', '.join(found)}."
