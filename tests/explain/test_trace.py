"""Opening elements of small programs written out here, and what their text says."""

import math

import numpy as np
import pytest

from pellucid.explain.explanation import Explanation
from pellucid.explain.trace import Operation, Reduction, Trace, traced
from pellucid.notation import (
    Expression,
    Index,
    Tensor,
    bracket,
    expm1,
    log,
    max_over,
    sqrt,
    sum_over,
    uniform,
)
from pellucid.notation.expression import Const, Reduce
from tests.explain import printed

N, K, J = Index("n", 2), Index("k", 20), Index("j", 3)
X = Tensor("X", (2, 20), role="input", name="x")
VALUES = {"x": np.arange(40.0).reshape(2, 20) - 10}


def opened(value: Expression, coordinates: tuple[int, ...], *, full: bool = False) -> Trace:
    """The element of a tensor defined by one equation over n."""
    tensor = Tensor("Y", (2,), name="y")
    tensor[N] = value
    return traced(VALUES, tensor, coordinates, full=full)


def written(found: Trace, digits: int = 6) -> str:
    return Explanation(found).text(digits)


def test_of_a_long_maximum_the_largest_candidates_are_shown() -> None:
    found = opened(max_over([K], X[N, K] * -1), (1,))
    assert found.value == -10.0
    assert isinstance(found.tree, Reduction)
    assert (len(found.tree.terms), found.tree.folded, found.tree.remainder) == (8, 12, -18.0)
    lines = written(found).splitlines()
    assert "20 candidates; the 8 largest are shown" in lines
    assert any(line.split() == ["12", "others", "<=", "-18"] for line in lines)
    assert "  largest = -10" in lines


def test_the_place_of_a_maximum_is_the_first() -> None:
    constant = Reduce("argmax", (K,), bracket(X[N, K], ">", 5) * 1)
    found = opened(constant, (0,))
    assert found.value == 16
    assert "place of the first largest = 16" in written(found)


def test_one_term_left_over_is_one_other() -> None:
    thirteen = Index("k", 13)
    found = opened(sum_over([thirteen], X[N, thirteen] * bracket(thirteen + 0, "<", 9)), (0,))
    assert "5 others, 4 of them 0" in written(found)
    few = opened(max_over([thirteen], X[N, thirteen]), (0,), full=True)
    assert "other" not in written(few)


def test_a_sum_within_a_sum_is_opened_below_its_term() -> None:
    found = opened(sum_over([J], sqrt(sum_over([K], X[N, K] ** 2)) * (J + 1)), (0,))
    root = math.sqrt(sum(v**2 for v in range(-10, 10)))
    assert found.value == pytest.approx(6 * root, rel=1e-15)
    lines = written(found).splitlines()
    assert sum(line.startswith("    sum(k) x[0,k]^2") for line in lines) == 3
    assert "    20 terms; the 8 largest are shown" in lines


def test_arithmetic_is_printed_with_no_more_than_the_parentheses_it_needs() -> None:
    found = opened((X[N, 3] ** 2 - X[N, 4]) / (expm1(X[N, 4]) * 2), (0,))
    shown = printed.parse(written(found))
    assert shown.arithmetic == "((-7)^2 - (-6)) / (expm1(-6) * 2)"
    assert f"{printed.evaluate(shown.arithmetic):.6g}" == shown.result


def test_a_false_bracket_is_strongly_zero() -> None:
    found = opened(bracket(X[N, 10], ">", 0) * log(X[N, 10]), (0,))
    assert found.value == 0
    assert "[0 > 0] * log(0)" in written(found)


def test_an_infinite_sum_is_told_as_it_is() -> None:
    found = opened(sum_over([K], 1 / X[N, K] * X[N, K] * X[N, K]), (0,))
    assert isinstance(found.tree, Reduction)
    assert math.isnan(found.value)
    assert "sum = nan" in written(found)


def test_a_random_number_names_what_it_depends_on() -> None:
    seed = Tensor("seed", (), role="input", kind="int", name="seed")
    tensor = Tensor("Y", (2,), name="y")
    tensor[N] = uniform(seed[()], Const(3), Const(4), Expression.of(N)) * 1
    found = traced({"seed": np.array(5)}, tensor, (1,))
    assert isinstance(found.tree, Operation)
    assert 0 <= found.value < 1
    assert "uniform(5, 3, 4, 1)" in written(found)


def test_the_remainder_is_exact_where_terms_cancel() -> None:
    huge = {"x": np.array([[1e16, 1.0, -1e16, 1.0] * 5, [0.0] * 20])}
    tensor = Tensor("Y", (2,), name="y")
    tensor[N] = sum_over([K], X[N, K])
    found = traced(huge, tensor, (0,))
    assert found.value == 10.0
    assert isinstance(found.tree, Reduction)
    shown = sum(term.body.value for term in found.tree.terms)
    assert shown + found.tree.remainder == 10.0
