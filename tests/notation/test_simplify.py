"""Simplification changes how a formula looks and what it costs, never what it means."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.notation import Equation, Expression, Index, Tensor, bracket, exp, sum_over, tanh
from pellucid.notation.expression import Const, Position, free_indices
from pellucid.notation.simplify import Definitions, simplify
from tests.notation.interpreter import evaluate

R, K, M = Index("i", 2), Index("k", 3), Index("m", 2)
X, Y, Z = (Tensor(name, (3,), role="input") for name in "XYZ")
LABEL = Tensor("y", (2,), role="input", kind="int")
x, y, z = X[R], Y[R], Z[R]


def leaves() -> st.SearchStrategy[Expression]:
    numbers = st.sampled_from([0, 1, -1, 2, 0.5, Fraction(1, 3)]).map(Const)
    return st.one_of(st.sampled_from([x, y, z, X[K], Y[K], Z[K] * X[R], Position(R + 1)]), numbers)


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] - p[1]),
        pairs.map(lambda p: p[0] * p[1]),
        pairs.map(lambda p: p[0] / p[1]),
        inner.map(lambda e: -e),
        inner.map(tanh),
        st.tuples(inner, st.integers(1, 3)).map(lambda p: p[0] ** p[1]),
        inner.map(lambda e: e * bracket(x, ">", 0.5)),
        inner.map(lambda e: sum_over([M], e) if K in free_indices(e) else sum_over([M], e * X[M])),
    )


def close(node: Expression) -> Expression:
    """No index is left free but i; sums inside that bind m twice are harmless, each binds its own."""
    return sum_over([K], node) if K in free_indices(node) else node


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.recursive(leaves(), branches, max_leaves=10).map(close), st.integers(0, 2**20))
def test_the_value_stays(node: Expression, seed: int) -> None:
    generator = np.random.default_rng(seed)
    arrays = {name: generator.uniform(0.25, 1.5, 3) for name in "XYZ"}
    simple = simplify(node)
    assert set(free_indices(simple)) <= {R}
    for i in range(R.size):
        with np.errstate(all="ignore"):
            before = evaluate(node, {R: i}, arrays, np.float64)
            after = evaluate(simple, {R: i}, arrays, np.float64)
        if np.isfinite(before) and abs(before) < 1e6:
            # Terms may cancel exactly where rounding left a little.
            np.testing.assert_allclose(after, before, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (x + x, "2 * X[i]"),
        (x - x, "0"),
        (x * 0, "0"),
        (x * 1, "X[i]"),
        (x / x, "1"),
        (2 * x / 4, "X[i] / 2"),
        (x * 0.5 * 4, "2 * X[i]"),
        (x * y - y * x, "0"),
        (x * y + x * z, "X[i] * (Y[i] + Z[i])"),
        (x * y - x * z, "X[i] * (Y[i] - Z[i])"),
        (x * x * y / x, "X[i] * Y[i]"),
        (x**2 * x, "X[i]^3"),
        ((2 * x) ** 2, "4 * X[i]^2"),
        (1 / (1 / x), "X[i]"),
        (x / y / z, "X[i] / (Y[i] * Z[i])"),
        (-(x * -1), "X[i]"),
        (x * -1 * -1, "X[i]"),
        (x * Fraction(1, 3) * 3, "X[i]"),
        (-x + y, "Y[i] - X[i]"),
        (sum_over([K], x), "3 * X[i]"),
        (sum_over([K], x * X[K]), "X[i] * (sum(k) X[k])"),
        (sum_over([K], X[K] + Y[K]), "sum(k) (X[k] + Y[k])"),
        (sum_over([K], X[K] * 2 / y), "2 * (sum(k) X[k]) / Y[i]"),
        (sum_over([K, M], X[K] * y), "2 * Y[i] * (sum(k) X[k])"),
        (bracket(x, ">", 0) * bracket(x, ">", 0), "[X[i] > 0]"),
        (bracket(x, ">", 0) ** 2 * y, "[X[i] > 0] * Y[i]"),
        (x / 0, "X[i] / 0"),
        (Position(R - R + 3) * x, "3 * X[i]"),
    ],
)
def test_identities(node: Expression, expected: str) -> None:
    assert str(simplify(node)) == expected


def test_a_label_names_one_class() -> None:
    assert str(simplify(sum_over([K], bracket(K, "==", LABEL[R]) * x))) == "X[i]"
    assert str(simplify(sum_over([K], bracket(K, "==", X[R])))) == "sum(k) [k == X[i]]"


# ---- names


def softmax_of(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    n, k = Index("n", scores.extents[0]), Index("k", scores.extents[1])
    e, s, p = Tensor("E"), Tensor("S"), Tensor("P")
    e[n, k] = exp(scores[n, k])
    s[n] = sum_over([k], e[n, k])
    p[n, k] = e[n, k] / s[n]
    return e, s, p


E, S, P = softmax_of(Tensor("X", (3, 5), role="input"))
KNOWN = Definitions.of([*E.definition, *S.definition, *P.definition])
N, Q = Index("n", 3), Index("q", 5)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (E[N, Q] / S[N], "P[n,q]"),
        (E[N, Q] * E[N, Q] / S[N], "E[n,q] * P[n,q]"),
        (E[N, Q] ** 2 / S[N] ** 2, "P[n,q]^2"),
        (E[N, Q] / S[N] ** 2, "P[n,q] / S[n]"),
        (sum_over([Q], E[N, Q]), "S[n]"),
        (sum_over([Q], E[N, Q]) / S[N], "1"),
        (sum_over([Q], P[N, Q]), "1"),
        (sum_over([N, Q], P[N, Q]), "3"),
    ],
)
def test_what_has_a_name_is_called_by_it(node: Expression, expected: str) -> None:
    assert str(simplify(node, KNOWN)) == expected


@pytest.mark.parametrize(
    "node",
    [
        sum_over([Index("q", 2)], E[N, Index("q", 2)]),  # a part of the sum
        sum_over([Q], P[N - 1, Q]),  # 0 where n - 1 is outside
        sum_over([Q], P[N, Q - 1]),
        sum_over([N], P[N, Q]),  # along the other dimension
        E[N, Q] / S[N + 1],
    ],
    ids=str,
)
def test_what_only_looks_like_it_is_not(node: Expression) -> None:
    assert str(simplify(node, KNOWN)) == str(node)


def test_a_quotient_that_covers_less_than_its_numerator_does_not_name_the_rest() -> None:
    n, k, q = Index("n", 3), Index("k", 2), Index("q", 5)
    part = Tensor("P")
    part[n, k] = E[n, k] / S[n]
    known = Definitions.of(part.definition)
    assert str(simplify(E[n, k] / S[n], known)) == "P[n,k]"
    assert str(simplify(E[n, q] / S[n], known)) == "E[n,q] / S[n]"


def test_distributions_add_up_to_one() -> None:
    t = Tensor("T", (3, 5), role="input", simplex=True)
    assert str(simplify(sum_over([Q], t[N, Q] * X[N]))) == "X[n]"
    assert str(simplify(sum_over([Q], t[N - 1, Q]))) == "sum(q) T[n-1,q]"
    assert str(simplify(sum_over([Index("q", 4)], t[N, Index("q", 4)]))) == "sum(q) T[n,q]"


def test_only_a_tensor_of_one_equation_is_a_name() -> None:
    n, k = Index("n", 3), Index("k", 5)
    half = Tensor("P", (3, 5))
    half.definition.append(Equation(half, (n + 0, k + 0), E[n, k] / S[n]))
    assert Definitions.of(half.definition).quotients == {E: half.definition}
    twice = Tensor("P", (3, 10))
    twice[n, 2 * k] = E[n, k] / S[n]
    assert Definitions.of(twice.definition).quotients == {}
