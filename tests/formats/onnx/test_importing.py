"""Graphs of ONNX files: names, parameters, open batches, several outputs, older operator sets, training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper, numpy_helper

import pellucid as pc
from pellucid.errors import DataError, UsageError
from pellucid.formats import load_into, load_weights, save_model
from pellucid.formats.onnx import import_onnx
from pellucid.formats.onnx.importing import graph_of
from tests.formats.onnx.graphs import Array, convolutional, model, node, reference


def drawn(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_file_becomes_a_model(tmp_path: Path, engine: str) -> None:
    onnx.save(convolutional(), tmp_path / "net.onnx")
    graph = import_onnx(tmp_path / "net.onnx")
    x = drawn(3, 1, 6, 6)
    assert np.allclose(pc.predict(graph, x, engine=engine), reference(convolutional(), {"x": x})[0], atol=1e-5)
    assert next(iter(graph.nodes)) == "conv_Conv" and list(graph.results) == ["fc_Gemm"]
    assert list(graph.parameters) == [
        "conv.weight", "conv.bias", "norm.weight", "norm.bias", "fc.weight", "fc.bias"
    ]  # fmt: skip
    assert list(graph.states) == ["norm.running_mean", "norm.running_var"]
    assert graph.input_shape == (1, 6, 6)
    assert graph.summary().parameters == 4 * 9 + 4 + 4 + 4 + 3 * 36 + 3


def test_weights_go_to_safetensors_and_back(tmp_path: Path) -> None:
    graph = graph_of(convolutional())
    save_model(graph, tmp_path / "w.safetensors")
    assert load_weights(tmp_path / "w.safetensors").tensors.keys() == {**graph.parameters, **graph.states}.keys()
    x = drawn(2, 1, 6, 6)
    before = pc.predict(graph, x)
    assert not np.allclose(pc.predict(graph.init(seed=5), x), before)
    load_into(graph, tmp_path / "w.safetensors")
    assert np.array_equal(pc.predict(graph, x), before)


def test_gradients_of_an_imported_graph_are_slopes() -> None:
    """Central differences, at weights and pixels drawn at random, in float64."""
    graph, x = graph_of(convolutional()), drawn(2, 1, 6, 6).astype(np.float64)
    dy = drawn(2, 3, seed=4).astype(np.float64)
    parameters = {name: values.astype(np.float64) for name, values in graph.parameters.items()}
    _, dx, gradients = pc.vjp(graph, x, dy, dtype="float64", parameters=parameters)

    def loss(pixels: Array, changed: dict[str, Array]) -> float:
        return float((pc.vjp(graph, pixels, dy, dtype="float64", parameters=changed)[0] * dy).sum())

    step = 1e-6
    for name, values in parameters.items():
        at = tuple(np.random.default_rng(len(name)).integers(values.shape))
        moved = [{**parameters, name: values.copy()} for _ in range(2)]
        moved[0][name][at] += step
        moved[1][name][at] -= step
        slope = (loss(x, moved[0]) - loss(x, moved[1])) / (2 * step)
        assert slope == pytest.approx(gradients[name][at], rel=1e-5, abs=1e-7), name
    moved_x = [x.copy(), x.copy()]
    moved_x[0][1, 0, 2, 3] += step
    moved_x[1][1, 0, 2, 3] -= step
    slope = (loss(moved_x[0], parameters) - loss(moved_x[1], parameters)) / (2 * step)
    assert slope == pytest.approx(dx[1, 0, 2, 3], rel=1e-5)


def test_an_imported_graph_trains_and_keeps_its_statistics_up() -> None:
    graph = graph_of(convolutional())
    kinds = {type(node.layer).__name__ for node in graph.nodes.values()}
    assert {"BatchNorm2d", "Dropout"} <= kinds, "these behave otherwise while training"
    x, labels = drawn(16, 1, 6, 6), np.arange(16) % 3
    before = {name: values.copy() for name, values in {**graph.parameters, **graph.states}.items()}
    step = pc.compile_training(graph, 16, (1, 6, 6), optimizer=pc.optim.SGD(lr=0.05), engine="numpy")
    losses = [step(x, labels) for _ in range(12)]
    step.write_back()
    step.close()
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    after = {**graph.parameters, **graph.states}
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same <= {"conv.bias"}, "the batch's mean takes away what the bias before it adds"


def test_a_weight_that_two_nodes_share_is_one_parameter() -> None:
    weights = {"w": drawn(3, 3)}
    graph = graph_of(model([node("MatMul", "x w", "a"), node("MatMul", "a w", "y")], weights=weights))
    assert list(graph.parameters) == ["w"]
    x = drawn(2, 3)
    assert np.allclose(graph.run({"x": x})["y"], x @ weights["w"] @ weights["w"], atol=1e-5)


def test_numbers_that_stand_in_the_graph_are_not_learned() -> None:
    half = numpy_helper.from_array(np.full((2, 3), 0.5, np.float32))
    nodes = [node("Constant", "", "c", value=half), node("Mul", "x c", "a"), node("Add", "a one", "y")]
    graph = graph_of(model(nodes, weights={"one": np.array(1, np.float32)}))
    assert graph.parameters == {}
    assert np.allclose(graph.run({"x": np.full((2, 3), 4, np.float32)})["y"], 3)


def test_a_reshape_to_a_fixed_batch_takes_any_batch() -> None:
    message = model([node("Reshape", "x to", "y")], inputs={"x": (1, 2, 3)}, weights={"to": np.array([1, 6])})
    assert graph_of(message).run({"x": drawn(4, 2, 3)})["y"].shape == (4, 6)


def test_several_inputs_and_outputs(engine: str) -> None:
    nodes = [
        node("Add", "a b", "sum"),
        node("Split", "sum", "left right", axis=1, num_outputs=2),
        node("LayerNormalization", "left scale", "normal mean deviation"),
    ]
    message = model(
        nodes, inputs={"a": (2, 4), "b": (2, 1)}, weights={"scale": drawn(2)}, outputs="sum right normal deviation a"
    )
    arrays = {"a": drawn(2, 4), "b": drawn(2, 1, seed=2)}
    found = graph_of(message).run(arrays, engine=engine)
    assert list(found) == ["sum", "right", "normal", "deviation", "a"]
    for got, right in zip(found.values(), reference(message, arrays), strict=True):
        assert np.allclose(got, right, atol=1e-5)


def test_outputs_that_are_known_beforehand(engine: str) -> None:
    message = model([node("Add", "u v", "y"), node("Shape", "x", "s")], outputs="y s", weights={
        "u": np.array([1, 2], np.float32), "v": np.array([3, 4], np.float32)})  # fmt: skip
    found = graph_of(message).run({"x": drawn(2, 3)}, engine=engine)
    assert found["y"].tolist() == [4, 6] and found["s"].tolist() == [2, 3]


def test_an_input_that_decides_about_shapes_is_given_beforehand() -> None:
    message = model([node("Reshape", "x to", "y")])
    message.graph.input.append(helper.make_tensor_value_info("to", TensorProto.INT64, [2]))
    with pytest.raises(UsageError, match=r'Reshape "y": its operand 1, "to", decides about shapes.*`constants`'):
        graph_of(message)
    graph = graph_of(message, constants={"to": np.array([3, 2])})
    assert graph.run({"x": drawn(2, 3)})["y"].shape == (3, 2)


def test_inputs_are_checked() -> None:
    graph = graph_of(model([node("Relu", "x")]))
    with pytest.raises(UsageError, match="needs the input 'x'"):
        graph.run({"z": drawn(2, 3)})


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(pc.errors.MissingExtraError, match=r'pip install "pellucid\[onnx\]"') as caught:
        import_onnx("net.onnx")
    assert caught.value.exit_code == 7


DOUBLE_ROWS, DOUBLE_COLUMNS = np.array([1, 2, 1], "f4"), np.array([1, 1, 2], "f4")
STATISTICS = {"w": np.array([3, 1, 2], "f4"), "b": np.arange(3, dtype="f4"), "m": np.array([2, 0, 1], "f4"),
              "v": np.array([4, 1, 2], "f4")}  # fmt: skip


def _normalised(x: Array) -> Array:
    w, b, m, v = (values[:, None] for values in STATISTICS.values())
    return np.asarray((x - m) / np.sqrt(v + 1e-5) * w + b)


Older = tuple[int, Any, dict[str, Array], Callable[[Array], Array]]
OLDER: dict[str, Older] = {
    "Softmax takes the rest together": (9, node("Softmax", "x", axis=1), {}, lambda x: _softmax(x, (1, 2))),
    "Softmax along one axis": (13, node("Softmax", "x", axis=1), {}, lambda x: _softmax(x, 1)),
    "Clip by attributes": (7, node("Clip", "x", min=-0.5, max=0.25), {}, lambda x: np.clip(x, -0.5, 0.25)),
    "Clip by one operand": (
        11, node("Clip", "x - top"), {"top": np.array(0.25, "f4")}, lambda x: np.minimum(x, 0.25)),
    "Slice by attributes": (
        9, node("Slice", "x", axes=[2, 1], starts=[-3, 0], ends=[9, 2]), {}, lambda x: x[:, 0:2, -3:9]),
    "Pad by attributes": (
        9, node("Pad", "x", pads=[0, 0, 1, 0, 1, 2], value=7.0), {},
        lambda x: np.pad(x, ((0, 0), (0, 1), (1, 2)), constant_values=7)),
    "Pad with nothing before": (9, node("Pad", "x", pads=[0, 0, 0, 0, 0, 2]), {},
                                lambda x: np.pad(x, ((0, 0), (0, 0), (0, 2)))),
    "Pad that leaves out": (9, node("Pad", "x", pads=[0, -1, 1, 1, 0, -2]), {},
                            lambda x: np.pad(x[:, 1:, :-2], ((0, 1), (0, 0), (1, 0)))),
    "Split by attributes": (11, node("Split", "x", "y other", axis=2, split=[1, 3]), {}, lambda x: x[:, :, :1]),
    "ReduceSum by attributes": (11, node("ReduceSum", "x", axes=[0, 2], keepdims=0), {}, lambda x: x.sum((0, 2))),
    "ReduceMean by attributes": (13, node("ReduceMean", "x", axes=[-1]), {}, lambda x: x.mean(-1, keepdims=True)),
    "ReduceMean by an operand": (
        18, node("ReduceMean", "x d"), {"d": np.array([-1])}, lambda x: x.mean(-1, keepdims=True)),
    "Dropout by attributes": (7, node("Dropout", "x", ratio=0.3), {}, lambda x: x),
    "Upsample by attributes": (7, node("Upsample", "x", scales=[1.0, 2.0, 1.0]), {}, lambda x: x.repeat(2, 1)),
    "Upsample by an operand": (9, node("Upsample", "x s"), {"s": DOUBLE_COLUMNS}, lambda x: x.repeat(2, 2)),
    "Resize of set 10": (10, node("Resize", "x s"), {"s": DOUBLE_ROWS}, lambda x: x.repeat(2, 1)),
    "Unsqueeze by attributes": (11, node("Unsqueeze", "x", axes=[0, 2]), {}, lambda x: x[None, :, None]),
    "BatchNormalization of set 7": (7, node("BatchNormalization", "x w b m v"), STATISTICS, _normalised),
}  # fmt: skip


def _softmax(x: Array, axis: int | tuple[int, ...]) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


@pytest.mark.parametrize("name", OLDER)
def test_older_operator_sets(name: str) -> None:
    opset, one, weights, formula = OLDER[name]
    message = model([one], inputs={"x": (2, 3, 4)}, weights=weights, opset=opset, ir_version=4)
    x = drawn(2, 3, 4)
    got, right = graph_of(message).run({"x": x}, engine="numpy")["y"], formula(x)
    assert got.shape == right.shape
    np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-6)


def test_sets_beyond_those_that_are_read_are_refused() -> None:
    newest = onnx.defs.onnx_opset_version()
    for opset in (6, newest + 1):
        with pytest.raises(DataError, match=rf"operator set {opset}; sets 7 to {newest} are read"):
            graph_of(model([node("Relu", "x")], opset=opset))
