"""Reading ONNX files: the protobuf message, and tensors with the bounds that an untrusted file needs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import DataError, MissingExtraError
from pellucid.formats.onnx.folding import LIMIT
from pellucid.formats.onnx.rules import Array

FILE_LIMIT = (1 << 31) - 1  # bytes of one protobuf message; larger models keep their weights in files beside it
_STRING = 8  # TensorProto.DataType


def require_onnx() -> Any:
    """The package onnx; MissingExtraError, saying what to install, when it is not there."""
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtraError(
            "Reading and writing ONNX needs the package onnx, which is not installed. "
            'Install it with: pip install "pellucid[onnx]"'
        ) from None
    return onnx


def read_model(path: str | Path) -> Any:
    """The message in an ONNX file; DataError for anything that is none."""
    onnx, path = require_onnx(), Path(path)
    try:
        if not path.is_file():
            raise DataError(f"{path} is not a file. Give the path of an .onnx file.")
        if path.stat().st_size > FILE_LIMIT:
            raise DataError(f"{path} has more than {FILE_LIMIT:,} bytes, the limit of the format for one file.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError, whose place has moved between its versions
        raise DataError(f"{path} is damaged or no ONNX file: {error}.") from None
    if not model.HasField("graph") or not model.opset_import:
        raise DataError(f"{path} is damaged or no ONNX file: it holds no graph.")
    return model


def array_of(tensor: Any, folder: Path | None) -> Array:
    """The numbers of a TensorProto; those in other files must lie in `folder`, where the model is.

    float16 and bfloat16 become float32. Raises DataError for shapes that the data do not fill, for texts, and for
    files elsewhere.
    """
    onnx, name = require_onnx(), f'the tensor "{tensor.name!s:.80}"'
    shape = tuple(tensor.dims)
    if any(extent < 0 for extent in shape) or math.prod(shape) > LIMIT:
        raise DataError(f"{name} claims the shape {shape!s:.80}; at most {LIMIT:,} elements are read.")
    if tensor.data_type == _STRING:
        raise DataError(f"{name} holds texts, not numbers.")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        tensor = _with_external(tensor, name, folder)
    try:
        values = onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # ValueError and TypeError, and KeyError for types that do not exist
        raise DataError(f"{name} is damaged: {error!s:.200}.") from None
    if values.dtype.name in ("float16", "bfloat16"):
        values = values.astype(np.float32)
    if values.dtype.kind not in "fiub" or values.shape != shape:
        raise DataError(f"{name} has the type {values.dtype}, which Pellucid does not compute in.")
    return np.asarray(values)


def _with_external(tensor: Any, name: str, folder: Path | None) -> Any:
    """The tensor with the bytes from the file that it names."""
    onnx = require_onnx()
    where = {entry.key: entry.value for entry in tensor.external_data}
    location = where.get("location", "")
    path = _inside(location, folder, name)
    try:
        offset, length = int(where.get("offset", "0")), int(where.get("length", "-1"))
        size = path.stat().st_size
        item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        needed = math.prod(tensor.dims) * item
        if length < 0:
            length = needed
        if length != needed or offset < 0 or offset + length > size:
            raise DataError(f"{name} needs {needed:,} bytes; {location!r:.80} has {size:,} and gives it {length:,}.")
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(length)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{name} cannot be read from {location!r:.80}: {error}.") from None
    whole = onnx.TensorProto()
    whole.CopyFrom(tensor)
    whole.data_location = onnx.TensorProto.DEFAULT
    del whole.external_data[:]
    whole.raw_data = data
    return whole


def _inside(location: str, folder: Path | None, name: str) -> Path:
    """The file that holds a tensor: a plain file below the model's folder, wherever links lead."""
    if folder is None:
        raise DataError(f"{name} is in another file, but the model comes from memory.")
    try:
        base = folder.resolve()
        path = (base / location).resolve()
        sound = bool(location) and "\0" not in location and path.is_relative_to(base) and path.is_file()
    except (OSError, ValueError, RuntimeError):
        sound = False
    if not sound:
        raise DataError(
            f"{name} is to be read from {location!r:.80}, which is no file in the model's folder. It is refused."
        )
    return path
