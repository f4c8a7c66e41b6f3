"""Indices and affine expressions: their arithmetic is that of the numbers they stand for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import NotationError
from pellucid.notation import Affine, Index, Tensor, indices

R, J, K = Index("i", 4), Index("j", 3), Index("k", 5)
coefficients = st.integers(-4, 4)
affines = st.builds(
    lambda a, b, c, d: Affine.combine(((R, a), (J, b), (K, c)), d),
    coefficients, coefficients, coefficients, st.integers(-9, 9),
)  # fmt: skip
points = st.fixed_dictionaries({R: st.integers(0, 3), J: st.integers(0, 2), K: st.integers(0, 4)})


@settings(derandomize=True)
@given(affines, affines, st.integers(-5, 5), points)
def test_arithmetic_is_that_of_the_values(a: Affine, b: Affine, factor: int, point: dict[Index, int]) -> None:
    x, y = a.evaluate(point), b.evaluate(point)
    assert (a + b).evaluate(point) == x + y
    assert (a - b).evaluate(point) == x - y
    assert (a * factor).evaluate(point) == (factor * a).evaluate(point) == x * factor
    assert (-a).evaluate(point) == -x
    assert (7 - a).evaluate(point) == 7 - x
    assert (a + R - 1).evaluate(point) == x + point[R] - 1


@settings(derandomize=True)
@given(affines, affines, points)
def test_substitution_is_that_of_the_values(a: Affine, b: Affine, point: dict[Index, int]) -> None:
    assert a.substitute({J: b}).evaluate(point) == a.evaluate({**point, J: b.evaluate(point)})


@settings(derandomize=True)
@given(affines)
def test_bounds_are_attained_and_never_passed(a: Affine) -> None:
    values = [a.evaluate({R: i, J: j, K: k}) for i in range(4) for j in range(3) for k in range(5)]
    assert a.bounds == (min(values), max(values))


@settings(derandomize=True)
@given(affines, affines)
def test_equal_sums_are_equal_however_they_came_about(a: Affine, b: Affine) -> None:
    def parts(x: Affine) -> tuple[frozenset[tuple[Index, int]], int]:
        return frozenset(x.terms), x.constant

    assert parts(a + b) == parts(b + a)
    assert (a - a) == Affine()
    assert all(c for _, c in (a + b).terms)


def test_an_index_is_its_name_and_extent() -> None:
    assert Index("i", 3) == Index("i", 3)
    assert Index("i", 3) != Index("i", 4)
    assert Index("i", 3) != Index("i")
    assert indices("n c") == (Index("n"), Index("c"))


def test_single() -> None:
    assert (R + 0).single == R
    assert (R + J - J).single == R
    for other in (R + 1, R * 2, -R, R + J, Affine.of(0)):
        assert other.single is None


@pytest.mark.parametrize(
    ("affine", "text"),
    [
        (2 * R + J - 1, "2*i+j-1"),
        (-R, "-i"),
        (3 - R, "-i+3"),
        (R - 2 * J, "i-2*j"),
        (-2 * R + 5, "-2*i+5"),
        (Affine.of(0), "0"),
        (R - R - 4, "-4"),
        (R + 0, "i"),
    ],
)
def test_text(affine: Affine, text: str) -> None:
    assert str(affine) == text


def test_an_extent_that_is_not_known_is_not_guessed() -> None:
    with pytest.raises(NotationError, match="index q: its extent is not known yet"):
        _ = (Index("q") + 1).bounds


@pytest.mark.parametrize("factor", [J, J + 1, 0.5])
@pytest.mark.parametrize("affine", [R, R + 1])
def test_what_is_not_affine_is_refused(affine: Index | Affine, factor: object) -> None:
    with pytest.raises(NotationError, match=r"i(\+1)? can be multiplied by whole numbers only"):
        affine * factor  # type: ignore[operator]
    with pytest.raises(NotationError, match=r"i(\+1)? can be multiplied by whole numbers only|^j"):
        factor * affine  # type: ignore[operator]


@pytest.mark.parametrize("address", [0.5, "i", None, (1, 2)])
def test_a_tensor_is_addressed_by_indices_and_integers(address: object) -> None:
    x = Tensor("X", (3,), role="input")
    with pytest.raises(NotationError, match="a tensor is addressed by indices and integers, not by"):
        x[(address,)]  # type: ignore[index]
    with pytest.raises(NotationError, match=r"a tensor is addressed by indices and integers, not by X\[i\]$"):
        x[x[R]]  # type: ignore[index]


def test_an_index_beside_an_access_is_a_number() -> None:
    x = Tensor("X", (4,), role="input")
    assert [str(e) for e in (R * x[R], x[R] * R, R + x[R], R - x[R], (2 * R + 1) * x[R])] == [
        "i * X[i]", "X[i] * i", "i + X[i]", "i - X[i]", "(2*i+1) * X[i]",
    ]  # fmt: skip
