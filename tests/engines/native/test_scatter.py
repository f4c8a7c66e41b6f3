"""Rows selected by whole numbers: read one by one, and added up one by one, never searched for."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.engines.native.nest import Nest
from pellucid.engines.native.scatter import Scatter
from pellucid.notation import Index, Program, Tensor, bracket, sum_over
from tests.engines.native.programs import TARGETS, Array, assert_same, compiled, run_native

SIZE, LENGTH, WIDTH = 18, 5, 20


def scatter(rows: int, factor: float | None = None) -> Program:
    n, j, k, v = (Index(a, e) for a, e in zip("njkv", (SIZE, LENGTH, WIDTH, rows), strict=True))
    t = Tensor("T", (SIZE, LENGTH), role="input", kind="int")
    g, w = Tensor("G", (SIZE, LENGTH, WIDTH), role="input"), Tensor("W")
    total = sum_over([n, j], bracket(v, "==", t[n, j]) * g[n, j, k])
    w[v, k] = total if factor is None else total * factor
    return Program.of([w])


def arrays(rows: int) -> dict[str, Array]:
    """Numbers of rows, some of which there are not."""
    random = np.random.default_rng(rows)
    numbers = random.integers(-2, rows + 2, (SIZE, LENGTH))
    return {"T": numbers, "G": random.integers(-8, 9, (SIZE, LENGTH, WIDTH)).astype(np.float64)}


def by_hand(given: dict[str, Array], rows: int) -> Array:
    total = np.zeros((rows, WIDTH))
    for number, row in zip(given["T"].ravel(), given["G"].reshape(-1, WIDTH), strict=True):
        if 0 <= number < rows:
            total[number] += row
    return total


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("layout", ["images", "channels", "batch"])
def test_rows_are_added_up_where_they_belong(rows: int, layout: str) -> None:
    given = arrays(rows)
    for target in TARGETS:
        (got,) = run_native(scatter(rows), given, target=target, layout=layout).values()
        np.testing.assert_array_equal(got, by_hand(given, rows))


@pytest.mark.parametrize("factor", [None, 2.0])
def test_the_sum_is_a_scatter_whatever_is_done_with_it(factor: float | None) -> None:
    kernels = compiled(scatter(17, factor), layout="images").kernels
    assert [type(k) for k in kernels] == [Scatter] + ([Nest] if factor else [])
    first = kernels[0]
    assert isinstance(first, Scatter)
    assert first.chunk * first.tasks >= 17 > first.chunk * (first.tasks - 1)


def test_threads_change_no_bit() -> None:
    random = np.random.default_rng(0)
    given = arrays(9) | {"G": random.standard_normal((SIZE, LENGTH, WIDTH))}
    alone = run_native(scatter(9), given, threads=1)
    for threads in (2, 4):
        assert_same(run_native(scatter(9), given, threads=threads), alone, f"{threads} threads")


@pytest.mark.parametrize("layout", ["images", "channels", "batch"])
def test_a_lookup_reads_one_row(layout: str) -> None:
    """A table that would overflow a sum over its rows: other rows than the selected ones are not even read."""
    n, j, k, v = (Index(a, e) for a, e in zip("njkv", (SIZE, LENGTH, WIDTH, 40), strict=True))
    t, w = Tensor("T", (SIZE, LENGTH), role="input", kind="int"), Tensor("W", (40, WIDTH), role="parameter")
    y = Tensor("Y")
    y[n, j, k] = sum_over([v], bracket(v, "==", t[n, j]) * w[v, k])
    table = np.random.default_rng(0).standard_normal((40, WIDTH)).astype(np.float32).astype(np.float64)
    table[7] = np.nan
    numbers = np.random.default_rng(1).integers(-1, 42, (SIZE, LENGTH))
    padded = np.concatenate([table, np.zeros((3, WIDTH))])  # -1, 40 and 41 select nothing
    wanted = padded[numbers]
    for target in TARGETS:
        (got,) = run_native(Program.of([y]), {"T": numbers, "W": table}, target=target, layout=layout).values()
        np.testing.assert_array_equal(got, wanted)
