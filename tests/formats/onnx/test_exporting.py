"""Exported models: checked by onnx, evaluated by its own evaluator, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx

import pellucid as pc
from pellucid.errors import ResourceError, UsageError
from pellucid.formats.onnx import difference, export_onnx, import_onnx
from pellucid.formats.onnx.importing import graph_of
from pellucid.formats.onnx.writers import WRITERS
from pellucid.models import Graph, Sequential
from tests.formats.onnx.graphs import Array, convolutional, model, node, reference
from tests.formats.onnx.networks import SINGLE, drawn, example, residual, single


def images(*shape: int) -> Array:
    return (np.random.default_rng(7).normal(size=shape) * 2).astype(np.float32)


BEYOND = {"transposed convolution", "recurrent"}
"""What onnx's own evaluator does not compute: groups of transposed convolutions, ReLU in recurrent layers."""


@pytest.mark.parametrize("name", [name for name in SINGLE if name not in BEYOND])
def test_every_layer_computes_the_same_there(name: str, tmp_path: Path) -> None:
    network, shape = single(name)
    export_onnx(network, tmp_path / "net.onnx", shape)
    x = example(network, shape)
    ours = pc.predict(network, x, engine="numpy")
    (theirs,) = reference(onnx.load(tmp_path / "net.onnx"), {"input": x})
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def test_every_layer_has_a_writer() -> None:
    """docs/onnx.md says so."""
    assert set(pc.layers.by_name().values()) <= set(WRITERS)


def test_every_writer_has_a_model() -> None:
    made = {type(node.layer) for name in SINGLE for node in single(name)[0].nodes.values()}
    assert set(WRITERS) <= made | {pc.layers.Add, pc.layers.Concat}


def test_branches_graphs_within_and_shared_weights(tmp_path: Path) -> None:
    network = drawn(residual())
    export_onnx(network, tmp_path / "net.onnx", (1, 5, 6))
    message, x = onnx.load(tmp_path / "net.onnx"), images(3, 1, 5, 6)
    (theirs,) = reference(message, {"input": x})
    np.testing.assert_allclose(theirs, pc.predict(network, x), rtol=1e-4, atol=1e-5)
    weights = [tensor.name for tensor in message.graph.initializer]
    assert set(weights) == {**network.parameters, **network.states}.keys(), "the model's own names, each once"
    assert "block.conv.weight" in weights and "two.weight" not in weights
    assert [value.name for value in message.graph.output] == ["wide"]
    assert (message.opset_import[0].version, message.ir_version) == (20, 9)


@pytest.mark.parametrize("name", ["lenet5", "notes-cnn", "notes-mlp"])
def test_a_model_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    network = pc.models.create(name).init(seed=2)
    export_onnx(network, tmp_path / "net.onnx")
    back = import_onnx(tmp_path / "net.onnx")
    assert network.input_shape is not None
    assert {name.removesuffix(".rotated") for name in back.parameters} == network.parameters.keys()
    assert back.summary().multiply_adds == network.summary().multiply_adds
    x = images(3, *network.input_shape)
    assert np.allclose(pc.predict(back, x, engine="numpy"), pc.predict(network, x, engine="numpy"), atol=1e-6)


def test_a_graph_that_was_read_is_written_as_it_was(tmp_path: Path) -> None:
    export_onnx(graph_of(convolutional()), tmp_path / "net.onnx")
    message, x = onnx.load(tmp_path / "net.onnx"), images(2, 1, 6, 6)
    assert message.opset_import[0].version == 18
    assert [value.name for value in message.graph.input] == ["input"]
    right = reference(convolutional(), {"x": x})[0]
    np.testing.assert_allclose(reference(message, {"input": x})[0], right, rtol=1e-4, atol=1e-5)


def test_parts_of_a_split_are_written_with_their_neighbours(tmp_path: Path) -> None:
    nodes = [node("Split", "x", "a b c", axis=1, num_outputs=3), node("Sub", "b c", "y")]
    export_onnx(graph_of(model(nodes, inputs={"x": (2, 6)})), tmp_path / "net.onnx")
    x = images(2, 6)
    (y,) = reference(onnx.load(tmp_path / "net.onnx"), {"input": x})
    assert np.allclose(y, x[:, 2:4] - x[:, 4:], atol=1e-6)


def test_the_difference_is_measured(tmp_path: Path) -> None:
    network, shape = single("dense")
    export_onnx(network, tmp_path / "net.onnx", shape)
    x = images(4, *shape)
    found = difference(network, tmp_path / "net.onnx", x)
    assert found.images == 4 and found.largest < 1e-5 * found.scale
    assert str(found).startswith("largest difference ") and "4 images; Pellucid beside onnx" in str(found)
    network.load({name: values + 1 for name, values in network.parameters.items()})
    moved = pc.predict(network, x) - x @ (network.parameters["fc1.weight"] - 1).T - (network.parameters["fc1.bias"] - 1)
    assert difference(network, tmp_path / "net.onnx", x).largest == pytest.approx(np.abs(moved).max(), rel=1e-4)


class Cube(pc.Layer):
    """A layer that ONNX does not know."""

    def forward(self, x: pc.notation.Tensor) -> pc.notation.Tensor:
        (n, k), y = pc.notation.indices("n k"), pc.notation.Tensor("Y")
        y[n, k] = x[n, k] ** 3
        return y


class OtherReLU(pc.layers.ReLU):
    """A subclass may compute anything."""


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(UsageError, match="no form in ONNX here: Cube, OtherReLU"):
        export_onnx(Sequential([Cube(), OtherReLU(), Cube()]), path, (3,))
    refusals: list[tuple[pc.Layer, str]] = [
        (pc.layers.LocalResponseNorm(4), 'LocalResponseNorm "localresponsenorm1": ONNX puts the window'),
        (pc.layers.BatchNorm2d(3, track_running_stats=False), "by the batch's own statistics"),
        (pc.layers.Softplus(1, threshold=2), "has no threshold"),
    ]
    for layer, complaint in refusals:
        with pytest.raises(UsageError, match=complaint):
            export_onnx(Sequential([layer]), path, (3, 4, 4))
    with pytest.raises(UsageError, match="for which input_shape"):
        export_onnx(Graph([pc.layers.ReLU()]), path)
    assert not path.exists()
    with pytest.raises(ResourceError, match="Could not write the model"):
        export_onnx(Graph([pc.layers.ReLU()]), tmp_path / "no folder" / "net.onnx", (3,))
