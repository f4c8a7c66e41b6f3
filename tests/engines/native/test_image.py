"""Images: what was compiled before comes from the cache as a whole, and computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pellucid.engines.base import Recipe
from pellucid.engines.native.cache import ObjectCache
from pellucid.engines.native.executable import NativeEngine
from pellucid.engines.native.image import Image, build
from pellucid.errors import UsageError
from pellucid.notation import Index, Program, Tensor, constant_tensor
from pellucid.notation.fingerprint import fingerprint
from tests.engines.native.programs import STORE, compiled


def program(factor: float = 2.0) -> Program:
    """An output, a constant, an output that is an input, a state that is updated, an output with a part unwritten."""
    k = Index("k", 5)
    x, s = Tensor("X", (5,), role="input"), Tensor("S", (5,), role="state")
    c = constant_tensor("C", np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    y, t, z = Tensor("Y"), Tensor("T"), Tensor("Z", (10,))
    y[k] = x[k] * factor + c[k]
    t[k] = s[k] + y[k]
    z[2 * k] = y[k]
    return Program.of([y, x, c, z], [(s, t)])


def run(engine: NativeEngine, recipe: Recipe | Program) -> dict[str, np.ndarray]:
    executable = engine.compile(recipe)
    arrays = {"X": np.arange(5, dtype=np.float32), "S": np.ones(5, np.float32)}
    results = executable.run(arrays)
    executable.close()
    return results | {"S": arrays["S"]}


def engine_with(store: ObjectCache) -> NativeEngine:
    engine = NativeEngine()
    engine.store = store
    return engine


def test_bytes_and_back() -> None:
    image = build(compiled(program()), STORE)
    again = Image.unpack(image.pack())
    assert (again.given, again.returned, again.passed) == (image.given, image.returned, image.passed)
    assert (again.arena, again.threads, again.objects) == (image.arena, image.threads, image.objects)
    assert set(again.constants) == set(image.constants) == {"C"}
    np.testing.assert_array_equal(again.constants["C"], image.constants["C"])


def test_a_known_recipe_is_not_written_again(tmp_path: Path) -> None:
    engine, written = engine_with(ObjectCache(tmp_path / "objects")), []

    def write() -> Program:
        written.append(1)
        return program()

    first, second = (run(engine, Recipe(fingerprint(program()), write)) for _ in range(2))
    assert len(written) == 1
    for name, right in first.items():
        np.testing.assert_array_equal(second[name], right)
    np.testing.assert_array_equal(second["Y"], 2 * np.arange(5) + np.arange(1, 6))
    np.testing.assert_array_equal(second["Z"][1::2], 0)


def test_its_plan_can_still_be_looked_at(tmp_path: Path) -> None:
    engine = engine_with(ObjectCache(tmp_path / "objects"))
    for _ in range(2):
        executable = engine.compile(program())
        assert [k.operands for k in executable.compiled.kernels]
        assert len(executable.report(1)) == len(executable.compiled.kernels)
        executable.close()


def test_a_kernel_alone_needs_the_arrays_of_a_run() -> None:
    executable = NativeEngine().compile(program())
    with pytest.raises(UsageError, match="run the program before"):
        executable.kernel(0)
    executable.run({"X": np.arange(5, dtype=np.float32), "S": np.ones(5, np.float32)})
    executable.kernel(0)()
    executable.close()


@pytest.mark.parametrize("change", ["threads", "layout", "program"])
def test_another_is_compiled_anew(tmp_path: Path, change: str) -> None:
    engine = engine_with(ObjectCache(tmp_path / "objects"))
    engine.compile(program(), threads=1).close()
    before = engine.store.size()
    if change == "layout":
        engine.layout = "images"
    engine.compile(program(3.0 if change == "program" else 2.0), threads=2 if change == "threads" else 1).close()
    assert engine.store.size() > before


def test_a_damaged_image_is_compiled_anew(tmp_path: Path) -> None:
    engine = engine_with(ObjectCache(tmp_path / "objects"))
    right = run(engine, program())
    for path in (tmp_path / "objects").glob("*.object"):
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(bytes(data))
    for name, value in run(engine, program()).items():
        np.testing.assert_array_equal(value, right[name])
