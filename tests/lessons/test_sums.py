"""Sums of products: reading them, comparing them, asking a computation for them."""

import numpy as np
import pytest

from pellucid.errors import DataError
from pellucid.lessons.sums import Sum, bilinear, linear, parse


def test_order_of_terms_and_factors_does_not_matter() -> None:
    assert parse("F11*X11 + F12*X12") == parse("X12*F12 + X11*F11")
    assert hash(parse("a*b")) == hash(parse("b*a"))
    assert parse("a + b") != parse("a + c")
    assert parse("a") != "a"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("x11", {("x11",): 1.0}),
        ("-x11 + 2*x12", {("x11",): -1.0, ("x12",): 2.0}),
        ("a*b - a*b", {}),
        ("a + a", {("a",): 2.0}),
        ("3", {(): 3.0}),
        ("0.5*dO_1*X1", {("X1", "dO_1"): 0.5}),
    ],
)
def test_reading(text: str, terms: dict[tuple[str, ...], float]) -> None:
    assert dict(parse(text).terms) == terms


@pytest.mark.parametrize("text", ["X11 *", "a/b", "a*(b)", "2x"])
def test_what_is_no_sum_of_products_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="must be a name"):
        parse(text)


@pytest.mark.parametrize("text", ["a*b + c", "-a + 2*b", "3 - a", "0", "0.5*a*b"])
def test_writing_and_reading_again(text: str) -> None:
    total = parse(text) if text != "0" else Sum({})
    assert str(total) == text
    assert parse(str(total)) == total


def test_difference_names_what_is_lacking_and_what_is_too_much() -> None:
    lacking, excess = parse("a + b + 2*c").difference(parse("a + c + d"))
    assert (str(lacking), str(excess)) == ("c + d", "b + 2*c")


def test_a_linear_function_shows_its_terms() -> None:
    matrix = np.array([[1.0, 0.0, -2.0], [0.0, 0.0, 0.0]])
    assert linear(lambda x: matrix @ x, "x", (3,)) == [parse("x1 - 2*x3"), Sum({})]


def test_a_bilinear_function_shows_its_terms() -> None:
    found = bilinear(lambda a, b: np.outer(a, b), ("a", (2,)), ("b", (2,)))
    assert found == [parse("a1*b1"), parse("a1*b2"), parse("a2*b1"), parse("a2*b2")]
