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


def session(path: Path) -> onnxruntime.InferenceSession:
    """With one thread: the tests run side by side."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


@pytest.mark.parametrize("name", light.NAMES)
def test_a_light_model(name: str, tmp_path: Path) -> None:
    """Its published output; and, with weights drawn anew, what onnxruntime computes.

    Both are one test because both are the same program: its machine code is made once.
    """
    onnx.save(light.with_scores(onnx.load(light.path_of(name))), tmp_path / "published.onnx")
    onnx.save(light.with_scores(light.with_drawn_weights(name)), tmp_path / "drawn.onnx")
    published, redrawn = import_onnx(tmp_path / "published.onnx"), import_onnx(tmp_path / "drawn.onnx")
    (given,) = published.given.values()
    x, right = light.published(name, given.shape)
    other = np.random.default_rng(1).normal(size=given.shape).astype(np.float32)
    expected = session(tmp_path / "drawn.onnx").run(None, {given.name: other})
    for engine in ("numpy", "native"):
        y, *_ = published.run({given.name: x}, engine=engine).values()
        np.testing.assert_allclose(y, right, rtol=1e-3, atol=1e-7)
        found = redrawn.run({given.name: other}, engine=engine)
        for (output, got), wanted in zip(found.items(), expected, strict=True):
            assert wanted.std() > 1e-6, "weights that are drawn give outputs that differ"
            error = np.abs(got - wanted).max() / np.abs(wanted).max()
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
    "lenet5": None, "notes-cnn": None, "notes-mlp": None, "alexnet": (3, 64, 64), 
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
