"""The usual slips are recognised, and not seen where they are not."""

import math

import pytest

from pellucid.lessons.arithmetic import evaluate
from pellucid.lessons.printed import read
from pellucid.lessons.slips import Candidate, candidates, explain


@pytest.mark.parametrize(
    ("printed", "meant", "slips"),
    [
        ("-1.4755", 1.47558, ("sign",)),
        ("0.4078", 4.0781, ("decimal point",)),
        ("0.569858", 0.5689582, ("digits exchanged",)),
        ("0.16886", 0.168962, ("one digit",)),
        ("6170", 6070, ("one digit",)),
        ("0.803813", 0.8003813, ("digit missing",)),
        ("0.2005849", 0.205849, ("digit too many",)),
        ("13/4", 0.75, ("digit too many",)),
        ("-1/4", 0.25, ("sign",)),
        ("0.15911", 0.1590657, ()),  # 0.1591 would only be the same, less precisely
        ("4096", 25088, ()),
        ("0.3685", 0.249749, ()),
        ("-1.0810", -1.0808, ()),  # off by two units, no digit's slip
        ("12", 14, ()),  # too few digits to tell one slip from another
        ("7", 17, ()),
        ("2.x", 3.25, ()),
    ],
)
def test_slips_of_the_pen(printed: str, meant: float, slips: tuple[str, ...]) -> None:
    assert explain(read(printed), [Candidate(meant)]) == slips


@pytest.mark.parametrize(
    ("printed", "expression", "slips"),
    [
        ("0.22753", "-log(0.5922)", ("base-10 logarithm",)),
        ("0.569858", "-log(0.2698)", ("base-10 logarithm", "digits exchanged")),
        ("0.2698", "exp(1.8658) / (exp(1.8658) + exp(2.2292) + exp(2.8204))", ("exponential left out",)),
        ("-0.0576", "-1.4755 * 0.204 * 0.938", ("factor used twice",)),
        ("0.16", "-log(0.5922)", ()),
        ("-0.417", "-1.4755 * 0.2040 * 0.7", ()),  # two slips at once need more digits to be believed
    ],
)
def test_slips_in_the_calculation(printed: str, expression: str, slips: tuple[str, ...]) -> None:
    meant = candidates(expression, lambda text, functions: evaluate(text, functions=functions))
    assert explain(read(printed), meant) == slips


def test_a_mistaken_calculation_without_a_value_is_left_out() -> None:
    found = candidates("1 / exp(0)", lambda text, functions: evaluate(text, functions=functions))
    assert [(candidate.value, candidate.slips) for candidate in found] == [(1.0, ())]


def test_every_factor_is_tried_twice() -> None:
    found = candidates("2 * 3 * 5", lambda text, functions: evaluate(text, functions=functions))
    assert [candidate.value for candidate in found] == [30, 60, 90, 150]
    assert math.prod([2, 3, 5]) == found[0].value
