"""`pellucid convert`: a file of PyTorch's becomes safetensors; a hostile one becomes a message."""

from pathlib import Path

import numpy as np

from pellucid.formats import load_weights
from tests.cli.conftest import Command
from tests.formats.test_checkpoint import NUMBERS, saved, tensor


def test_a_file_is_converted(tmp_path: Path, pellucid: Command) -> None:
    source, target = saved(tmp_path, {"net": {"w": tensor()}}), tmp_path / "w.safetensors"
    done = pellucid("convert", source, target, "--key", "net")
    assert done.code == 0 and done.out == f"{target}: 1 tensors, 12 numbers\n"
    assert np.array_equal(load_weights(target).tensors["w"], NUMBERS.reshape(3, 4))
    assert pellucid("convert", source, target, "--key", "net", "--json").json["tensors"] == {"w": [3, 4]}


def test_what_is_refused_leaves_no_file(tmp_path: Path, pellucid: Command) -> None:
    done = pellucid("convert", saved(tmp_path, {"net": {"w": tensor()}}), tmp_path / "w.safetensors")
    done.failed_with(3, "--key): net")
    assert not (tmp_path / "w.safetensors").exists()
