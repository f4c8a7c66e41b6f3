"""Formulas as text and as LaTeX: parentheses where they are needed and nowhere else."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from pellucid.notation import Expression, Index, Tensor, bracket, exp, max_over, maximum, sqrt, sum_over, tanh
from pellucid.notation.expression import Const
from pellucid.notation.printing import latex, latex_equation, text
from tests.notation.interpreter import evaluate

R, K = Index("i", 3), Index("k", 3)
X, Y, S = Tensor("X", (3,), role="input"), Tensor("Y", (3,), role="input"), Tensor("s", (), role="input")
DX, DS = Tensor("dX", (3,), role="input"), Tensor("ds", (), role="input")
x, y, s = X[R], Y[R], S[()]

CASES = [
    (x + y * 2, "X[i] + Y[i] * 2", r"X_{i} + Y_{i} \, 2"),
    ((x + y) * 2, "(X[i] + Y[i]) * 2", r"\left(X_{i} + Y_{i}\right) \, 2"),
    (x - (y - s), "X[i] - (Y[i] - s)", r"X_{i} - \left(Y_{i} - s\right)"),
    (x - (-y), "X[i] - (-Y[i])", r"X_{i} - \left(-Y_{i}\right)"),
    (-x - y, "-X[i] - Y[i]", r"-X_{i} - Y_{i}"),
    (-(x + y), "-(X[i] + Y[i])", r"-\left(X_{i} + Y_{i}\right)"),
    (-(x * y), "-X[i] * Y[i]", r"-X_{i} \, Y_{i}"),
    (-x * s, "-X[i] * s", r"-X_{i} \, s"),
    (x * -y, "X[i] * (-Y[i])", r"X_{i} \, \left(-Y_{i}\right)"),
    (x + y * -2, "X[i] + Y[i] * (-2)", r"X_{i} + Y_{i} \, \left(-2\right)"),
    (x + Const(-2) * y, "X[i] - 2 * Y[i]", r"X_{i} - 2 \, Y_{i}"),
    (x / y / s, "X[i] / Y[i] / s", r"\frac{\frac{X_{i}}{Y_{i}}}{s}"),
    (x / (y * s), "X[i] / (Y[i] * s)", r"\frac{X_{i}}{Y_{i} \, s}"),
    (x / (y / s), "X[i] / (Y[i] / s)", r"\frac{X_{i}}{\frac{Y_{i}}{s}}"),
    (x * (y / s), "X[i] * (Y[i] / s)", r"X_{i} \, \frac{Y_{i}}{s}"),
    (-x / y, "-X[i] / Y[i]", r"-\frac{X_{i}}{Y_{i}}"),
    (x**2, "X[i]^2", r"X_{i}^{2}"),
    ((-x) ** 2, "(-X[i])^2", r"\left(-X_{i}\right)^{2}"),
    (-(x**2), "-X[i]^2", r"-X_{i}^{2}"),
    ((x / y) ** 2, "(X[i] / Y[i])^2", r"\left(\frac{X_{i}}{Y_{i}}\right)^{2}"),
    (x**-1, "X[i]^(-1)", r"X_{i}^{-1}"),
    (x ** Fraction(1, 2), "X[i]^(1/2)", r"X_{i}^{\tfrac{1}{2}}"),
    (x * Fraction(1, 3), "X[i] * (1/3)", r"X_{i} \, \tfrac{1}{3}"),
    (x * 0.1, "X[i] * 0.1", r"X_{i} \, 0.1"),
    (x + 1e-8, "X[i] + 1e-08", r"X_{i} + 1 \cdot 10^{-8}"),
    (sum_over([K], X[K] + Y[K]), "sum(k) (X[k] + Y[k])", r"\sum_{k} \left(X_{k} + Y_{k}\right)"),
    (sum_over([K], X[K]) + y, "sum(k) X[k] + Y[i]", r"\sum_{k} X_{k} + Y_{i}"),
    (y - sum_over([K], X[K]), "Y[i] - sum(k) X[k]", r"Y_{i} - \sum_{k} X_{k}"),
    (y * sum_over([K], X[K]), "Y[i] * (sum(k) X[k])", r"Y_{i} \, \left(\sum_{k} X_{k}\right)"),
    (sum_over([K], X[K]) ** 2, "(sum(k) X[k])^2", r"\left(\sum_{k} X_{k}\right)^{2}"),
    (1 / sum_over([K], X[K]), "1 / (sum(k) X[k])", r"\frac{1}{\sum_{k} X_{k}}"),
    (max_over([K], X[K]) * 2, "(max(k) X[k]) * 2", r"\left(\max_{k} X_{k}\right) \, 2"),
    (max_over([K], X[K] * 2), "max(k) X[k] * 2", r"\max_{k} X_{k} \, 2"),
    (max_over([K], X[K]) ** 2, "(max(k) X[k])^2", r"\left(\max_{k} X_{k}\right)^{2}"),
    (max_over([K], X[K]) / 2, "(max(k) X[k]) / 2", r"\frac{\max_{k} X_{k}}{2}"),
    (y - max_over([K], X[K]), "Y[i] - max(k) X[k]", r"Y_{i} - \max_{k} X_{k}"),
    (-max_over([K], X[K]), "-max(k) X[k]", r"-\max_{k} X_{k}"),
    (max_over([K], -X[K]), "max(k) (-X[k])", r"\max_{k} \left(-X_{k}\right)"),
    (exp(x - y), "exp(X[i] - Y[i])", r"\exp\left(X_{i} - Y_{i}\right)"),
    (tanh(x) ** 2, "tanh(X[i])^2", r"\tanh\left(X_{i}\right)^{2}"),
    (sqrt(x + 1), "sqrt(X[i] + 1)", r"\sqrt{X_{i} + 1}"),
    (maximum(x, 0), "maximum(X[i], 0)", r"\max\left(X_{i}, 0\right)"),
    (bracket(x, ">=", 0) * y, "[X[i] >= 0] * Y[i]", r"\left[X_{i} \geq 0\right] \, Y_{i}"),
    (bracket(2 * R, "!=", K - 1), "[2*i != k-1]", r"\left[2i \neq k-1\right]"),
    (X[2 * R - 1] * (R + 1), "X[2*i-1] * (i+1)", r"X_{2i-1} \, \left(i+1\right)"),
    (DX[R] * y, "dX[i] * Y[i]", r"\frac{\partial L}{\partial X_{i}} \, Y_{i}"),
    (DX[R] ** 2, "dX[i]^2", r"\left(\frac{\partial L}{\partial X_{i}}\right)^{2}"),
    (DS[()] ** 2, "ds^2", r"\left(\frac{\partial L}{\partial s}\right)^{2}"),
]


@pytest.mark.parametrize(("node", "plain", "typeset"), CASES, ids=[plain for _, plain, _ in CASES])
def test_formulas(node: Expression, plain: str, typeset: str) -> None:
    assert text(node) == plain
    assert latex(node) == typeset


def test_equations() -> None:
    w = Tensor("V'", (3,))
    w[R] = x * 2
    assert str(w.definition[0]) == "V'[i] = X[i] * 2"
    assert latex_equation(w.definition[0]) == r"V'_{i} = X_{i} \, 2"


def test_names_of_several_letters() -> None:
    rate, part = Tensor("lr", (), role="input"), Tensor("dX_1", (3,), role="input")
    assert latex(rate[()]) == r"\mathit{lr}"
    assert latex(part[R]) == r"\frac{\partial L}{\partial \mathit{X\_1}_{i}}"


def test_every_case_is_another_formula() -> None:
    """Two different expressions that print alike would teach something wrong."""
    assert len({plain for _, plain, _ in CASES}) == len({typeset for _, _, typeset in CASES}) == len(CASES)


NUMBERS = st.sampled_from([-2, -1, 2, 3])


def leaves() -> st.SearchStrategy[Expression]:
    return st.one_of(st.sampled_from([x, y, s]), NUMBERS.map(Const))


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] - p[1]),
        pairs.map(lambda p: p[0] * p[1]),
        pairs.map(lambda p: p[0] / p[1]),
        inner.map(lambda e: -e),
        inner.map(lambda e: e**2),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.recursive(leaves(), branches, max_leaves=8))
def test_the_printed_text_means_the_expression(node: Expression) -> None:
    """Python reads the printed text, with its usual precedence, as the value of the tree."""
    arrays = {"X": np.array([1.25, 0, 0]), "Y": np.array([-0.75, 0, 0]), "s": np.array(2.5)}
    with np.errstate(all="ignore"):
        expected = evaluate(node, {R: 0}, arrays, np.float64)
        python = text(node).replace("^", "**").replace("[i]", "[0]")
        names = {"X": arrays["X"], "Y": arrays["Y"], "s": np.float64(2.5), "__builtins__": {}}
        try:
            found = eval(python, names) if any(c in python for c in "XYs") else eval(python)
        except ZeroDivisionError:  # Python's own numbers refuse what is infinity for an equation
            reject()
    if np.isfinite(expected):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
