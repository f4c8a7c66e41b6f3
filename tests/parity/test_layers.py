"""Every case of the table against PyTorch: values and all gradients, each engine in its best precision.

In single precision the `numpy` engine is judged by the same oracles in `tests/layers/test_contract.py`, and these are
judged here.
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


@every_case
def test_layers_agree(case: Case, repro: str) -> None:
    given = real_inputs(case)
    actual = run(build(case), given, engine="native", dtype="float32")
    expected = answer_of_torch(case, given, torch.float32)
    assert_results_close_in_norm(actual, expected, rtol=1e-5, repro=repro)
    assert_results_close(actual, expected, rtol=1e-5, atol=1e-5, repro=repro)


@every_case
def test_layers_agree_in_double_precision(case: Case, double_engine: str, repro: str) -> None:
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
