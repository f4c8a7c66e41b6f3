"""Weights as safetensors files: names, shapes and numbers, and nothing that could ever be executed.

The metadata say `"format": "pellucid"` and, for a model of the registry, `"model"`: its specification as
JSON, so that the file alone is enough to rebuild the network. Equal weights give equal files, byte for
byte.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from pellucid.errors import CheckpointError, ResourceError
from pellucid.formats.files import replace_file, resource_errors

Array = NDArray[Any]

HEADER_LIMIT = 100_000_000  # bytes; the limit of the safetensors library itself
_NAMES_SHOWN = 8
_NUMPY_TYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "U64": "u8", "I32": "i4", "U32": "u4",
    "I16": "i2", "U16": "u2", "I8": "i1", "U8": "u1", "BOOL": "?", "C64": "c8",
}  # fmt: skip


class Weights(NamedTuple):
    """What a safetensors file holds."""

    tensors: dict[str, Array]
    spec: dict[str, Any] | None
    metadata: dict[str, str]


class _Model(Protocol):
    @property
    def parameters(self) -> Mapping[str, Array]: ...

    @property
    def states(self) -> Mapping[str, Array]: ...

    def load(self, values: Mapping[str, Array], /) -> Any: ...


def save_weights(path: str | Path, tensors: Mapping[str, Array], spec: Mapping[str, Any] | None = None) -> None:
    """Write tensors, and the model's specification if it has one, to `path`.

    A file that was there is replaced in one step. Raises ResourceError when the disk or its permissions
    refuse; the old file is then untouched.
    """
    data = encode(tensors, spec)
    with resource_errors(f"save the weights to {path}"):
        replace_file(Path(path), data)


def load_weights(path: str | Path) -> Weights:
    """Read a safetensors file. Raises CheckpointError for anything that is not a sound one."""
    path = Path(path)
    try:
        if not path.is_file():
            kind = "is not a regular file" if path.exists() else "does not exist"
            raise CheckpointError(f"{path} {kind}. Give the path of a .safetensors file.")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise ResourceError(f"{path} does not fit in memory.") from error
    return decode(data, path)


def load_into(model: _Model, path: str | Path, *, strict: bool = True) -> Weights:
    """Load a weight file into a model, by PyTorch's names, and return what the file holds.

    Every name and shape must fit, otherwise the model stays as it was. Without `strict` the model keeps its own
    values for names that the file lacks, and names that it does not have are left out; shapes must still fit.
    PyTorch's counters of batches (`num_batches_tracked`), which nothing is computed from, are never asked for.

    Raises CheckpointError listing what is missing, unexpected or of another shape.
    """
    weights = load_weights(path)
    own = {**model.parameters, **model.states}
    given = {name: values for name, values in weights.tensors.items() if name in own or not _is_counter(name)}
    if not strict:
        given = {name: given.get(name, own[name]) for name in own}
    difference = difference_report(shapes(own), shapes(given))
    if difference:
        raise CheckpointError(f"{path} holds the weights of another network: {difference}.")
    model.load(given)
    return weights


def save_model(model: _Model, path: str | Path, spec: Mapping[str, Any] | None = None) -> None:
    """Write a model's parameters and states to `path`, with the names and shapes that PyTorch loads them by.

    Raises ResourceError when the disk or its permissions refuse.
    """
    save_weights(path, {**model.parameters, **model.states}, spec)


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == "num_batches_tracked"


def shapes(tensors: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """Return each tensor's shape by its name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def difference_report(expected: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]) -> str:
    """Describe how two sets of named shapes differ; empty when they are the same."""
    missing = [f"{name} {_shape(expected[name])}" for name in expected if name not in given]
    unexpected = [f"{name} {_shape(given[name])}" for name in given if name not in expected]
    unequal = [
        f"{name} must be {_shape(shape)} but is {_shape(given[name])}"
        for name, shape in expected.items()
        if name in given and tuple(given[name]) != tuple(shape)
    ]
    parts = [("missing", missing), ("unexpected", unexpected), ("shape mismatch", unequal)]
    return "; ".join(f"{title}: {_listed(items)}" for title, items in parts if items)


def encode(tensors: Mapping[str, Array], spec: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of a safetensors file; equal tensors give equal bytes."""
    # The library reads raw memory, so arrays must be dense; ascontiguousarray would make a scalar a vector.
    dense = {name: np.array(tensor, order="C", copy=None) for name, tensor in tensors.items()}
    try:
        plain = safetensors.numpy.save(dense)
    except Exception as error:  # a dtype without a safetensors name; the library has several exception types
        kinds = sorted({str(tensor.dtype) for tensor in dense.values()})
        raise CheckpointError(
            f"These weights cannot be written as safetensors ({', '.join(kinds)}): {error}."
        ) from error
    metadata = {"format": "pellucid"}
    if spec is not None:
        metadata["model"] = json.dumps(spec, sort_keys=True)
    # The library writes metadata in random order. Inserting it here keeps equal weights equal files.
    (length,) = struct.unpack("<Q", plain[:8])
    entries = plain[8 : 8 + length].strip()
    separator = b"" if entries == b"{}" else b","
    header = b'{"__metadata__":' + json.dumps(metadata, sort_keys=True).encode() + separator + entries[1:]
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + plain[8 + length :]


def decode(data: bytes, where: str | Path) -> Weights:
    """Read the bytes of a safetensors file named `where`. Raises CheckpointError for anything unsound."""
    header = _read_header(data, where)
    metadata = _read_metadata(header, where)
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except Exception as error:  # SafetensorError, and OverflowError or ValueError for absurd numbers
        raise CheckpointError(f"{where} is damaged: {error}. Restore it from a copy.") from error
    tensors: dict[str, Array] = {}
    for name, entry in entries:
        kind = _NUMPY_TYPES.get(entry["dtype"])
        if kind is None:
            raise CheckpointError(
                f"{where}: tensor {name} has type {entry['dtype']}, which is not supported. Convert it to float32."
            )
        values = np.frombuffer(entry["data"], dtype=np.dtype(kind).newbyteorder("<"))
        tensors[name] = values.reshape(entry["shape"]).astype(kind)  # astype copies: the result can be written to
    return Weights(dict(sorted(tensors.items())), _read_spec(metadata, where), metadata)


def _read_header(data: bytes, where: str | Path) -> dict[str, Any]:
    if len(data) < 8:
        raise CheckpointError(f"{where} is not a safetensors file: it has {len(data)} bytes.")
    (length,) = struct.unpack("<Q", data[:8])
    if length > HEADER_LIMIT or length > len(data) - 8:
        raise CheckpointError(
            f"{where} is truncated or not a safetensors file: its header claims {length:,} bytes,"
            f" but the file has {len(data):,}. Restore it from a copy."
        )
    try:
        header = json.loads(
            data[8 : 8 + length].decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is damaged: its header cannot be read ({error}).") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{where} is damaged: its header is not a table of tensors.")
    return header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"{name!r} appears twice")
        table[name] = value
    return table


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number JSON allows")


def _read_metadata(header: dict[str, Any], where: str | Path) -> dict[str, str]:
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise CheckpointError(f"{where} is damaged: its metadata are not texts.")
    return metadata


def _read_spec(metadata: dict[str, str], where: str | Path) -> dict[str, Any] | None:
    if "model" not in metadata:
        return None
    try:
        spec = json.loads(metadata["model"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is damaged: its model specification cannot be read ({error}).") from error
    if not isinstance(spec, dict):
        raise CheckpointError(f"{where} is damaged: its model specification is not a table.")
    return spec


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(extent) for extent in shape) if shape else "scalar"


def _listed(items: list[str]) -> str:
    shown = ", ".join(items[:_NAMES_SHOWN])
    return f"{shown} and {len(items) - _NAMES_SHOWN} more" if len(items) > _NAMES_SHOWN else shown
