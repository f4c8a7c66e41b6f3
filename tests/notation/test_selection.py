"""Selections: which sums a whole number selects a term of, and what is counted for them."""

from __future__ import annotations

import pytest

from pellucid.notation import Index, Tensor, bracket, sum_over
from pellucid.notation.counting import floating_point_operations
from pellucid.notation.expression import Expression, Reduce
from pellucid.notation.selection import gathered, scattered

N, V, K = Index("n", 4), Index("v", 1000), Index("k", 3)
T = Tensor("T", (4,), role="input", kind="int")
W, G = Tensor("W", (1000, 3), role="parameter"), Tensor("G", (4, 3), role="input")
SELECTED = bracket(V, "==", T[N])


def reduced(value: Expression) -> Reduce:
    assert isinstance(value, Reduce)
    return value


def test_a_sum_over_the_key_is_a_lookup() -> None:
    found = gathered(reduced(sum_over([V], SELECTED * W[V, K])))
    assert found is not None
    assert (found[0].key, found[0].number, found[1]) == (V, T[N], W[V, K])


def test_a_sum_over_the_numbers_is_a_scatter() -> None:
    node = reduced(sum_over([N], G[N, K] * SELECTED))
    assert gathered(node) is None
    found = scattered(node)
    assert found is not None
    assert (found[0].key, found[1]) == (V, G[N, K])


@pytest.mark.parametrize(
    "body",
    [
        W[V, K] * bracket(V, "<=", T[N]),
        W[V, K] * bracket(2 * V, "==", T[N]),
        W[V, K] * bracket(V, "==", G[N, K]),
        W[V, K] * G[N, K],
    ],
)
def test_other_sums_are_none(body: Expression) -> None:
    for over in ([V], [N]):
        node = reduced(sum_over(over, body))
        assert gathered(node) is scattered(node) is None


def test_only_what_is_computed_is_counted() -> None:
    """A lookup costs no arithmetic, a scatter one addition for each number that it adds."""
    y, w = Tensor("Y"), Tensor("dW")
    y[N, K] = sum_over([V], SELECTED * W[V, K])
    w[V, K] = sum_over([N], SELECTED * G[N, K])
    assert [floating_point_operations(t.definition[0]) for t in (y, w)] == [0, 12]
