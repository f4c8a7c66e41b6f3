"""Every form of an explanation is read back, and what it shows comes out again."""

import json
import math
import re
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import pellucid as pc
from pellucid import languages
from pellucid.explain import explain
from pellucid.layers import Conv2d
from tests.explain import readers
from tests.explain.networks import Network
from tests.explain.tokens import NotNumbers, evaluate, sides

ASKED = [
    ("lenet5", "conv1[2,14,14]"),
    ("lenet5", "d conv1.weight[2,0,1,1]"),
    ("lenet5", "d act1[0,4,6]"),
    ("lenet5", "loss"),
    ("lenet5", "predict"),
    ("lenet5", "update conv2.weight[3,1,0,2]"),
    ("dilated", "pool1[0,0,0]"),
    ("dilated", "sigmoid1[1,2,2]"),
    ("residual", "d input[0,2,3]"),
    ("pooled", "dropout1[1,2,2]"),
    ("notes-mlp", "d fc1.weight[1,2]"),
]


def opened(network: str, what: str, lang: str = "en") -> pc.Explanation:
    return Network(network).explain(what, proof=True, depth=1, lang=lang)


def agree(value: float, shown: float) -> bool:
    """Whether a value, written with at least six digits, is what is shown."""
    digits = max(6, len(re.sub(r"^0\.0*|\.", "", f"{abs(shown)!r}".partition("e")[0]).rstrip("0")))
    return f"{value + 0.0:.{digits}g}" == f"{shown + 0.0:.{digits}g}"


def checked(equation: list[list[str]]) -> int:
    """Compare the neighbouring sides that are numbers with the last; how many there were."""
    try:
        shown = evaluate(equation[-1])
    except NotNumbers:
        return 0
    count = 0
    for side in equation[:-1]:
        try:
            value = evaluate(side)
        except NotNumbers:
            continue
        assert agree(value, shown), (side, shown)
        count += 1
    return count


@pytest.mark.parametrize(("network", "what"), ASKED)
def test_latex_is_read_back(network: str, what: str) -> None:
    source = opened(network, what).latex()
    count = 0
    for block in re.findall(r"\\begin\{align\*\}\n(.*?)\n\\end", source, re.DOTALL):
        rows = [row.split(" &= ", 1) for row in block.split(" \\\\\n")]
        count += sum(checked(sides(readers.latex(right))) for _, right in rows)
        if rows[-1][0] == r"\text{sum}":
            values = [evaluate(sides(readers.latex(right))[-1]) for _, right in rows]
            assert agree(math.fsum(values[:-1]), values[-1]), block
            count += 1
    assert count >= 1


@pytest.mark.parametrize(("network", "what"), ASKED)
def test_mathml_is_read_back(network: str, what: str) -> None:
    found = [ElementTree.fromstring(line) for line in opened(network, what).mathml().splitlines()]
    counts = [checked(sides(readers.mathml(element))) for element in found]
    assert sum(counts) >= (0 if what == "predict" else 1)
    assert all(element.get("alttext") for element in found)


@pytest.mark.parametrize("code", languages.CODES)
@pytest.mark.parametrize(("network", "what"), ASKED[:7])
def test_speech_is_understood(network: str, what: str, code: str) -> None:
    lines = opened(network, what, code).speech().splitlines()
    count = 0
    for line in lines:
        said = line.removesuffix(".").rpartition(": ")[2].partition(" (")[0]
        count += checked(sides(readers.speech(said, code)))
    assert count >= (0 if what == "predict" else 1)


@pytest.mark.parametrize(("network", "what"), ASKED)
def test_json_is_read_back(network: str, what: str) -> None:
    whole = json.loads(json.dumps(opened(network, what).json(), allow_nan=False))
    for opening in (whole, *whole["opened"]):
        if opening["result"] is not None:
            assert agrees_with(opening["result"], opening["shown"])
        sums = [*opening["sums"], *([whole["scatter"]] if opening is whole and whole["scatter"] else [])]
        assert all(_sum_is_right(total) for total in sums)
    for fact in whole["proof"].values():
        assert fact["expression"] is None or agrees_with(fact["expression"], fact["shown"])


def agrees_with(expression: dict[str, Any], shown: str) -> bool:
    """Whether an expression's value is what is shown for it; a random number is not drawn again here."""
    if "uniform" in json.dumps(expression):
        return True
    return agree(readers.tree(expression), float(shown))


def _sum_is_right(total: dict[str, Any]) -> bool:
    for term in total["terms"]:
        if term["expression"] is not None:
            assert agrees_with(term["expression"], term["shown"]), term
        assert all(_sum_is_right(inner) for inner in term["sums"])
    values = [float(term["shown"]) for term in total["terms"]]
    if total["kind"] == "sum":
        so_far = np.cumsum([term["value"] for term in total["terms"]])
        assert [term["partial_sum"]["value"] for term in total["terms"]] == pytest.approx(so_far.tolist(), rel=1e-9)
    if total["kind"] == "argmax":
        return values.index(max(values)) == total["value"]
    if total["kind"] == "max":
        return max(values) == float(total["shown"]) >= float(total["remainder"]["shown"] or 0)
    assert len(values) + total["folded"] == total["size"]
    return agree(math.fsum([*values, float(total["remainder"]["shown"])]), float(total["shown"]))


def test_fractions_are_exact_in_every_form() -> None:
    model = pc.Sequential([Conv2d(1, 1, 2)])
    model.load({"conv1.weight": np.array([[[[1 / 3, -2], [0.1, 4]]]]), "conv1.bias": np.array([0.5])})
    opened = explain(model, np.array([[[[1, 2], [3, 1 / 7]]]]), "conv1[0,0,0]", fractions=True)
    assert opened.value == Fraction(1, 3) - 4 + Fraction(3, 10) + Fraction(4, 7) + Fraction(1, 2)
    assert "= 1/7 * 4 " in str(opened)
    assert r"\frac{1}{7} \cdot 4 = \frac{4}{7}" in opened.latex()
    assert "<mfrac><mn>4</mn><mn>7</mn></mfrac>" in opened.mathml()
    assert "1 over 7 times 4 is equal to 4 over 7" in opened.speech()
    assert opened.json()["value"] == str(opened.value)


def test_what_is_not_rational_has_no_fraction() -> None:
    with pytest.raises(pc.errors.UsageError, match="the values of tanh are not rational"):
        Network("lenet5").explain("act1[0,0,0]", fractions=True)


def test_colours_and_pictures_are_for_terminals() -> None:
    opened = Network("lenet5").explain("conv2[3,4,5]")
    bare = opened.terminal(colours=False)
    assert bare.startswith(opened.text()) and "\x1b" not in bare
    assert "receptive field on input, channel 0: rows 6 to 19, columns 8 to 21" in bare
    assert bare.count("#" * 14) == 7  # 14 rows and columns, two rows in each line
    assert re.sub(r"\x1b\[[\d;]*m", "", opened.terminal()).startswith(opened.text())


def test_prose_is_in_the_language_asked_for_and_mathematics_stays() -> None:
    for code, label in (("tr", "denklem"), ("fa", "معادله"), ("ko", "식")):
        text = str(Network("lenet5").explain("conv2[3,4,5]", lang=code))
        assert label in text and "Y[n,o,i,j] = sum(c,u,v)" in text
    text = str(Network("lenet5").explain("conv2[3,4,5]", lang="fa", digit_style="native"))
    assert "۱۵۰ جمله" in text and "conv2[0,3,4,5] = " in text
