"""Parity with PyTorch is collected only when it is asked for: importing PyTorch alone takes seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests of this folder alone unless `-m parity` selects them."""
    selected = config.getoption("markexpr") == "parity"
    return None if selected or collection_path.suffix != ".py" else True


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The tests run side by side, one worker for each core; more threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PELLUCID_THREADS", "1")
        yield
    torch.set_num_threads(before)
