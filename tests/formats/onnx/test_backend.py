"""ONNX's own cases: every claimed operator passes all of them on both engines, but for those that are published."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx")

from pellucid.formats.onnx.folding import FOLDED  # noqa: E402
from pellucid.formats.onnx.operators import RULES  # noqa: E402
from tools import onnx_operators  # noqa: E402

PINNED = "1.23.2"
"""The version whose cases docs/onnx.md counts; pyproject.toml installs it for the tests."""


@pytest.mark.parametrize("operator", sorted({**RULES, **FOLDED}))
def test_the_cases_of_an_operator(operator: str, engine: str) -> None:
    ran = [case for case in onnx_operators.cases()[operator] if onnx_operators.reason_to_skip(case) is None]
    assert ran, f"no case judges {operator}: it must not be claimed"
    for case in ran:
        onnx_operators.run(case, engine)


@pytest.mark.skipif(onnx.__version__ != PINNED, reason=f"the page counts the cases of onnx {PINNED}")
def test_the_published_lists_are_true() -> None:
    page = onnx_operators.PAGE.read_text(encoding="utf-8")
    assert f"{onnx_operators.BEGIN}\n\n{onnx_operators.lists()}\n{onnx_operators.END}" in page, (
        "docs/onnx.md is out of date: run python tools/onnx_operators.py"
    )
