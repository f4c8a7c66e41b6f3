"""Losses: value and gradient against plain loops and central differences, and the ends of their ranges."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

import pellucid as pc
from pellucid.errors import PellucidError, ShapeError, UsageError
from tests.losses.table import LOSS_CASES, LossCase, loss_inputs
from tests.oracles import losses
from tests.oracles.compare import assert_close, assert_close_in_norm
from tests.oracles.differences import Point, check_gradient

every_case = pytest.mark.parametrize("case", LOSS_CASES, ids=lambda case: case.id)


def build(case: LossCase) -> pc.losses.Loss:
    """The case's loss."""
    if case.kind == "cross_entropy":
        return pc.losses.CrossEntropy(label_smoothing=case.label_smoothing)
    return {
        "output_cross_entropy": pc.losses.OutputCrossEntropy,
        "mean_squared_error": pc.losses.MeanSquaredError,
    }[case.kind]()


@every_case
def test_double_precision_agrees_with_plain_loops(case: LossCase, double_engine: str, repro: str) -> None:
    z, target = loss_inputs(case)
    value, dz = pc.loss_and_gradient(build(case), z, target, engine=double_engine, dtype="float64")
    expected, gradient = case.answer(z, target)
    assert_close("loss", np.array([value]), np.array([expected]), rtol=1e-10, repro=repro)
    assert_close("d z", dz, gradient, rtol=1e-10, atol=1e-14, repro=repro)


@every_case
def test_single_precision_agrees_with_plain_loops(case: LossCase, engine: str, repro: str) -> None:
    z, target = loss_inputs(case)
    z = z.astype(np.float32)
    wanted_target = target
    if target.dtype == np.float64:
        target = target.astype(np.float32)
        wanted_target = target.astype(np.float64)
    value, dz = pc.loss_and_gradient(build(case), z, target, engine=engine, dtype="float32")
    expected, gradient = case.answer(z.astype(np.float64), wanted_target)
    assert dz.dtype == np.float32
    assert_close("loss", np.array([value]), np.array([expected]), rtol=2e-6, repro=repro)
    assert_close_in_norm("d z", dz, gradient, rtol=1e-6, repro=repro)


@every_case
def test_gradients_agree_with_central_differences(case: LossCase, double_engine: str, repro: str) -> None:
    z, target = loss_inputs(case)
    loss = build(case)

    def objective(point: Point) -> float:
        return float(pc.loss_and_gradient(loss, point["z"], target, engine=double_engine, dtype="float64")[0])

    _, dz = pc.loss_and_gradient(loss, z, target, engine=double_engine, dtype="float64")
    check_gradient(objective, {"z": z}, {"z": dz}, seed=case.seed, repro=repro, singles=4)


def test_cross_entropy_of_large_logits(dtype: str, engine: str) -> None:
    """Logits far apart: the loss is their distance, not infinity, and the gradient is s - y."""
    z = np.array([[1000.0, 0.0, -1000.0]], dtype)
    for label, expected in ((0, 0.0), (1, 1000.0), (2, 2000.0)):
        value, dz = pc.loss_and_gradient(pc.losses.CrossEntropy(), z, np.array([label]), engine=engine, dtype=dtype)
        assert value == expected
        assert dz.tolist() == [[1.0 - (label == 0), -float(label == 1), -float(label == 2)]]


def test_notes_loss_of_certain_outputs(engine: str) -> None:
    """Outputs that are exactly right cost nothing, those that are exactly wrong very much; neither is NaN."""
    o, right = np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]])
    value, do = pc.loss_and_gradient(pc.losses.OutputCrossEntropy(), o, right, engine=engine)
    assert value == 0
    assert do.tolist() == [[1, -1]]
    value, _ = pc.loss_and_gradient(pc.losses.OutputCrossEntropy(), o, 1 - right, engine=engine)
    assert value > 50


def test_labels_and_their_one_hot_rows_mean_the_same(double_engine: str, generator: np.random.Generator) -> None:
    z = generator.normal(size=(5, 4))
    labels = np.array([0, 3, 1, 1, 2])
    for loss in (pc.losses.CrossEntropy(), pc.losses.CrossEntropy(label_smoothing=0.1)):
        one, other = (
            pc.loss_and_gradient(loss, z, target, engine=double_engine, dtype="float64")
            for target in (labels, losses.one_hot(labels, 4))
        )
        np.testing.assert_allclose(one[0], other[0], rtol=1e-14)
        np.testing.assert_allclose(one[1], other[1], rtol=1e-13, atol=1e-16)


def test_names() -> None:
    assert isinstance(pc.losses.get("cross_entropy"), pc.losses.CrossEntropy)
    assert isinstance(pc.losses.get("output_cross_entropy"), pc.losses.OutputCrossEntropy)
    assert isinstance(pc.losses.get("mse"), pc.losses.MeanSquaredError)
    with pytest.raises(UsageError, match=r"hinge.*cross_entropy"):
        pc.losses.get("hinge")


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, float("nan")])
def test_smoothing_outside_its_range_is_refused(smoothing: float) -> None:
    with pytest.raises(UsageError, match=rf"label_smoothing.*{smoothing}"):
        pc.losses.CrossEntropy(label_smoothing=smoothing)


@dataclass(frozen=True)
class Bad:
    """A target that does not fit outputs of (2, 3), and what the message must say."""

    name: str
    target: npt.NDArray[np.generic]
    message: str


BAD_TARGETS = (
    Bad("too many", np.array([0, 1, 2]), "2.*3|3.*2"),
    Bad("too few classes", np.ones((2, 4)) / 4, "3.*4|4.*3"),
    Bad("too large", np.array([0, 3]), "3"),
    Bad("negative", np.array([0, -1]), "-1"),
    Bad("three axes", np.ones((2, 3, 1)), r"2, 3, 1"),
)


@pytest.mark.parametrize("bad", BAD_TARGETS, ids=lambda bad: bad.name)
def test_targets_that_do_not_fit_are_refused(bad: Bad, engine: str) -> None:
    with pytest.raises(PellucidError, match=bad.message) as error:
        pc.loss_and_gradient(pc.losses.CrossEntropy(), np.zeros((2, 3)), bad.target, engine=engine)
    assert "target" in str(error.value) or "label" in str(error.value)


@pytest.mark.parametrize("make", [pc.losses.MeanSquaredError, pc.losses.OutputCrossEntropy], ids=["squared", "outputs"])
def test_outputs_and_targets_must_have_one_shape(make: Callable[[], pc.losses.Loss], engine: str) -> None:
    with pytest.raises(ShapeError, match=r"2, 3.*2, 4|2, 4.*2, 3|3.*4|4.*3|2x3.*2x4|2x4.*2x3"):
        pc.loss_and_gradient(make(), np.full((2, 3), 0.5), np.full((2, 4), 0.5), engine=engine)
