"""What all tests share: the engines they run on, their seeds, and where real data may be."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# Oracles, the case table and helpers are imported as `tests.…` from every folder.
sys.path.insert(0, str(Path(__file__).parent.parent))

ENGINES = {"numpy": ("float32", "float64"), "native": ("float32",)}
"""The engines that every test of values runs on, and the precisions each of them computes in."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for an `engine` on all of them; with each of its `dtype`s if asked for.

    `double_engine` stands for the engines that compute in double precision.
    """
    asked = set(metafunc.fixturenames)
    if {"engine", "dtype"} <= asked:
        both = [(engine, dtype) for engine, dtypes in ENGINES.items() for dtype in dtypes]
        metafunc.parametrize(("engine", "dtype"), both, ids=["-".join(names) for names in both])
    elif "engine" in asked:
        metafunc.parametrize("engine", list(ENGINES))
    if "double_engine" in asked:
        metafunc.parametrize("double_engine", [name for name, dtypes in ENGINES.items() if "float64" in dtypes])


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled code is kept for this run only: what an earlier version compiled must not be tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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
