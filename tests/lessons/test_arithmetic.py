"""Printed arithmetic is evaluated, and nothing else is."""

import math

import numpy as np
import pytest

from pellucid.errors import DataError
from pellucid.lessons.arithmetic import FUNCTIONS, evaluate, names_in


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1 - (0.01 * -0.5531)", 0.1 + 0.005531),
        ("(28 - 3 + 1) / 1 + 1", 27),
        ("-log(0.5)", math.log(2)),
        ("exp(1) / (exp(1) + exp(2))", 1 / (1 + math.e)),
        ("2^3 + +1", 9),
        ("2**3", 8),
        ("max(0, -4)", 0),
        ("sigmoid(0)", 0.5),
        ("sqrt(2)", math.sqrt(2)),
    ],
)
def test_arithmetic(text: str, value: float) -> None:
    assert evaluate(text) == pytest.approx(value, rel=1e-15)


def test_elements_are_counted_from_one_and_letters_stand_for_numbers() -> None:
    tensors = {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "rate": np.array(0.5)}
    assert evaluate("w[1,2] + w[2,1]", tensors) == 5
    assert evaluate("rate * w[a,b] + a", tensors, {"a": 2, "b": 1}) == 3.5


def test_another_meaning_of_a_function_can_be_tried() -> None:
    assert evaluate("log(100)", functions={**FUNCTIONS, "log": math.log10}) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 +", "not arithmetic"),
        ("1 / 0", "division by zero"),
        ("log(0)", "math domain error"),
        ("nothing[1]", "'nothing' is not known here"),
        ("x[3]", r"x\[3\] lies outside x, which has the shape \(2,\)"),
        ("x[0]", r"x\[0\] lies outside"),
        ("x[1,1]", "lies outside"),
        ("open('file')", "'open' is not known here"),
        ("x.shape", "not arithmetic"),
        ("[1]", "not arithmetic"),
        ("'text'", "not arithmetic"),
        ("1 if 1 else 2", "not arithmetic"),
        ("max(1, key=2)", "not arithmetic"),
        ("(-1)^0.5", "complex"),
        ("7 % 2", "not arithmetic"),
    ],
)
def test_what_has_no_value_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as refused:
        evaluate(text, {"x": np.array([1.0, 2.0])})
    assert f'"{text}"' in str(refused.value)


def test_the_names_an_expression_reads() -> None:
    assert names_in("w[a,b] - (rate * exp(dw[a,b]))", ["a", "b"]) == {"w", "rate", "dw"}
