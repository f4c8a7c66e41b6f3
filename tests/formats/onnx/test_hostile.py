"""Files that nobody should have sent: each is refused with a message, quickly, and nothing outside is read."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper, numpy_helper

from pellucid.errors import DataError, PellucidError, ShapeError
from pellucid.formats.onnx import import_onnx
from tests.formats.onnx.graphs import convolutional, model, node

Change = Callable[[Any], None]


def refused(message: Any, folder: Path, kind: type[PellucidError] = DataError) -> str:
    """The message with which a model is refused, in less than two seconds."""
    path = folder / "net.onnx"
    path.write_bytes(message if isinstance(message, bytes) else message.SerializeToString())
    began = time.perf_counter()
    with pytest.raises(kind) as caught:
        import_onnx(path)
    assert time.perf_counter() - began < 2
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def external(location: str, **where: str) -> Any:
    """A model whose weight is in another file."""
    message = model([node("MatMul", "x w")], weights={"w": np.zeros((3, 3), np.float32)})
    (weight,) = message.graph.initializer
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **where}.items():
        weight.external_data.add(key=key, value=value)
    return message


def test_external_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    values = np.arange(9, dtype="<f4").reshape(3, 3)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/w.bin").write_bytes(b"\0" * 8 + values.tobytes())
    (tmp_path / "net.onnx").write_bytes(external("data/w.bin", offset="8", length="36").SerializeToString())
    x = np.ones((2, 3), np.float32)
    assert np.allclose(import_onnx(tmp_path / "net.onnx").run({"x": x})["y"], x @ values)


@pytest.mark.parametrize(
    "location", ["../secret", "a/../../secret", "{outside}/secret", "", ".", "missing", "a\0b", "link", "loop", "fifo"]
)
def test_external_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "inside"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"\0" * 36)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "fifo")
    complaint = refused(external(location.format(outside=tmp_path)), folder)
    assert 'the tensor "w" is to be read from' in complaint and "no file in the model's folder" in complaint


@pytest.mark.parametrize(
    "where",
    [{"length": "40"}, {"offset": "40"}, {"offset": "-4"}, {"length": str(1 << 62)}, {"offset": "x"}, {"length": "32"}],
)
def test_external_weights_that_do_not_fit_are_refused(tmp_path: Path, where: dict[str, str]) -> None:
    (tmp_path / "w").write_bytes(b"\0" * 36)
    assert 'the tensor "w"' in refused(external("w", **where), tmp_path)


def dims(*extents: int) -> Change:
    def change(message: Any) -> None:
        message.graph.initializer[0].dims[:] = extents

    return change


def clear_shape(message: Any) -> None:
    message.graph.input[0].type.tensor_type.ClearField("shape")


def twice(message: Any) -> None:
    message.graph.initializer.append(message.graph.initializer[0])


def texts(message: Any) -> None:
    message.graph.initializer[0].CopyFrom(helper.make_tensor("conv.weight", TensorProto.STRING, [1], [b"x"]))


def kind(number: int) -> Change:
    def change(message: Any) -> None:
        message.graph.initializer[0].data_type = number

    return change


def no_output(message: Any) -> None:
    del message.graph.output[:]


def other_output(message: Any) -> None:
    message.graph.output[0].name = "nowhere"


def written_twice(message: Any) -> None:
    message.graph.node.append(node("Relu", "a", "y"))


def sparse(message: Any) -> None:
    message.graph.sparse_initializer.add()


def sequence(message: Any) -> None:
    message.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(message.graph.input[0].type))


CHANGES: dict[str, tuple[Change, str]] = {
    "an absurd shape": (dims(1 << 40, 1 << 40), "claims the shape"),
    "a shape that overflows": (dims(1 << 62, 4), "claims the shape"),
    "a negative shape": (dims(-4, -9), "claims the shape"),
    "a shape larger than the data": (dims(4, 1, 3, 4), "is damaged"),
    "a weight of texts": (texts, "holds texts"),
    "a weight of no known type": (kind(99), "is damaged"),
    "a weight of complex numbers": (kind(TensorProto.COMPLEX64), "is damaged|does not compute in"),
    "a weight given twice": (twice, "given twice"),
    "an input without a shape": (clear_shape, "does not say how many dimensions"),
    "an input that is a sequence": (sequence, "is no tensor of numbers"),
    "a graph without outputs": (no_output, "has no outputs"),
    "an output that nothing gives": (other_output, "nothing gives the output 'nowhere'"),
    "a value written twice": (written_twice, "is given twice"),
    "sparse tensors": (sparse, "sparse tensors"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_damaged_models_are_refused(tmp_path: Path, name: str) -> None:
    change, complaint = CHANGES[name]
    message = convolutional()
    change(message)
    assert re.search(complaint, refused(message, tmp_path))


def test_cycles_are_refused(tmp_path: Path) -> None:
    nodes = [node("Add", "x c", "a"), node("Relu", "a", "b"), node("Neg", "b", "c"), node("Relu", "b", "y")]
    assert "there is a cycle among 'a', 'b', 'c'" in refused(model(nodes), tmp_path)
    assert "there is a cycle among 'y'" in refused(model([node("Relu", "y")]), tmp_path)


def test_nodes_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    onnx.save(model([node("Neg", "a"), node("Relu", "x", "a")]), tmp_path / "net.onnx")
    x = np.array([[1, -2, 3], [0, 5, -6]], np.float32)
    assert np.array_equal(import_onnx(tmp_path / "net.onnx").run({"x": x})["y"], -np.maximum(x, 0))


def test_values_from_nowhere_are_refused(tmp_path: Path) -> None:
    assert "nothing gives 'z'" in refused(model([node("Add", "x z")]), tmp_path)


def test_operators_that_are_not_read_are_listed_all_at_once(tmp_path: Path) -> None:
    foreign = helper.make_node("Magic", ["d"], ["y"], domain="com.example")
    nodes = [node("Sin", "x", "a"), node("Loop", "a", "b"), node("Relu", "b", "c"), node("Sin", "c", "d"), foreign]
    complaint = refused(model(nodes), tmp_path)
    assert "operators that are not read: Loop (1), Sin (2), com.example.Magic (1)" in complaint


BOMBS = {
    "a large constant": [node("ConstantOfShape", "huge", "c"), node("Add", "x c")],
    "an expansion": [node("Expand", "one huge", "c"), node("Add", "x c")],
    "a tile": [node("Tile", "pair huge", "c"), node("Add", "x c")],
    "a range": [node("Range", "zero end one64", "c"), node("Add", "x c")],
    "a product of constants": [node("Mul", "row column", "c"), node("Add", "x c")],
    "an expansion of the input": [node("Expand", "x huge")],
    "a tile of the input": [node("Tile", "x huge", "c"), node("Tile", "c huge", "d"), node("Tile", "d huge")],
    "a resize": [node("Resize", "x - scales")],
    "padding": [node("Pad", "x pads")],
    "a window": [node("MaxPool", "x", kernel_shape=[1 << 40])],
}
NUMBERS = {
    "huge": np.array([1 << 31, 1 << 31]), "one": np.ones((1, 1), np.float32), "pair": np.ones((2, 2), np.float32),
    "zero": np.array(0), "end": np.array(1 << 60), "one64": np.array(1), "row": np.ones((1, 1 << 15), np.float32),
    "column": np.ones((1 << 15, 1), np.float32), "scales": np.array([1e5, 1e5], np.float32),
    "pads": np.array([0, 0, 0, 1 << 40]),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_absurd_sizes_are_refused_before_they_are_made(tmp_path: Path, name: str) -> None:
    used = {value for one in BOMBS[name] for value in one.input}
    weights = {value: numbers for value, numbers in NUMBERS.items() if value in used}
    refused(model(BOMBS[name], weights=weights), tmp_path, PellucidError)


def test_attributes_are_checked(tmp_path: Path) -> None:
    wrong = [
        node("Conv", "x w", strides=[0, 0]), node("Conv", "x w", strides="fast"), node("Conv", "x w", group=0),
        node("Conv", "x w", pads=[-1, 0, 0, 0]), node("Conv", "x w", auto_pad="SOMETIMES"),
        node("Transpose", "x", perm=[0, 0, 1, 2]), node("Concat", "x x", axis=9), node("LRN", "x", size=0),
        node("LeakyRelu", "x", alpha="much"), node("Relu", "x", body=helper.make_graph([], "g", [], [])),
        node("Conv", "x"), node("Add", "x"), node("Gemm", "x w"),
    ]  # fmt: skip
    for one in wrong:
        weights = {"w": np.ones((2, 3, 3, 3), np.float32)} if "w" in one.input else {}
        assert one.op_type in refused(
            model([one], inputs={"x": (1, 3, 5, 5)}, weights=weights), tmp_path, PellucidError
        )


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"\x80\x04N.", b"hello", os.urandom(1000), convolutional().SerializeToString()[:500]):
        refused(content, tmp_path)
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="is not a file"):
            import_onnx(path)


def test_changed_bytes_never_crash(tmp_path: Path) -> None:
    """Whatever comes of a damaged file is a graph or one of our errors."""
    content, path = convolutional().SerializeToString(), tmp_path / "net.onnx"
    refusals = 0
    for place, value in np.random.default_rng(0).integers(0, [len(content), 256], (250, 2)).tolist():
        changed = bytearray(content)
        changed[place] = value
        path.write_bytes(changed)
        try:
            import_onnx(path)
        except PellucidError:
            refusals += 1
    assert refusals > 25


def test_a_shape_that_does_not_fit_names_its_node(tmp_path: Path) -> None:
    message = model([node("MatMul", "x w", name="/fc/MatMul")], weights={"w": np.ones((4, 2), np.float32)})
    assert refused(message, tmp_path, ShapeError).startswith('MatMul "fc_MatMul": the factors do not fit')


def test_numbers_in_half_precision_are_read(tmp_path: Path) -> None:
    message = model([node("MatMul", "x w")], weights={"w": np.full((3, 2), 0.5, np.float16)})
    onnx.save(message, tmp_path / "net.onnx")
    assert import_onnx(tmp_path / "net.onnx").parameters["w"].dtype == np.float32
    assert numpy_helper.to_array(message.graph.initializer[0]).dtype == np.float16
