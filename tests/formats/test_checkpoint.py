"""PyTorch's checkpoints: tensors come out exactly, and nothing in the file is ever run.

The files are written here byte by byte, as PyTorch writes them; `tests/parity/test_formats.py` reads PyTorch's own.
"""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.errors import CheckpointError
from pellucid.formats import convert_checkpoint, load_weights, read_checkpoint


class Storage:
    """Stands for a storage in the pickle; `kind` is PyTorch's class for its type."""

    def __init__(self, kind: str, key: str, length: int) -> None:
        self.kind, self.key, self.length = kind, key, length


class Global:
    """Stands for a name of a module."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Tensor:
    """Stands for a call of _rebuild_tensor_v2."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any) -> None:
        self.arguments = (storage, offset, size, stride, False, OrderedDict())


class Call:
    """Stands for a call of any function."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.function, self.arguments = Global(module, name), arguments


class Writer(pickle._Pickler):
    """Writes the stand-ins as PyTorch would; the library's own writer demands that a global exists here."""

    def persistent_id(self, item: Any) -> Any:
        if isinstance(item, Storage):
            return ("storage", Global("torch", item.kind), item.key, "cpu", item.length)
        return None

    def save(self, item: Any, save_persistent_id: bool = True) -> None:
        if isinstance(item, Global):
            self.write(f"c{item.module}\n{item.name}\n".encode())
        elif isinstance(item, Tensor | Call):
            function = item.function if isinstance(item, Call) else Global("torch._utils", "_rebuild_tensor_v2")
            self.save(function)
            self.save(item.arguments)
            self.write(b"R")
        else:
            super().save(item, save_persistent_id)  # type: ignore[misc]


def pickled(value: Any) -> bytes:
    file = io.BytesIO()
    Writer(file, protocol=2).dump(value)
    return file.getvalue()


def archive(
    path: Path, description: bytes, storages: dict[str, bytes], *, compress: bool = False, **more: bytes
) -> Path:
    """A file as torch.save writes it; `more` are entries beside those that every file has."""
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as file:
        file.writestr("archive/data.pkl", description)
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data)
        for name, data in more.items():
            file.writestr(f"archive/{name}", data)
    return path


NUMBERS = np.arange(12, dtype="<f4") - 3.5


def saved(path: Path, value: Any, storages: dict[str, bytes] | None = None, **more: bytes) -> Path:
    return archive(path / "w.pth", pickled(value), {"0": NUMBERS.tobytes()} if storages is None else storages, **more)


def tensor(
    offset: Any = 0, size: Any = (3, 4), stride: Any = (4, 1), kind: str = "FloatStorage", length: int = 12
) -> Tensor:
    return Tensor(Storage(kind, "0", length), offset, size, stride)


def test_views_of_one_storage_come_out_as_the_tensors_they_are(tmp_path: Path) -> None:
    state = OrderedDict(
        a=tensor(), transposed=tensor(0, (4, 3), (1, 4)), part=tensor(5, (2, 2), (4, 2)), one=tensor(2, (), ())
    )
    read = read_checkpoint(saved(tmp_path, state))
    matrix = NUMBERS.reshape(3, 4)
    assert list(read) == ["a", "transposed", "part", "one"]
    assert np.array_equal(read["a"], matrix) and np.array_equal(read["transposed"], matrix.T)
    assert np.array_equal(read["part"], [[1.5, 3.5], [5.5, 7.5]]) and read["one"] == -1.5
    assert all(values.dtype == np.float32 for values in read.values())


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("DoubleStorage", "f8"), ("HalfStorage", "f2"), ("LongStorage", "i8"), ("IntStorage", "i4"),
     ("ShortStorage", "i2"), ("CharStorage", "i1"), ("ByteStorage", "u1"), ("BoolStorage", "?")],
)  # fmt: skip
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_type_in_either_byte_order(tmp_path: Path, kind: str, dtype: str, order: str) -> None:
    values = np.array([0, 1, 1, 0, 1, 0], dtype)
    data = values.astype(np.dtype(dtype).newbyteorder("<" if order == "little" else ">")).tobytes()
    state = {"w": tensor(0, (2, 3), (3, 1), kind, 6)}
    read = read_checkpoint(saved(tmp_path, state, {"0": data}, byteorder=order.encode()))["w"]
    assert read.dtype == values.dtype and np.array_equal(read, values.reshape(2, 3))


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    # Sign, eight bits of exponent, seven of fraction: 1, -2, 0.5 and 3.140625 by hand.
    data = np.array([0x3F80, 0xC000, 0x3F00, 0x4049], "<u2").tobytes()
    read = read_checkpoint(saved(tmp_path, {"w": tensor(0, (4,), (1,), "BFloat16Storage", 4)}, {"0": data}))["w"]
    assert read.dtype == np.float32 and read.tolist() == [1, -2, 0.5, 3.140625]


def test_the_result_is_a_file_of_safetensors(tmp_path: Path) -> None:
    target = tmp_path / "w.safetensors"
    convert_checkpoint(saved(tmp_path, {"conv.weight": tensor(), "empty": tensor(0, (0, 3), (3, 1))}), target)
    tensors = load_weights(target).tensors
    assert np.array_equal(tensors["conv.weight"], NUMBERS.reshape(3, 4)) and tensors["empty"].shape == (0, 3)


def test_parameters_and_metadata_are_understood(tmp_path: Path) -> None:
    parameter = Call("torch._utils", "_rebuild_parameter", tensor(), True, OrderedDict())
    assert np.array_equal(read_checkpoint(saved(tmp_path, {"w": parameter}))["w"], NUMBERS.reshape(3, 4))


def test_a_state_dict_further_down_is_named_by_key(tmp_path: Path) -> None:
    value = {"epoch": 3, "nets": {"a": {"w": tensor()}, "b": {"v": tensor()}}, "log": [1.5, "x", None, True]}
    path = saved(tmp_path, value)
    assert list(read_checkpoint(path, key="nets.b")) == ["v"]
    with pytest.raises(CheckpointError, match=r"is not a state dict.*--key\): nets.a, nets.b\."):
        read_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"has no entry 'model'"):
        read_checkpoint(path, key="model")


class Exploit:
    """What a hostile pickle does when it is read in the usual way."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "it ran"
    path = archive(tmp_path / "w.pth", pickle.dumps({"w": Exploit(marker)}, protocol), {})
    with pytest.raises(CheckpointError, match=r"asks for 'posix.mkdir': it holds Python objects or code"):
        read_checkpoint(path)
    assert not marker.exists()


def instructions(*codes: bytes) -> bytes:
    return b"\x80\x02" + b"".join(codes) + b"."


def nested(levels: int) -> bytes:
    """Tables within tables, each twice in the next: small to write, without end to walk."""
    inner = b"}q\x00"
    for level in range(levels):
        key = bytes([level])
        inner += b"}q" + bytes([level + 1]) + b"(X\x01\0\0\0ah" + key + b"X\x01\0\0\0bh" + key + b"u"
    return inner


HOSTILE_PICKLES: dict[str, bytes] = {
    "an object of a class": instructions(b"(cbuiltins\neval\nX\x011o."),
    "an instance": instructions(b"(ios\nsystem\n"),
    "an extension": instructions(b"\x82\x01"),
    "a global by texts": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "a global of torch that is no storage": instructions(b"ctorch\nload\n"),
    "a global through a dot": instructions(b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n"),
    "attributes of a function": instructions(b"ctorch._utils\n_rebuild_tensor_v2\n}b"),
    "a call of no function": instructions(b"X\x01\0\0\0a)R"),
    "a call of a storage": instructions(b"ctorch\nFloatStorage\n)R"),
    "an argument that is no tuple": instructions(b"ccollections\nOrderedDict\n}R"),
    "a key that cannot be hashed": instructions(b"}]}s"),
    "a key of nested tuples": instructions(b"})" + b"q\x00h\x00\x86" * 60 + b"Ns"),
    "nothing on the stack": instructions(b"R"),
    "two values": instructions(b"NN"),
    "no end": b"\x80\x02N",
    "an empty file": b"",
    "no pickle": b"\xff" * 50,
    "a length beyond the file": b"\x80\x02X\xff\xff\xff\xff.",
    "a long length": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "a memo out of reach": instructions(b"j\xff\xff\xff\x7f"),
    "a large place in the memo": instructions(b"Nr\xff\xff\xff\x7f"),
    "a number of a million digits": instructions(b"L" + b"9" * 1_000_000 + b"L\n"),
    "tables within tables": instructions(nested(200)),
    "tuples within tuples": instructions(b")" + b"\x85" * 100_000),
    "a reference to a file": instructions(b"X\x0b\0\0\0/etc/passwdQ"),
    "nine million bytes": instructions(b"N0" * 4_500_000, b"N"),
}


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
def test_hostile_pickles_are_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "w.pth", HOSTILE_PICKLES[name], {"0": NUMBERS.tobytes()})
    with pytest.raises(CheckpointError, match=r"w\.pth") as caught:
        read_checkpoint(path)
    assert len(str(caught.value)) < 1000


HUGE = 1 << 62
HOSTILE_TENSORS: dict[str, Any] = {
    "an absurd shape": tensor(0, (HUGE, HUGE), (1, 1)),
    "a shape that repeats one number": tensor(0, (1 << 40,), (0,)),
    "an absurd step": tensor(0, (2, 2), (HUGE, 1)),
    "a negative step": tensor(11, (12,), (-1,)),
    "a negative offset": tensor(-1, (2,), (1,)),
    "a negative extent": tensor(0, (-2, -2), (1, 1)),
    "an offset beyond the storage": tensor(12, (1,), (1,)),
    "a part beyond the storage": tensor(6, (3, 4), (4, 1)),
    "a fractional offset": tensor(0.5, (2,), (1,)),
    "shape and steps of two lengths": tensor(0, (3, 4), (1,)),
    "a shape of many dimensions": tensor(0, (1,) * 100, (1,) * 100),
    "a shape that is a text": tensor(0, "34", "41"),
    "a length that is not the storage's": tensor(length=13),
    "another type than the storage's": tensor(kind="DoubleStorage"),
    "an unknown type": tensor(kind="QUInt8Storage"),
    "a storage that is missing": Tensor(Storage("FloatStorage", "1", 12), 0, (12,), (1,)),
    "a storage outside the archive": Tensor(Storage("FloatStorage", "../../etc/passwd", 12), 0, (12,), (1,)),
    "a storage that is a tensor": Tensor(tensor(), 0, (12,), (1,)),
    "a storage that is a text": Tensor("x", 0, (12,), (1,)),
    "a parameter of nothing": Call("torch._utils", "_rebuild_parameter", 1, True, {}),
}


@pytest.mark.parametrize("name", HOSTILE_TENSORS)
def test_hostile_tensors_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"w\.pth"):
        read_checkpoint(saved(tmp_path, {"w": HOSTILE_TENSORS[name]}))


def test_many_tensors_of_one_storage_are_no_way_to_fill_the_memory(tmp_path: Path) -> None:
    many = {f"w{k}": tensor(0, (10_000,), (1,), length=10_000) for k in range(50)}
    with pytest.raises(CheckpointError, match="claim more than 8 times the numbers in the file"):
        read_checkpoint(saved(tmp_path, many, {"0": b"\0" * 40_000}))


def test_archives_that_torch_does_not_write_are_refused(tmp_path: Path) -> None:
    state = pickled({"w": tensor()})
    data = {"0": NUMBERS.tobytes()}
    with pytest.raises(CheckpointError, match="compresses nothing"):
        read_checkpoint(archive(tmp_path / "a.pth", state, data, compress=True))
    with pytest.raises(CheckpointError, match="a TorchScript program"):
        read_checkpoint(archive(tmp_path / "b.pth", state, data, **{"constants.pkl": b""}))
    with pytest.raises(CheckpointError, match=r"without data\.pkl"):
        read_checkpoint(_zip(tmp_path / "c.pth", {"data.pkl": state}))
    with pytest.raises(CheckpointError, match=r"without data\.pkl"):
        read_checkpoint(_zip(tmp_path / "d.pth", {"a/data.pkl": state, "b/data.pkl": state}))
    with pytest.raises(CheckpointError, match="makes no sense"):
        read_checkpoint(archive(tmp_path / "e.pth", state, data, byteorder=b"middle"))


def _zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def test_an_entry_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = saved(tmp_path, {"w": tensor()}, **{"data/0": NUMBERS.tobytes()})
    with pytest.raises(CheckpointError, match="is there twice"):
        read_checkpoint(path)


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    """The directory says that one entry is as long as the whole file."""
    path = saved(tmp_path, {"w": tensor()})
    content = bytearray(path.read_bytes())
    record = content.rindex(b"PK\x01\x02")
    struct.pack_into("<II", content, record + 20, 1 << 30, 1 << 30)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="claim more bytes than the file has"):
        read_checkpoint(path)


def test_the_forms_before_the_archive_are_named(tmp_path: Path) -> None:
    legacy = tmp_path / "legacy.pth"
    legacy.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2))
    with pytest.raises(CheckpointError, match=r"before version 1\.6.*weights_only=True"):
        read_checkpoint(legacy)
    tar = tmp_path / "tar.pth"
    tar.write_bytes(b"\0" * 257 + b"ustar" + b"\0" * 250)
    with pytest.raises(CheckpointError, match=r"before version 1\.6"):
        read_checkpoint(tar)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"\x80\x04N."):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match="does not begin like a zip archive"):
            read_checkpoint(tmp_path / "w.pth")
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CheckpointError, match="is not a file"):
            read_checkpoint(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"w": tensor()})
    content = path.read_bytes()
    for cut in range(0, len(content), 7):
        path.write_bytes(content[:cut])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_changed_bytes_never_crash(tmp_path: Path) -> None:
    """Whatever a damaged file gives is a table of tensors or a CheckpointError."""
    path = saved(tmp_path, OrderedDict(a=tensor(), b=tensor(5, (2, 2), (4, 2))))
    content = path.read_bytes()
    refused = 0
    for place, value in np.random.default_rng(0).integers(0, [len(content), 256], (600, 2)).tolist():
        changed = bytearray(content)
        changed[place] = value
        path.write_bytes(changed)
        try:
            read_checkpoint(path)
        except CheckpointError:
            refused += 1
    assert refused > 200
