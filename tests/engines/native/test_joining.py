"""Concatenations: their parts are written in place where that is possible, and mean the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.engines.native.joining import joined_in_place
from pellucid.notation import Index, Program, Tensor, maximum, sum_over
from pellucid.notation.expression import Access
from tests.engines.native.programs import TARGETS, assert_close, compiled, distance, reference, run_native

SHAPE = (3, 5, 4, 6)
X = Tensor("X", SHAPE, role="input")
ARRAYS = {"X": np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32).astype(np.float64)}


def branch(factor: float, source: Tensor = X) -> Tensor:
    n, c, i, j = (Index(a, e) for a, e in zip("ncij", source.extents, strict=True))
    result = Tensor("A", name=f"A{factor} of {source.name}")
    result[n, c, i, j] = maximum(source[n, c, i, j] * factor, 0)
    return result


def joint(*parts: Tensor) -> Tensor:
    name = f"joint of {', '.join(p.name for p in parts)}"
    whole, start = Tensor("Y", (3, sum(p.extents[1] for p in parts), 4, 6), name=name), 0
    for part in parts:
        n, c, i, j = (Index(a, e) for a, e in zip("ncij", part.extents, strict=True))
        whole[n, c + start, i, j] = part[n, c, i, j]
        start += part.extents[1]
    return whole


def windows(source: Tensor) -> Tensor:
    """Sums over 3 rows, beyond the edges too."""
    n, c, i, j, u = (Index(a, e) for a, e in zip("nciju", (*source.extents, 3), strict=True))
    result = Tensor("S", name=f"sums of {source.name}")
    result[n, c, i, j] = sum_over([u], source[n, c, i + u - 1, j])
    return result


def copies(program: Program) -> int:
    return sum(isinstance(e.value, Access) for e in program)


def check(program: Program, left: int) -> None:
    """So many copies are left, and nothing has another value, on any target and in any layout."""
    changed = joined_in_place(program)
    assert copies(changed) == left
    wanted, got = reference(program, ARRAYS), reference(changed, ARRAYS)
    for name, right in wanted.items():
        np.testing.assert_array_equal(got[name], right)
    for target in TARGETS:
        for layout in ("images", "channels", "batch"):
            assert_close(
                program, run_native(program, ARRAYS, target=target, layout=layout), ARRAYS, f"{target} {layout}"
            )


def test_parts_are_written_in_place() -> None:
    check(Program.of([windows(joint(branch(2.0), branch(-1.0), branch(0.5)))]), 0)


def test_a_part_that_is_read_again_is_read_from_the_whole() -> None:
    first = branch(2.0)
    whole = joint(first, branch(-1.0))
    both = Tensor("Z")
    n, c, i, j = (Index(a, e) for a, e in zip("ncij", SHAPE, strict=True))
    both[n, c, i, j] = windows(first)[n, c, i, j] + windows(whole)[n, c, i, j]
    check(Program.of([both]), 1)  # `first` is read before the whole is there
    later = Program.of([windows(whole), windows(first)])
    check(later, 0)


def test_what_other_parts_are_made_of_stays_apart() -> None:
    first = branch(2.0)
    check(Program.of([windows(joint(first, branch(-1.0, first)))]), 1)


def test_joints_of_joints() -> None:
    inner = joint(branch(2.0), branch(-1.0))
    check(Program.of([windows(joint(inner, branch(0.5)))]), 0)


def test_given_tensors_and_outputs_are_copied() -> None:
    first = branch(2.0)
    check(Program.of([joint(first, X, branch(-1.0)), first]), 2)


@pytest.mark.parametrize("beyond", [False, True])
def test_a_margin_is_not_asked_of_an_output(beyond: bool) -> None:
    """An output lies in the caller's array, where there is no room for zeros around it."""
    first = branch(2.0)
    whole = joint(first, branch(-1.0))
    check(Program.of([whole, windows(first) if beyond else branch(3.0, first)]), 1 if beyond else 0)


def test_the_part_is_the_convolutions_own_result() -> None:
    """The sum's kernel writes activation and part; no further kernel touches them."""
    n, o, i, j, c = (Index(a, e) for a, e in zip("noijc", (3, 8, 4, 6, 5), strict=True))
    weights = Tensor("W", (8, 5), role="parameter")
    parts = []
    for name in "AB":
        h, a = Tensor("H", name=f"H{name}"), Tensor(name)
        h[n, o, i, j] = sum_over([c], X[n, c, i, j] * weights[o, c])
        a[n, o, i, j] = maximum(h[n, o, i, j], 0)
        parts.append(a)
    program = Program.of([joint(*parts)])
    arrays = ARRAYS | {"W": np.random.default_rng(1).standard_normal((8, 5))}
    kernels = compiled(program, layout="images").kernels
    assert [[e.tensor.symbol for e in k.equations] for k in kernels] == [["H", "Y"], ["H", "Y"]]
    (got,) = run_native(program, arrays, layout="images").values()
    (wanted,) = reference(program, arrays).values()
    assert distance(got, wanted) < 1e-6
