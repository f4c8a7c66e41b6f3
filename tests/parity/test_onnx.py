"""Models in ONNX: read here, they compute what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import pellucid as pc
from pellucid.formats.onnx import difference, export_onnx, import_onnx
from tests.formats.onnx.networks import SINGLE, drawn, example, residual, single
from tests.parity import light

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4  # of the largest absolute value of an output


@pytest.mark.parametrize("name", light.NAMES)
def test_a_light_model_gives_its_published_output(name: str) -> None:
    graph = import_onnx(light.path_of(name))
    (given,) = graph.given.values()
    count = int(np.prod(given.shape))
    x = (np.arange(count, dtype=np.float32) / count).reshape(given.shape)  # as the package's own runner makes it
    published = onnx.load_tensor(light.FOLDER / f"light_{name}_output_0.pb")
    for engine in ("numpy", "native"):
        (y,) = graph.run({given.name: x}, engine=engine).values()
        np.testing.assert_allclose(y, onnx.numpy_helper.to_array(published), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", light.NAMES)
def test_a_light_model_with_other_weights_agrees_with_onnxruntime(name: str, tmp_path: Path) -> None:
    model = light.with_drawn_weights(name)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    given, x = light.images(model)
    expected = onnxruntime.InferenceSession(path).run(None, {given: x})
    graph = import_onnx(path)
    for engine in ("numpy", "native"):
        found = graph.run({given: x}, engine=engine)
        for output, right in zip(graph.results.values(), expected, strict=True):
            assert right.std() > 1e-6, "weights that are drawn give outputs that differ"
            error = np.abs(found[output] - right).max() / np.abs(right).max()
            print(f"{name} {engine} {output}: {error:.1e}")
            assert error < TOLERANCE, f"{engine}: {output} differs by {error:.1e} of its largest value"


@pytest.mark.parametrize("name", SINGLE)
def test_an_exported_layer_runs_in_onnxruntime(name: str, tmp_path: Path) -> None:
    network, shape = single(name)
    export_onnx(network, tmp_path / "net.onnx", shape)
    x = example(network, shape)
    found = difference(network, tmp_path / "net.onnx", x)
    assert found.judge == f"onnxruntime {onnxruntime.__version__}"
    assert found.largest < 1e-5 * max(found.scale, 1), str(found)


MODELS: dict[str, tuple[int, ...] | None] = {
    "lenet5": None, "notes-cnn": None, "notes-mlp": None, "alexnet": (3, 224, 224), "vgg11": (3, 224, 224),
    "googlenet": (3, 64, 64), "resnet18": (3, 64, 64), "resnet50": (3, 64, 64), "resnet20": (3, 32, 32),
    "plain20": (3, 32, 32), "textcnn": None, "pilotnet": None,
}  # fmt: skip
"""One model of every kind, and the images it is compared on, where smaller ones than usual will do."""


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_runs_in_onnxruntime(name: str, tmp_path: Path) -> None:
    network = pc.models.create(name).init(seed=1)
    shape = MODELS[name] or network.input_shape
    assert shape is not None
    export_onnx(network, tmp_path / "net.onnx", shape)
    found = difference(network, tmp_path / "net.onnx", example(network, shape, 2))
    print(name, found)
    assert found.largest < TOLERANCE * found.scale, str(found)


def test_branches_run_in_onnxruntime(tmp_path: Path) -> None:
    network = drawn(residual())
    export_onnx(network, tmp_path / "net.onnx", (1, 8, 8))
    found = difference(network, tmp_path / "net.onnx", example(network, (1, 8, 8)))
    assert found.largest < TOLERANCE * found.scale, str(found)
