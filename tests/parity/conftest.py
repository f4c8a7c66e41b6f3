"""Parity with PyTorch is collected only when it is asked for: importing PyTorch alone takes seconds."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests of this folder alone unless `-m parity` selects them."""
    selected = config.getoption("markexpr") == "parity"
    return None if selected or collection_path.suffix != ".py" else True
