"""Rewritings: what they change, and that they change no value."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.engines.native import cpu
from pellucid.engines.native.nest import Nest, Plan
from pellucid.engines.native.rewrite import LONG, OWN_SUMS, direct_copies, kept_masks, partial_sums
from pellucid.notation import Index, Program, Tensor, bracket, maximum, sum_over
from pellucid.notation.expression import accesses
from tests.engines.native.programs import TARGETS, compiled, distance, reference


def mean(rows: int, columns: int, channels: int) -> Program:
    """The mean of each channel over 3 images."""
    n, i, j, c = (Index(a, e) for a, e in zip("nijc", (3, rows, columns, channels), strict=True))
    x, m = Tensor("X", (3, rows, columns, channels), role="input"), Tensor("M")
    m[c] = sum_over([n, i, j], x[n, i, j, c]) / (3 * rows * columns)
    return Program.of([m])


def test_a_long_sum_without_reuse_is_taken_row_by_row() -> None:
    program = partial_sums(mean(40, 50, 5))
    parts, total = program.equations
    assert parts.tensor.extents == (3, 40, 5)
    assert str(total) == "M[c] = sum(n,i) P[n,i,c] / 6000"
    x = np.random.default_rng(0).standard_normal((3, 40, 50, 5))
    names = {t.name: x for t in program.given}
    assert distance(reference(program, names)["M"], x.mean((0, 1, 2))) < 1e-12


@pytest.mark.parametrize("size", [(10, 10), (LONG, OWN_SUMS // 2 - 1)])
def test_a_short_sum_stays_whole(size: tuple[int, int]) -> None:
    """Too few values altogether, or too few for each part: then whole images are the parts."""
    program = partial_sums(mean(*size, 5))
    assert [e.tensor.extents for e in program][:-1] in ([], [(3, 5)])


def test_a_convolutions_weight_gradient_stays_one_sum() -> None:
    """Every value is used for many weights there: that is for the contraction to share out."""
    o, c, i = Index("o", 8), Index("c", 8), Index("i", 4000)
    d, x, w = Tensor("D", (8, 4000), role="input"), Tensor("X", (8, 4000), role="input"), Tensor("dW")
    w[o, c] = sum_over([i], d[o, i] * x[c, i])
    assert len(partial_sums(Program.of([w])).equations) == 1


def relu() -> tuple[Program, Tensor]:
    k = Index("k", 7)
    x, h, y, z = Tensor("X", (7,), role="input"), Tensor("H"), Tensor("Y"), Tensor("Z")
    h[k] = x[k] * 2
    y[k] = maximum(h[k], 0)
    z[k] = x[k] * bracket(h[k], ">", 0)
    return Program.of([y, z]), h


def test_a_mask_looks_at_the_result_that_is_kept() -> None:
    program, argument = relu()
    changed = kept_masks(program)
    readers = [e for e in changed if any(a.tensor is argument for a in accesses(e.value))]
    assert [e.tensor.symbol for e in readers] == ["Y"]
    x = np.array([-1.0, 0.0, -0.0, 2.0, np.inf, -np.inf, np.nan])
    wanted, got = reference(program, {"X": x}), reference(changed, {"X": x})
    for name, right in wanted.items():
        np.testing.assert_array_equal(got[name], right)


def test_a_pointwise_kernel_over_one_long_index_has_tasks_to_share() -> None:
    k = Index("k", 1 << 16)
    x, y = Tensor("X", (1 << 16,), role="input"), Tensor("Y")
    y[k] = x[k] * 3
    for target in TARGETS:
        (kernel,) = compiled(Program.of([y]), target=target).kernels
        assert isinstance(kernel, Nest)
        assert Plan(kernel, cpu.target(target)).shape().tasks >= 64


def copies(read_otherwise: bool) -> Program:
    """X turned to T, T turned again to U and V; and, maybe, something else that reads T."""
    i, j, k = Index("i", 4), Index("j", 5), Index("k", 6)
    x, t, u, v, w = Tensor("X", (4, 5, 6), role="input"), Tensor("T"), Tensor("U"), Tensor("V"), Tensor("W")
    t[i, k, j] = x[i, j, k]
    u[k, i, j] = t[i, k, j]
    v[j, i, k] = u[k, i, j]
    w[i] = sum_over([j, k], t[i, k, j]) if read_otherwise else x[i, 0, 0]
    return Program.of([v, w])


@pytest.mark.parametrize("read_otherwise", [False, True])
def test_a_copy_between_copies_is_not_made(read_otherwise: bool) -> None:
    program = copies(read_otherwise)
    changed = direct_copies(program)
    assert [e.tensor.symbol for e in changed] == (["T", "V", "W"] if read_otherwise else ["V", "W"])
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    wanted, got = reference(program, {"X": x}), reference(changed, {"X": x})
    for name, right in wanted.items():
        np.testing.assert_array_equal(got[name], right)
