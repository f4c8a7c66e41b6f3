"""`pellucid export`: a run's model for other programs, and the difference that is printed."""

from pathlib import Path

import numpy as np
import pytest

import pellucid as pc
from pellucid.formats import load_weights
from tests.cli.conftest import Command


def test_weights_go_out_by_the_ending_of_the_name(trained: Path, tmp_path: Path, pellucid: Command) -> None:
    done = pellucid("export", trained, "--out", tmp_path / "w.safetensors")
    parameters = pc.load_run(trained).model.parameters
    assert done.code == 0 and done.out == f"{tmp_path / 'w.safetensors'}: {len(parameters)} tensors\n"
    saved = load_weights(tmp_path / "w.safetensors").tensors
    assert all(np.array_equal(saved[name], values) for name, values in parameters.items())


def test_a_model_goes_out_and_is_compared(trained: Path, tmp_path: Path, pellucid: Command) -> None:
    pytest.importorskip("onnx")
    out = tmp_path / "net.onnx"
    done = pellucid("export", trained, "--out", out)
    assert done.code == 0 and done.out.startswith(f"{out}: largest difference ")
    found = pellucid("export", trained, "--out", out, "--json").json
    assert found["file"] == str(out) and 0 <= found["largest"] < 1e-4 * found["scale"]
    summary = pellucid("summary", out, "--json").json
    assert summary["parameters"] == pellucid("summary", trained, "--json").json["parameters"]
    again = pellucid("export", out, "--out", tmp_path / "w", "--format", "safetensors", "--json").json
    assert again["tensors"] == len(pc.load_run(trained).model.parameters)


def test_a_model_that_was_not_trained_is_said_to_be(tmp_path: Path, pellucid: Command) -> None:
    done = pellucid("export", "notes-mlp", "--out", tmp_path / "w.safetensors", "--option", "seed=1")
    done.failed_with(2, "seed")
    done = pellucid("export", "notes-mlp", "--out", tmp_path / "w.safetensors")
    assert done.code == 0 and "notes-mlp is not a run: its weights are initial ones" in done.err


def test_what_does_not_fit_is_refused(tmp_path: Path, pellucid: Command) -> None:
    pellucid("export", "lenet5", "--out", tmp_path / "w.h5").failed_with(2, "end it in .onnx or .safetensors")
    pytest.importorskip("onnx")
    pellucid("summary", tmp_path / "none.onnx").failed_with(3, "is not a file")
    (tmp_path / "net.onnx").write_bytes(b"no")
    pellucid("summary", tmp_path / "net.onnx").failed_with(3, "is damaged or no ONNX file")
    pellucid("summary", tmp_path / "net.onnx", "--option", "a=1").failed_with(2, "leave out --option")
