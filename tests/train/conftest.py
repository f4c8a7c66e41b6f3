"""Folders for tests that write and flush thousands of files."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: flushing to a real disk would take most of these tests' time."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < 64_000_000:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="pellucid-", dir=MEMORY) as folder:
        yield Path(folder)
