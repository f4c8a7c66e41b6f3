"""Every case of the table against PyTorch: values and all gradients.

The `numpy` engine is compared on each of them in double precision. So are the oracles in plain loops, by which
`tests/layers/test_contract.py` judges both engines in single precision on each of them; therefore a third of the cases,
with all kinds of layers, is enough for the native engine here.
"""

import pytest
import torch

from tests.cases import CASES, Case
from tests.layers.harness import assert_results_close, assert_results_close_in_norm, build, run
from tests.oracles.inputs import integer_answer, integer_inputs, is_exact, real_answer, real_inputs
from tests.parity.torch_layers import answer_of_torch

pytestmark = [
    pytest.mark.parity,
    # PyTorch copies the image to pad it unevenly; that is its affair.
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
FIRST = {case.kind: case.id for case in reversed(CASES)}
A_THIRD = [case for place, case in enumerate(CASES) if place % 3 == 0 or case.id == FIRST[case.kind]]


@pytest.mark.parametrize("case", A_THIRD, ids=lambda case: case.id)
def test_native_layers_agree(case: Case, repro: str) -> None:
    given = real_inputs(case)
    actual = run(build(case), given, engine="native", dtype="float32")
    expected = answer_of_torch(case, given, torch.float32)
    assert_results_close_in_norm(actual, expected, rtol=1e-5, repro=repro)
    assert_results_close(actual, expected, rtol=1e-5, atol=1e-5, repro=repro)


@every_case
def test_layers_agree(case: Case, double_engine: str, repro: str) -> None:
    given = real_inputs(case)
    actual = run(build(case), given, engine=double_engine, dtype="float64")
    expected = answer_of_torch(case, given, torch.float64)
    assert_results_close(actual, expected, rtol=1e-10, atol=1e-13, repro=repro)


@every_case
def test_plain_loops_agree(case: Case, repro: str) -> None:
    """The oracles are judged, too."""
    expected = answer_of_torch(case, real_inputs(case), torch.float64)
    assert_results_close(real_answer(case), expected, rtol=1e-10, atol=1e-13, repro=repro)


@pytest.mark.parametrize("case", [case for case in CASES if is_exact(case)], ids=lambda case: case.id)
def test_plain_loops_agree_on_whole_numbers(case: Case, repro: str) -> None:
    """With many ties among the maxima, which PyTorch sends to the first."""
    if case.options.get("ties") == "all":
        pytest.skip("PyTorch has no such option")
    expected = answer_of_torch(case, integer_inputs(case), torch.float64)
    assert_results_close(integer_answer(case), expected, rtol=1e-12, atol=0.0, repro=repro)
