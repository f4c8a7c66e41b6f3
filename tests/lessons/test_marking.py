"""Marking: right, wrong, right given an earlier slip; tolerance from the digits; what is left open."""

from typing import Any

import pytest

from pellucid.languages import CODES, Prose
from pellucid.lessons.marking import judge, text, verdict
from pellucid.lessons.solution import parse

# O = [[10 - ..., ...]]: the convolution of the notes `exercise`, followed by the mean of its four numbers.
LAYERS = {
    "input": [[2, 3, 5], [3, 1, 5], [5, -1, -2]],
    "output_gradient": [1],
    "layer": [{"type": "conv2d", "weight": [[0, 3], [1, -2]]}, {"type": "globalavgpool2d"}],
}


def marks(**stated: Any) -> dict[str, str]:
    found = judge(parse({**LAYERS, "stated": stated}))
    return {finding.label: verdict(finding) for finding in found.findings}


def test_a_slip_and_what_follows_from_it() -> None:
    assert marks(conv1=[[10, 3], [10, 18]], gap1=["10.25"]) == {
        "conv1[0,0,0]": "right", "conv1[0,0,1]": "wrong", "conv1[0,1,0]": "right", "conv1[0,1,1]": "right",
        "gap1[0]": "slip",
    }  # fmt: skip
    assert marks(conv1=[[10, 6], [10, 18]], gap1=["10.25"])["gap1[0]"] == "wrong"


def test_a_slip_reaches_on_through_what_is_not_stated() -> None:
    # dO = 1/2 in place of 1/4 doubles every gradient after it.
    given = {"d conv1": [["1/2", "1/2"], ["1/2", "1/2"]], "d conv1.weight": [[18, "?"], ["", "1.5"]]}
    given["d conv1.weight"][0][0] = "4.5"  # type: ignore[index]
    assert marks(**given) | {} == {
        **{f"d conv1[0,{i},{j}]": "wrong" for i in (0, 1) for j in (0, 1)},
        "d conv1.weight[0,0,0,0]": "slip", "d conv1.weight[0,0,1,1]": "slip",
    }  # fmt: skip


def test_an_open_place_takes_the_number_computed_from_what_is_stated() -> None:
    # Only one of the four outputs is stated; the mean uses it and the true others.
    assert marks(**{"conv1[0,0,0]": 14, "gap1[0]": 12})["gap1[0]"] == "slip"


@pytest.mark.parametrize(
    ("written", "expected"),
    [("0.33", "right"), ("0.333", "right"), ("0.34", "wrong"), ("1/3", "right"), ("0.3", "right"), ("0.332", "wrong")],
)
def test_tolerance_comes_from_the_digits(written: str, expected: str) -> None:
    third = {"input": [1], "layer": [{"type": "linear", "weight": [["1/3"]]}], "stated": {"fc1": [written]}}
    assert [verdict(f) for f in judge(parse(third)).findings] == [expected]


def test_digits_that_are_cut_off_are_not_rounded() -> None:
    two_thirds = {"input": [2], "layer": [{"type": "linear", "weight": [["1/3"]]}]}
    found = {w: judge(parse({**two_thirds, "stated": {"fc1": [w]}})).all_right for w in ("0.67", "0.66")}
    assert found == {"0.67": True, "0.66": False}


def test_rounding_on_the_way_is_no_mistake() -> None:
    chain = {
        "input": [1],
        "layer": [{"type": "linear", "weight": [["1/3"]]}, {"type": "linear", "weight": [[1000]]}],
        "stated": {"fc1": ["0.33"], "fc2": ["330"]},
    }
    found = judge(parse(chain))
    assert [verdict(f) for f in found.findings] == ["right", "rounding"] and found.all_right


@pytest.mark.parametrize("code", CODES)
def test_it_is_said_in_every_language(code: str) -> None:
    found = judge(parse({**LAYERS, "title": "Mine", "stated": {"conv1[0,0,1]": 3, "gap1[0]": "10.25"}}))
    said = text(found, Prose(code, "check"))
    assert said.startswith("Mine\n") and "gap1[0]" in said and "{" not in said
    assert said.count("conv1[0,0,1]") >= 3  # itself, as a cause, as the first wrong number
    numbers = found.to_json(Prose(code, "findings"))["numbers"]
    assert [(n["name"], n["verdict"], n["true"]) for n in numbers] == [
        ("conv1[0,0,1]", "wrong", "6"), ("gap1[0]", "slip", "11"),
    ]  # fmt: skip
