"""Verdicts and first causes, on invented examples whose slips are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pellucid.errors import DataError
from pellucid.lessons.examination import Examination
from pellucid.lessons.findings import Finding, following
from pellucid.lessons.items import Item, Notes
from pellucid.lessons.sums import Sum, parse
from pellucid.lessons.workings import Array, Comparison, Step, Workings


def item(name: str, *stated: str, **details: Any) -> Item:
    shape = details.pop("shape", (len(stated),) if len(stated) > 1 else ())
    return Item(id=name, place="page 1", what=name, stated=stated, shape=shape, **details)


def workings(steps: list[Callable[..., Any]], *items: Item) -> Workings:
    return Workings(Notes("invented", "en", "", items), steps)


def check(steps: list[Step], *items: Item) -> dict[str, Finding]:
    findings = Examination(workings(steps, *items)).findings()
    return {finding.id.removeprefix("invented."): finding for finding in findings}


def total(x: Array) -> float:
    return float(x.sum())


def double(total: float) -> float:
    return 2 * total


def after(double: float) -> float:
    return double + 1


X = item("x", "2", "3", given=True)


def test_all_right() -> None:
    found = check([total, double, after], X, item("total", "5"), item("double", "10"), item("after", "11"))
    assert {(f.verdict, f.reason, f.first_cause, f.text) for f in found.values()} == {
        ("agrees", "exact", None, "agrees")
    }


def test_the_first_wrong_number_and_what_follows_from_it() -> None:
    found = check([total, double, after], X, item("total", "6"), item("double", "12"), item("after", "13"))
    assert (found["total"].verdict, found["total"].causes) == ("deviates", ("invented.total",))
    for name, true in (("double", "10"), ("after", "11")):
        assert found[name].verdict == "follows from an earlier slip"
        assert found[name].reason == "earlier slip"
        assert found[name].first_cause == "invented.total"
        assert found[name].true == true
        assert found[name].given == found[name].stated
    assert "right for the numbers printed before it; first cause: total" in found["after"].text
    followers = following(found.values(), "invented.total")
    assert [f.id for f in followers] == ["invented.double", "invented.after"]


def test_a_second_slip_is_told_from_the_first() -> None:
    found = check([total, double, after], X, item("total", "6"), item("double", "13"), item("after", "14"))
    assert found["double"].causes == ("invented.double",)
    assert "the numbers printed before it give 12" in found["double"].text
    assert found["after"].causes == ("invented.double",)


def test_a_slip_that_is_corrected_later_has_no_followers() -> None:
    found = check([total, double, after], X, item("total", "6"), item("double", "10"), item("after", "11"))
    assert [f.verdict for f in found.values()] == ["deviates", "agrees", "agrees"]


def test_only_the_elements_that_a_slip_reaches_follow_from_it() -> None:
    def squares(x: Array) -> Array:
        return x**2

    def sums(squares: Array) -> Array:
        return np.array([squares[0] + squares[1], squares[1] + squares[2], squares[2]])

    found = check(
        [squares, sums],
        item("x", "1", "2", "3", given=True),
        item("squares", "2", "4", "8"),
        item("sums", "6", "12", "8"),
    )
    assert [found[f"squares[{k}]"].verdict for k in (1, 2, 3)] == ["deviates", "agrees", "deviates"]
    assert [found[f"sums[{k}]"].causes for k in (1, 2, 3)] == [
        ("invented.squares[1]",),
        ("invented.squares[3]",),
        ("invented.squares[3]",),
    ]


def test_several_causes_stand_in_the_order_of_the_notes() -> None:
    def a(x: Array) -> float:
        return float(x[0])

    def b(x: Array) -> float:
        return float(x[1])

    def both(b: float, a: float) -> float:
        return 10 * a + b

    found = check([a, b, both], X, item("a", "7"), item("b", "9"), item("both", "79"))
    assert found["both"].causes == ("invented.a", "invented.b")


def test_rounding_that_is_carried_on_is_no_slip() -> None:
    def third(x: Array) -> float:
        return float(x[0] / x[1])

    def thousand(third: float) -> float:
        return 1000 * third

    found = check([third, thousand], X, item("third", "0.67"), item("thousand", "670"))
    assert (found["third"].verdict, found["third"].reason) == ("agrees", "rounded")
    assert found["thousand"].verdict == "follows from an earlier slip"
    assert found["thousand"].reason == "earlier rounding"
    assert found["thousand"].first_cause == "invented.third"
    assert "rounded numbers printed before it: third" in found["thousand"].text


def test_truncation_is_counted_apart() -> None:
    def third(x: Array) -> float:
        return float(x[0] / x[1])

    found = check([third], X, item("third", "0.66"))
    assert (found["third"].verdict, found["third"].reason) == ("agrees", "truncated")
    assert found["third"].text == "agrees (truncated)"


def test_steps_that_the_notes_leave_out_hand_causes_on() -> None:
    def hidden(total: float) -> float:
        return total + 1

    def end(hidden: float) -> float:
        return 3 * hidden

    found = check([total, hidden, end], X, item("total", "6"), item("end", "21"))
    assert found.keys() == {"total", "end"}
    assert found["end"].causes == ("invented.total",)


def test_a_wrong_formula_is_found_and_blamed() -> None:
    def mean(x: Array) -> float:
        return float(x.mean())

    found = check([mean], X, item("mean", "5", formula=("x[1] + x[2]",)))
    assert (found["mean.formula"].verdict, found["mean.formula"].reason) == ("deviates", "formula")
    assert found["mean.formula"].text == "wrong: for mean it gives 5 in place of 2.5"
    assert (found["mean"].verdict, found["mean"].reason) == ("deviates", "formula")
    assert found["mean"].first_cause == "invented.mean.formula"


def test_what_follows_from_a_wrong_formula_names_the_formula() -> None:
    def mean(x: Array) -> float:
        return float(x.mean())

    def twice(mean: float) -> float:
        return 2 * mean

    found = check([mean, twice], X, item("mean", "5", formula=("x[1] + x[2]",)), item("twice", "10"))
    assert found["twice"].causes == ("invented.mean.formula",)


def test_a_formula_for_every_element_is_checked_by_itself() -> None:
    def squares(x: Array) -> Array:
        return x**2

    found = check([squares], X, item("squares", "4", "9", formula=("x[1]^2", "x[1]^2")))
    assert found["squares.formula[1]"].verdict == "agrees"
    assert found["squares.formula[2]"].verdict == "deviates"
    assert found["squares[2]"].verdict == "agrees"


def test_one_formula_with_letters_stands_for_all_elements() -> None:
    def table(x: Array) -> Array:
        return np.outer(x, x) + np.eye(2)

    stated = item("table", "5", "6", "6", "10", shape=(2, 2), formula=("x[a] * x[b]",), indices=("a", "b"))
    found = check([table], X, stated)
    assert found["table.formula"].detail == "for table[1,1] it gives 4 in place of 5; wrong for 2 of 4"


def test_a_right_formula_over_other_numbers_than_the_step_uses_is_believed() -> None:
    """The step starts from the total, the printed formula from a rounded number, which is then the cause."""

    def third(x: Array) -> float:
        return 1 / float(x[1])

    def two(total: float) -> float:
        return 10 / total

    formula = item("two", "1.98", formula=("6 * third",))
    found = check([total, third, two], X, item("total", "5"), item("third", "0.33"), formula)
    assert found["two.formula"].verdict == "agrees"
    assert found["two"].reason == "earlier rounding"
    assert found["two"].first_cause == "invented.third"


def test_a_printed_calculation_shows_what_went_wrong() -> None:
    found = check([total], X, item("total", "1.5051", written=("log(2) + log(16)",)))
    assert found["total"].slips == ("base-10 logarithm",)
    assert "base-10 logarithm" in found["total"].text
    found = check([total], X, item("total", "7", written=("2 + 4",)))
    assert found["total"].detail == "the calculation printed beside it gives 6"
    found = check([total], X, item("total", "6", written=("2 + 4",)))
    assert (found["total"].reason, found["total"].detail) == ("formula", "2 + 4")


def test_a_number_off_in_its_last_digits_is_said_to_be() -> None:
    found = check([total], item("x", "1.001", "1.001", given=True), item("total", "2.005"))
    assert found["total"].detail == "off by 3.0 units of its last digit"


def test_an_unreadable_sign_is_read_as_what_is_true_else_as_what_follows() -> None:
    glyphs = {"Σ": ["9", "5", "6"]}
    found = check([total, double], X, item("total", "Σ", glyphs=glyphs), item("double", "10"))
    assert found["total"].verdict == "agrees"
    assert found["total"].stated == "Σ"
    found = check([total, double], X, item("total", "6"), item("double", "1Σ", glyphs={"Σ": ["9", "2"]}))
    assert found["double"].reason == "earlier slip"
    found = check([total], X, item("total", "Σ", glyphs={"Σ": ["9", "8"]}))
    assert found["total"].verdict == "deviates"


def test_a_formula_alone_is_checked_without_numbers() -> None:
    formula = Item("total", "page 1", "the sum", kind="formula", formula=("x[1] - x[2]",))
    found = check([total], X, formula)
    assert found["total.formula"].verdict == "deviates"
    assert found.keys() == {"total.formula"}


def test_sums_of_products_are_compared_term_by_term() -> None:
    def product() -> list[Sum]:
        return [parse("a*b + c"), parse("d")]

    found = check([product], item("product", "b*a + d", "d", kind="sum"))
    assert found["product[1]"].verdict == "deviates"
    assert found["product[1]"].text == "wrong; lacks c; has wrongly d"
    assert found["product[2]"].verdict == "agrees"


@pytest.mark.parametrize(("right", "verdict"), [(1.0, "agrees"), (1.001, "deviates")])
def test_statements_hold_or_not(right: float, verdict: str) -> None:
    def equal() -> Comparison:
        return Comparison(np.array([1.0]), np.array([right]))

    found = check([equal], item("equal", "both are one", kind="statement"))
    assert found["equal"].verdict == verdict
    assert found["equal"].stated == "both are one"


def test_sides_of_different_shapes_do_not_hold() -> None:
    assert not Comparison(np.ones(2), np.ones(3)).holds


def test_questions_facts_and_garbled_items_are_not_judged() -> None:
    found = check(
        [total], X, Item("total", "page 1", "?", kind="question"), item("fact", "7", kind="fact"),
        item("blot", "#", kind="garbled"),
    )  # fmt: skip
    assert found == {}


@pytest.mark.parametrize(
    ("steps", "items", "complaint"),
    [
        ([], [item("total", "5")], 'item "total" needs a step that computes it'),
        ([total], [item("total", "5")], 'step "total" needs "x", which is no item and no step'),
        ([total], [item("total", "5"), X], 'step "total" needs "x", which is stated only later'),
    ],
)
def test_a_graph_out_of_order_is_refused(steps: list[Step], items: list[Item], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        workings(steps, *items)


def test_a_step_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r'"total" states the shape \(2,\), its step computed \(\)'):
        check([total], X, item("total", "5", "6"))
