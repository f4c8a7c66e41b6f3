"""The collector is off while a program is compiled, and afterwards as it was."""

import gc
from pathlib import Path

import numpy as np
import pytest

from pellucid.engines.base import Recipe
from pellucid.engines.native.cache import ObjectCache
from pellucid.engines.native.collector import collector_paused
from pellucid.engines.native.executable import NativeEngine
from pellucid.notation import Index, Program, Tensor


@pytest.mark.parametrize("running", [True, False])
def test_it_is_as_it_was_afterwards(running: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if running else gc.disable)()
        with pytest.raises(ZeroDivisionError), collector_paused():
            assert not gc.isenabled()
            1 / 0  # noqa: B018
        assert gc.isenabled() == running
    finally:
        (gc.enable if before else gc.disable)()


def test_a_program_is_written_and_compiled_without_it(tmp_path: Path) -> None:
    """Its author looks: derivation belongs to compiling. A program that is known is not written again."""
    seen: list[bool] = []

    def write() -> Program:
        seen.append(gc.isenabled())
        x, y, n = Tensor("X", (3,), role="input", name="x"), Tensor("Y", name="y"), Index("n")
        y[n] = 2 * x[n]
        return Program.of([y])

    engine = NativeEngine()
    engine.store = ObjectCache(tmp_path)
    for _ in range(2):
        executable = engine.compile(Recipe("twice x", write))
        given = np.array([1, 2, 3], np.float32)
        assert executable.run({"x": given})["y"].tolist() == [2, 4, 6]
        executable.close()
    assert seen == [False] and gc.isenabled()
