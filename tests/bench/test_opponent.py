"""PyTorch's side where PyTorch is missing; with it, see tests/parity/test_bench.py."""

import subprocess
import sys

import pytest

from pellucid.bench import opponent
from pellucid.errors import MissingExtraError


def test_a_missing_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not opponent.installed()
    with pytest.raises(MissingExtraError, match="needs PyTorch, which is not installed here: pip install torch"):
        opponent.start(1)


def test_torch_is_not_imported_to_measure_alone() -> None:
    program = (
        "import sys; from pellucid.cli import bench, compile; from pellucid.bench import measure, memory, opponent; "
        "opponent.installed(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
