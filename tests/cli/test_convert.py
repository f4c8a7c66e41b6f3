"""`pellucid convert`: a file of PyTorch's becomes safetensors; a hostile one becomes a message."""

from pathlib import Path

import numpy as np

from pellucid.formats import load_weights
from tests.cli.conftest import Command
from tests.formats.test_checkpoint import NUMBERS, saved, tensor


def test_a_file_is_converted(tmp_path: Path, pellucid: Command) -> None:
    source, target = saved(tmp_path, {"net": {"w": tensor()}}), tmp_path / "w.safetensors"
    done = pellucid("convert", source, target, "--key", "net")
    assert done.code == 0 and done.out == f"{target}: 1 tensor, 12 numbers\n"
    assert np.array_equal(load_weights(target).tensors["w"], NUMBERS.reshape(3, 4))
    assert pellucid("convert", source, target, "--key", "net", "--json").json["tensors"] == {"w": [3, 4]}


def test_what_is_refused_leaves_no_file(tmp_path: Path, pellucid: Command) -> None:
    done = pellucid("convert", saved(tmp_path, {"net": {"w": tensor()}}), tmp_path / "w.safetensors")
    done.failed_with(3, "--key): net")
    assert not (tmp_path / "w.safetensors").exists()


def test_a_target_that_cannot_be(tmp_path: Path, pellucid: Command) -> None:
    source = saved(tmp_path, {"w": tensor()})
    before = source.read_bytes()
    pellucid("convert", source, source).failed_with(2, f"{source} is to hold safetensors")
    assert source.read_bytes() == before
    done = pellucid("convert", source, tmp_path / "none" / "w.safetensors")
    done.failed_with(5, "none/w.safetensors: No such file or directory. Create the folder first")
    (tmp_path / "w.safetensors").mkdir()
    done = pellucid("convert", source, tmp_path / "w.safetensors")
    done.failed_with(5, "w.safetensors: Is a directory. A folder has that name; choose another name.")
    assert "writing" not in done.err and {path.name for path in tmp_path.iterdir()} == {source.name, "w.safetensors"}
