"""What all tests share: the engines they run on, their seeds, and where real data may be."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

# Oracles, the case table and helpers are imported as `tests.…` from every folder.
sys.path.insert(0, str(Path(__file__).parent.parent))

ENGINES = ["numpy"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every engine in turn."""
    return str(request.param)


@pytest.fixture
def generator() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture
def repro(request: pytest.FixtureRequest) -> str:
    """The command that runs the present test again."""
    return f"python -m pytest '{request.node.nodeid}'"


@pytest.fixture(scope="session")
def pellucid_data() -> Path:
    """The folder that PELLUCID_DATA names; tests that need real data are skipped, visibly, without it."""
    named = os.environ.get("PELLUCID_DATA")
    if not named:
        pytest.skip("needs real data: set PELLUCID_DATA to the folder that holds mnist/")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"PELLUCID_DATA names {folder}, which is not a folder")
    return folder
