"""Printed numbers: what their digits promise, and when a computed value keeps the promise."""

import pytest

from pellucid.errors import DataError
from pellucid.lessons.printed import agreement, read, readings, show


@pytest.mark.parametrize(
    ("text", "value", "place", "figures"),
    [
        ("0.938", 0.938, 0.001, 3),
        ("-1.0810", -1.081, 0.0001, 5),
        ("+0.22753", 0.22753, 0.00001, 5),
        ("400", 400, 1, 3),
        ("−3", -3, 1, 1),
        ("9/4", 2.25, 0, 2),
        ("-1/2", -0.5, 0, 2),
        ("4*5*5", 100, 0, 3),
        ("sqrt(6 / (96 + 50))", 0.20272, 0, 5),
    ],
)
def test_a_printed_number_is_read_with_its_place(text: str, value: float, place: float, figures: int) -> None:
    printed = read(text)
    assert printed.value == pytest.approx(value, abs=1e-5)
    assert printed.place == pytest.approx(place)
    assert printed.figures == figures
    assert printed.text == text


def test_a_unit_word_scales_value_and_place() -> None:
    printed = read("138", scale=1_000_000)
    assert (printed.value, printed.place) == (138_000_000, 1_000_000)


def test_trailing_zeros_of_an_approximate_number_only_hold_the_place() -> None:
    assert read("60", scale=1000, approximate=True).place == 10_000
    assert read("60", scale=1000).place == 1000
    assert read("138", approximate=True).place == 1


@pytest.mark.parametrize("text", ["", "x", "1,5", "2.y", "1//2", "__import__('os')", "1/0"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"must be a printed number|no value"):
        read(text)


@pytest.mark.parametrize(
    ("text", "true", "expected"),
    [
        ("0.94", 0.94, "exact"),
        ("0.94", 0.9404, "rounded"),
        ("0.94", 0.945, "rounded"),  # half a unit in the last place
        ("0.94", 0.9451, "truncated"),
        ("0.94", 0.9499, "truncated"),
        ("0.94", 0.9501, None),
        ("0.94", 0.9349, None),
        ("-0.94", -0.9499, "truncated"),
        ("-0.94", -0.9349, None),
        ("-0.94", 0.94, None),
        ("0.9400", 0.9404, None),  # more digits promise more
        ("12", 28, None),
        ("9/4", 2.25, "exact"),
        ("9/4", 2.2500001, None),  # a fraction promises everything
        ("0", 0.0, "exact"),
        ("2.x", 2.25, "truncated"),
        ("2.x", 2.0, None),
        ("2.x", 3.0, None),
        ("2.x", -2.25, None),
        ("0.938", float("nan"), None),
        ("0.938", float("inf"), None),
    ],
)
def test_agreement_depends_on_the_digits_printed(text: str, true: float, expected: str | None) -> None:
    assert agreement(read(text), true) == expected


def test_a_rounding_in_float64_does_not_decide_a_digit() -> None:
    assert agreement(read("0.3"), 0.1 + 0.2) == "exact"
    assert agreement(read("1.35"), 1.3499999999999999) == "exact"


def test_an_unreadable_sign_gives_every_reading() -> None:
    assert readings("9/Σ", {"Σ": ["4", "2"]}) == ["9/4", "9/2"]
    assert readings("ΣΣ", {"Σ": ["4", "2"]}) == ["44", "42", "24", "22"]
    assert readings("9/4", {"Σ": ["4"]}) == ["9/4"]


@pytest.mark.parametrize(
    ("value", "beside", "expected"),
    [
        (0.938831, "0.938", "0.93883"),
        (28.0, "12", "28"),
        (27.5, "12", "27.50"),
        (3.5, "13/4", "7/2"),
        (0.20272, "1/5", "0.20272"),
        (60_965_224.0, "60", "60965224"),
    ],
)
def test_a_value_is_shown_to_fit_what_it_stands_beside(value: float, beside: str, expected: str) -> None:
    assert show(value, read(beside)) == expected
