"""The contract of every layer, over the whole case table and on every engine.

Values and all gradients agree with plain loops in both precisions, with central differences, and exactly for
whole numbers. `test_every_layer_is_in_the_table` watches that no layer is forgotten.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import pellucid as pc
from tests.cases import CASES, FAMILIES, Case
from tests.layers.harness import (
    CONSTRUCTORS,
    assert_results_close,
    assert_results_close_in_norm,
    assert_results_identical,
    build,
    run,
)
from tests.oracles.differences import Point, check_gradient
from tests.oracles.inputs import integer_answer, integer_inputs, is_exact, real_answer, real_inputs

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
exact_cases = pytest.mark.parametrize("case", [c for c in CASES if is_exact(c)], ids=lambda case: case.id)


@every_case
def test_double_precision_agrees_with_plain_loops(case: Case, double_engine: str, repro: str) -> None:
    actual = run(build(case), real_inputs(case), engine=double_engine, dtype="float64")
    assert_results_close(actual, real_answer(case), rtol=1e-10, atol=1e-13, repro=repro)


@every_case
def test_single_precision_agrees_with_plain_loops(case: Case, engine: str, repro: str) -> None:
    actual = run(build(case), real_inputs(case), engine=engine, dtype="float32")
    # A recurrent layer is a chain of steps, each of which rounds what the one before has rounded.
    rtol = 5e-6 if case.kind in ("rnn", "lstm", "gru") else 1e-6
    assert_results_close_in_norm(actual, real_answer(case), rtol=rtol, repro=repro)


@exact_cases
def test_whole_numbers_give_exactly_what_plain_loops_give(case: Case, engine: str, repro: str) -> None:
    expected = integer_answer(case)
    for array in (expected.y, expected.dx, *expected.gradients.values()):
        assert np.max(np.abs(array), initial=0) < 2**22, "too large to be exact in single precision"
    actual = run(build(case), integer_inputs(case), engine=engine, dtype="float32")
    assert_results_identical(actual, expected, repro=repro)


@every_case
def test_gradients_agree_with_central_differences(case: Case, double_engine: str, repro: str) -> None:
    layer, given = build(case), real_inputs(case)

    def objective(point: Point) -> float:
        parameters = {name: point[name] for name in given.parameters}
        x = point.get("x", given.x)
        moved = run(layer, replace(given, x=x, parameters=parameters), engine=double_engine, dtype="float64")
        return float(np.sum(moved.y * given.dy))

    derived = run(layer, given, engine=double_engine, dtype="float64")
    # Tokens are whole numbers, which cannot be moved a little.
    x, dx = ({}, {}) if case.kind == "embedding" else ({"x": given.x}, {"x": derived.dx})
    check_gradient(
        objective,
        {**x, **given.parameters},
        {**dx, **derived.gradients},
        seed=case.seed,
        repro=repro,
    )


def test_case_names_are_unique() -> None:
    twice = [name for name, count in Counter(case.id for case in CASES).items() if count > 1]
    assert not twice


def test_every_alternative_of_every_parameter_is_in_the_table() -> None:
    """The rules that leave cases out must not leave out a value altogether."""
    for family in FAMILIES:
        names = {case.id for case in CASES if case.kind == family.kind}
        assert family.kind in names
        for parameter, values in family.alternatives.items():
            held = [name for name in names if f":{parameter}=" in name]
            assert len(held) >= len(values), f"{family.kind}: {parameter} is varied in {len(held)} cases only"


def test_every_layer_is_in_the_table() -> None:
    """Dropout alone has tests of its own, because its values are random."""
    bases = {pc.layers.Layer, pc.layers.Activation}
    layers = {v for v in vars(pc.layers).values() if isinstance(v, type) and issubclass(v, pc.layers.Layer)}
    assert layers - bases - {pc.layers.Dropout} == set(CONSTRUCTORS.values())
    assert set(CONSTRUCTORS) == {family.kind for family in FAMILIES} == {case.kind for case in CASES}
