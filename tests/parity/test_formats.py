"""Weights in PyTorch's files: its own checkpoints are read exactly, and it loads what we save."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import pellucid as pc
from pellucid.errors import CheckpointError
from pellucid.formats import convert_checkpoint, load_into, load_weights, save_model

pytestmark = pytest.mark.parity


class Net(torch.nn.Module):
    """A network whose state dict has every kind of entry: parameters, statistics, a counter, a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.norm = torch.nn.BatchNorm2d(8)
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.transposed = torch.nn.Parameter(torch.randn(3, 5).T)


@pytest.mark.parametrize("parameters", [False, True])
def test_a_checkpoint_is_converted_exactly(tmp_path: Path, parameters: bool) -> None:
    net = Net()
    state = dict(net.named_parameters()) if parameters else net.state_dict()
    torch.save(state, tmp_path / "w.pth")
    convert_checkpoint(tmp_path / "w.pth", tmp_path / "w.safetensors")
    found = safetensors.torch.load_file(tmp_path / "w.safetensors")
    assert found.keys() == state.keys()
    for name, values in state.items():
        assert found[name].dtype == values.dtype and torch.equal(found[name], values.detach()), name


@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_every_type_is_converted_exactly(tmp_path: Path, dtype: str) -> None:
    values = (torch.arange(12).reshape(3, 4) - 2).to(getattr(torch, dtype))
    torch.save({"epoch": 1, "weights": {"w": values, "part": values[1:, ::2]}}, tmp_path / "w.pth")
    found = convert_checkpoint(tmp_path / "w.pth", tmp_path / "w.safetensors", key="weights")
    expected = values.float() if dtype == "bfloat16" else values
    assert np.array_equal(found["w"], expected.numpy()) and found["w"].dtype == expected.numpy().dtype
    assert np.array_equal(found["part"], expected[1:, ::2].numpy())


def test_a_whole_model_and_the_old_form_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"asks for 'torch\.nn\.modules\.linear\.Linear'"):
        convert_checkpoint(tmp_path / "model.pth", tmp_path / "w.safetensors")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"before version 1\.6"):
        convert_checkpoint(tmp_path / "old.pth", tmp_path / "w.safetensors")


def test_weights_go_both_ways_by_name(tmp_path: Path) -> None:
    """LeNet-5 in PyTorch and here: the same names, the same outputs with the weights of the other."""
    layers = {"conv1": torch.nn.Conv2d(1, 6, 5), "conv2": torch.nn.Conv2d(6, 16, 5)}
    theirs = torch.nn.ModuleDict(layers)
    ours = pc.Sequential([pc.layers.Conv2d(1, 6, 5), pc.layers.Conv2d(6, 16, 5)]).init(seed=3)
    x = np.random.default_rng(0).normal(size=(2, 1, 12, 12)).astype(np.float32)

    save_model(ours, tmp_path / "ours.safetensors")
    theirs.load_state_dict(safetensors.torch.load_file(tmp_path / "ours.safetensors"))
    with torch.no_grad():
        expected = theirs["conv2"](theirs["conv1"](torch.from_numpy(x))).numpy()
    assert np.allclose(pc.predict(ours, x), expected, atol=1e-5)

    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    convert_checkpoint(tmp_path / "theirs.pth", tmp_path / "theirs.safetensors")
    load_into(ours.init(seed=4), tmp_path / "theirs.safetensors")
    assert np.allclose(pc.predict(ours, x), expected, atol=1e-5)
    assert load_weights(tmp_path / "theirs.safetensors").tensors.keys() == ours.parameters.keys()
