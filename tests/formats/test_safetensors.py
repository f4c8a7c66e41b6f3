"""Weight files: what was saved comes back; what is unsound is refused with its name, quickly."""

import json
import os
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import pellucid as pc
from pellucid.errors import CheckpointError, ResourceError
from pellucid.formats import difference_report, load_into, load_weights, save_model, save_weights
from pellucid.formats.safetensors import decode, encode

Array = np.ndarray[Any, Any]

WEIGHTS = {
    "conv1.weight": np.arange(12, dtype=np.float32).reshape(2, 1, 3, 2),
    "conv1.bias": np.array([0.5, -1], np.float32),
    "bn1.num_batches_tracked": np.array(7),
    "empty": np.zeros((0, 3)),
}
SPEC = {"model": "lenet5", "options": {"classes": 10, "name": "é"}}


class Model:
    """Two parameters and a state, like a network with batch normalisation."""

    def __init__(self) -> None:
        self.parameters = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(2, np.float32)}
        self.states = {"mean": np.zeros(4, np.float32)}
        self.loaded: dict[str, Array] | None = None

    def load(self, values: dict[str, Array]) -> None:
        self.loaded = values


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", WEIGHTS, SPEC)
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded.spec == SPEC
    assert loaded.metadata["format"] == "pellucid"
    assert loaded.tensors.keys() == WEIGHTS.keys()
    for name, values in WEIGHTS.items():
        assert loaded.tensors[name].dtype == values.dtype and loaded.tensors[name].shape == values.shape
        assert loaded.tensors[name].tobytes() == values.tobytes()
        assert loaded.tensors[name].flags.writeable


@pytest.mark.parametrize("spec", [None, SPEC])
def test_the_library_reads_the_file(tmp_path: Path, spec: Mapping[str, Any] | None) -> None:
    """The file is an ordinary safetensors file, whoever reads it."""
    save_weights(tmp_path / "w.safetensors", WEIGHTS, spec)
    read = safetensors.numpy.load_file(tmp_path / "w.safetensors")
    assert all(np.array_equal(read[name], values) for name, values in WEIGHTS.items())
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="np") as file:
        assert file.metadata()["format"] == "pellucid"
    assert struct.unpack("<Q", (tmp_path / "w.safetensors").read_bytes()[:8])[0] % 8 == 0, "aligned"


def test_a_file_of_the_library_is_read(tmp_path: Path) -> None:
    safetensors.numpy.save_file(WEIGHTS, tmp_path / "w.safetensors", metadata={"format": "pt", "a": "b"})
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded.spec is None and loaded.metadata == {"format": "pt", "a": "b"}
    assert np.array_equal(loaded.tensors["conv1.weight"], WEIGHTS["conv1.weight"])


def test_equal_weights_are_equal_files() -> None:
    shuffled = dict(sorted(WEIGHTS.items(), reverse=True))
    assert len({encode(weights, SPEC) for weights in (WEIGHTS, shuffled) for _ in range(5)}) == 1


def test_views_are_saved_by_value() -> None:
    """The library itself would write the memory behind a view, in the wrong order."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {"t": base.T, "step": base[::2, ::3], "reverse": base[::-1], "f": np.asfortranarray(base)}
    loaded = decode(encode(views), "memory").tensors
    assert all(np.array_equal(loaded[name], view) for name, view in views.items())


def test_big_endian_numbers_are_the_same_numbers() -> None:
    values = np.array([1.5, -2], dtype=">f4")
    assert decode(encode({"a": values}), "memory").tensors["a"].tolist() == [1.5, -2]


def test_nothing_at_all_can_be_saved() -> None:
    assert decode(encode({}), "memory").tensors == {}


def test_what_has_no_name_in_the_format_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"cannot be written as safetensors \(<U1\)"):
        encode({"a": np.array(["x"])})


def test_loading_into_a_model_takes_parameters_and_states(tmp_path: Path) -> None:
    model = Model()
    save_weights(tmp_path / "w", {**model.parameters, **model.states, "mean": np.ones(4, np.float32)})
    load_into(model, tmp_path / "w")
    assert model.loaded is not None and model.loaded["mean"].tolist() == [1] * 4


def test_a_misfit_lists_every_difference_and_leaves_the_model_alone(tmp_path: Path) -> None:
    model = Model()
    save_weights(tmp_path / "w", {"w": np.zeros((3, 2)), "b": np.zeros(2), "extra": np.array(1.0)})
    with pytest.raises(CheckpointError) as caught:
        load_into(model, tmp_path / "w")
    assert str(caught.value) == (
        f"{tmp_path / 'w'} holds the weights of another network: missing: mean 4; unexpected: extra scalar;"
        " shape mismatch: w must be 2x3 but is 3x2."
    )
    assert model.loaded is None


def test_counters_of_batches_are_passed_over(tmp_path: Path) -> None:
    model = Model()
    save_weights(tmp_path / "w", {**model.parameters, **model.states, "bn1.num_batches_tracked": np.array(7)})
    load_into(model, tmp_path / "w")
    assert model.loaded is not None and model.loaded.keys() == {"w", "b", "mean"}


def test_without_strict_names_may_differ_but_shapes_must_fit(tmp_path: Path) -> None:
    model = Model()
    save_weights(tmp_path / "w", {"b": np.ones(2, np.float32), "extra": np.array(1.0)})
    load_into(model, tmp_path / "w", strict=False)
    assert model.loaded is not None and model.loaded.keys() == {"w", "b", "mean"}
    assert model.loaded["b"].tolist() == [1, 1] and model.loaded["mean"] is model.states["mean"]
    save_weights(tmp_path / "w", {"b": np.ones(3, np.float32)})
    with pytest.raises(CheckpointError, match=r"shape mismatch: b must be 2 but is 3\.$"):
        load_into(model, tmp_path / "w", strict=False)


def test_a_whole_model_is_saved(tmp_path: Path) -> None:
    model = pc.models.create("lenet5").init(seed=1)
    save_model(model, tmp_path / "w.safetensors", model.spec)
    other = pc.models.create("lenet5").init(seed=2)
    assert load_into(other, tmp_path / "w.safetensors").spec == model.spec
    assert all(np.array_equal(other.parameters[name], values) for name, values in model.parameters.items())


def test_a_long_difference_is_cut_short() -> None:
    expected = {f"layer{k}": (k,) for k in range(20)}
    assert difference_report(expected, expected) == ""
    report = difference_report(expected, {})
    assert report.startswith("missing: layer0 0, layer1 1") and report.endswith("layer7 7 and 12 more")


def file_of(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


FOUR = b"\0" * 4

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "only a length": struct.pack("<Q", 0),
    "a header longer than the file": file_of({}, length=1000),
    "a header of 2^63 bytes": file_of({}, length=1 << 63),
    "a header of 2^64-1 bytes": file_of({}, length=(1 << 64) - 1),
    "a header over the limit": file_of({}, length=100_000_001),
    "no JSON": file_of(b"{nonsense"),
    "no UTF-8": file_of(b'{"\xff\xfe": 1}'),
    "a list": file_of(b"[]"),
    "a number": file_of(b"5"),
    "deep nesting": file_of(b"[" * 100_000),
    "deep objects": file_of(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "NaN": file_of(b'{"a": NaN}'),
    "a tensor that is a number": file_of({"a": 5}),
    "an unknown dtype": file_of({"a": tensor("F31")}, FOUR),
    "a dtype NumPy lacks": file_of({"a": tensor("BF16", (2,))}, FOUR),
    "a dtype that is a list": file_of({"a": tensor(["F32"])}, FOUR),  # type: ignore[arg-type]
    "a negative extent": file_of({"a": tensor(shape=(-1,))}, FOUR),
    "a fractional extent": file_of({"a": tensor(shape=(1.5,))}, FOUR),
    "a shape that overflows": file_of({"a": tensor(shape=(1 << 62, 1 << 62))}, FOUR),
    "a shape too large for the data": file_of({"a": tensor(shape=(2,))}, FOUR),
    "a negative offset": file_of({"a": tensor(offsets=(-4, 0))}, FOUR),
    "an offset beyond the file": file_of({"a": tensor(offsets=(4, 8))}, FOUR),
    "offsets in the wrong order": file_of({"a": tensor(offsets=(4, 0))}, FOUR),
    "offsets of 2^64": file_of({"a": tensor(offsets=(1 << 64, (1 << 64) + 4))}, FOUR),
    "a hole": file_of({"a": tensor(offsets=(4, 8))}, FOUR * 2),
    "an overlap": file_of({"a": tensor(), "b": tensor()}, FOUR),
    "data nobody owns": file_of({"a": tensor()}, FOUR * 2),
    "a truncated tensor": file_of({"a": tensor()}, FOUR[:3]),
    "missing fields": file_of({"a": {"dtype": "F32"}}, FOUR),
    "a name twice": file_of(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' * 2, FOUR),
    "the same name twice": file_of(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        FOUR,
    ),
    "metadata that are numbers": file_of({"__metadata__": {"a": 1}}),
    "metadata that are a list": file_of({"__metadata__": []}),
    "a specification that is no JSON": file_of({"__metadata__": {"model": "{"}}),
    "a specification that is a list": file_of({"__metadata__": {"model": "[]"}}),
    "a deep specification": file_of({"__metadata__": {"model": "[" * 100_000}}),
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_quickly(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(HOSTILE[name])
    began = time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        load_weights(path)
    assert time.perf_counter() - began < 2
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_hundred_thousand_empty_tensors_are_read_in_reasonable_time() -> None:
    header = {f"tensor{k}": tensor("F32", (0,), (0, 0)) for k in range(100_000)}
    began = time.perf_counter()
    assert len(decode(file_of(header), "memory").tensors) == 100_000
    assert time.perf_counter() - began < 20


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    sound = encode(WEIGHTS, SPEC)
    for cut in range(len(sound)):
        with pytest.raises(CheckpointError):
            decode(sound[:cut], "cut")


def test_flipped_bits_never_crash() -> None:
    """Without a checksum some cannot be noticed; but whatever comes is weights or a CheckpointError."""
    sound = encode(WEIGHTS, SPEC)
    refused = 0
    for bit in np.random.default_rng(0).integers(0, 8 * len(sound), 600).tolist():
        flipped = sound[: bit // 8] + bytes([sound[bit // 8] ^ (1 << bit % 8)]) + sound[bit // 8 + 1 :]
        try:
            decode(flipped, "flipped")
        except CheckpointError:
            refused += 1
    assert refused > 100


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is not a regular file"),
        (fifo, "is not a regular file"),
        (lambda path: path.symlink_to("/nowhere/at/all"), "does not exist"),
        (lambda path: path.symlink_to(path), "cannot be read|does not exist"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], complaint: str) -> None:
    make(tmp_path / "w")
    with pytest.raises(CheckpointError, match=complaint):
        load_weights(tmp_path / "w")


def test_saving_replaces_in_one_step_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": np.array(1.0)})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ResourceError, match=r"Could not save the weights to .*No space left.*Free some space"):
            save_weights(path, {"a": np.array(2.0)})
    assert load_weights(path).tensors["a"] == 1
    assert os.listdir(tmp_path) == ["w.safetensors"]
    save_weights(path, {"a": np.array(3.0)})
    assert load_weights(path).tensors["a"] == 3


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"Could not save the weights to .*No such file or directory"):
        save_weights(tmp_path / "nowhere/w.safetensors", WEIGHTS)


def test_loading_runs_nothing_and_opens_nothing_else(tmp_path: Path) -> None:
    """An audit hook sees every file opened, module executed, process started and connection made."""
    save_weights(tmp_path / "w.safetensors", WEIGHTS, SPEC)
    load_weights(tmp_path / "w.safetensors")  # imports are done now
    events: list[tuple[str, Any]] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event.split(".")[0] in (
            "open",
            "exec",
            "subprocess",
            "os",
            "socket",
            "pickle",
            "import",
        ):
            events.append((event, arguments[0] if arguments else None))

    sys.addaudithook(hook)
    load_weights(tmp_path / "w.safetensors")
    watching = False
    assert [(event, str(what)) for event, what in events] == [("open", str(tmp_path / "w.safetensors"))]
