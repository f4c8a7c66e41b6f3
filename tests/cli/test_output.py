"""Results and messages, and the form of JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from pellucid.cli.output import json_result, message, table


def test_json_of_everything_a_report_may_hold(capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        1: np.float32(0.5),
        "array": np.arange(3),
        "not a number": [float("nan"), np.inf],
        "path": Path("a/b"),
        "text": "sınıf 猫",
        "flag": np.True_,
        "nothing": None,
    }
    json_result(value)
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "1": 0.5,
        "array": [0, 1, 2],
        "not a number": [None, None],
        "path": "a/b",
        "text": "sınıf 猫",
        "flag": True,
        "nothing": None,
    }
    assert "sınıf 猫" in out
    assert err == ""


def test_messages_never_mix_with_results(capsys: pytest.CaptureFixture[str]) -> None:
    message("working")
    assert capsys.readouterr() == ("", "working\n")


def test_a_table_aligns_numbers_to_the_right() -> None:
    assert table([["a", "1,000", "x"], ["bcd", 20, ""]], ["name", "size", "note"]) == (
        "name   size  note\n"
        "a     1,000  x\n"
        "bcd      20"
    )  # fmt: skip
