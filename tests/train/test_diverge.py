"""A loss or a parameter that is no longer finite: the layer and the batch are named, nothing good is lost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.errors import DivergedError
from pellucid.train import checkpoint
from pellucid.train.settings import Interval
from tests.train.fakes import FakeModel, FakeStep, make_splits, run_fake, same_weights

Array = np.ndarray[Any, Any]


class Diverging(FakeStep):
    """Gives nan, inf, or spoils a parameter at step number `at`; notes its state when asked for the layer."""

    def __init__(self, at: int, how: str) -> None:
        super().__init__(FakeModel())
        self.at, self.how = at, how
        self.asked: list[tuple[int, Array]] = []

    def __call__(self, x: Array, y: Array, *, learning_rate: float | None = None) -> float:
        loss = super().__call__(x, y, learning_rate=learning_rate)
        if self.count == self.at + 1:
            self.inner.parameters["fc.bias"] = self.inner.parameters["fc.bias"] * np.float32("inf")
            return {"nan": np.nan, "inf": np.inf, "parameter": loss}[self.how]
        return loss

    def first_nonfinite(self, x: Array, y: Array) -> str | None:
        self.asked.append((self.count, x))
        return "fc"


def load_batch(folder: Path) -> dict[str, Array]:
    with np.load(folder / "diverged.npz") as file:
        return dict(file)


@pytest.mark.parametrize("how", ["nan", "inf"])
@pytest.mark.parametrize("at", [0, 3, 6, 7, 17])
def test_the_layer_and_the_batch_are_named(tmp_path: Path, how: str, at: int) -> None:
    step = Diverging(at, how)
    with pytest.raises(DivergedError) as caught:
        run_fake(tmp_path / "a", step=step, interval=Interval(steps=2))
    message = str(caught.value)
    assert caught.value.exit_code == 4
    assert f"Epoch {at // 7 + 1}, batch {at % 7 + 1} of 7 (step {at + 1}): the loss became {how}" in message
    assert 'the first value that is not finite is in "fc"' in message
    assert "Use a smaller learning rate (it was 0.1)" in message
    assert message in (tmp_path / "a/log.txt").read_text()
    kept = load_batch(tmp_path / "a")
    asked_at, asked_for = step.asked[0]
    assert np.array_equal(kept["images"], asked_for) and len(kept["labels"]) == len(kept["images"])
    assert asked_at == at, "asked with the parameters from before the batch"
    last = checkpoint.load(tmp_path / "a/ckpt/last")
    assert last.position.step <= at
    assert all(np.isfinite(values).all() for values in last.weights.values())


def test_before_asking_the_state_is_exactly_that_before_the_batch(tmp_path: Path) -> None:
    seen: dict[str, Array] = {}

    class Recorder(Diverging):
        def __call__(self, x: Array, y: Array, *, learning_rate: float | None = None) -> float:
            if self.count == self.at and not seen:
                seen.update(self.state_dict())
            return super().__call__(x, y, learning_rate=learning_rate)

        def first_nonfinite(self, x: Array, y: Array) -> str | None:
            assert same_weights(self.state_dict(), seen)
            return super().first_nonfinite(x, y)

    step = Recorder(12, "nan")
    with pytest.raises(DivergedError):
        run_fake(tmp_path / "a", step=step, interval=Interval(steps=3))
    assert len(step.asked) == 1


@pytest.mark.parametrize("at", [6, 1])
def test_a_parameter_that_is_not_finite_never_replaces_a_good_checkpoint(tmp_path: Path, at: int) -> None:
    """The loss of that step is still finite: the look at the parameters before saving finds it."""
    with pytest.raises(DivergedError, match=r"Epoch 1, batch \d of 7 .*: fc\.bias is no longer finite"):
        run_fake(tmp_path / "a", step=Diverging(at, "parameter"), interval=Interval(steps=2))
    last = checkpoint.load(tmp_path / "a/ckpt/last")
    assert all(np.isfinite(values).all() for values in (last.weights | last.state).values())


def test_a_run_that_diverged_is_resumed_with_a_smaller_learning_rate(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        run_fake(tmp_path / "a", step=Diverging(9, "nan"))
    run = run_fake(tmp_path / "a", learning_rate=0.01, resume=True)
    assert len(run.history) == 3


def test_nan_in_an_image_is_found(tmp_path: Path) -> None:
    splits = make_splits()
    splits.train.images[17, 0, 2, 2] = np.nan
    with pytest.raises(DivergedError, match='is in "fc"'):
        run_fake(tmp_path / "a", splits=splits)
    assert np.isnan(load_batch(tmp_path / "a")["images"]).any()


def test_a_validation_loss_that_is_not_finite_stops_too(tmp_path: Path) -> None:
    splits = make_splits()
    assert splits.validation is not None
    splits.validation.images[0, 0, 0, 0] = np.inf
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(DivergedError, match=r"After epoch 1 the validation loss became nan.*validation image"),
    ):
        run_fake(tmp_path / "a", splits=splits)


def test_without_a_folder_the_model_keeps_the_epoch_before() -> None:
    model = FakeModel()
    one = run_fake(epochs=1)
    step = Diverging(9, "nan")
    step.model = model
    with pytest.raises(DivergedError, match="The model has the parameters it had after the epoch before"):
        run_fake(model=model, step=step)
    assert same_weights(model.parameters, one.model.parameters)


def test_the_divergence_is_reported_although_the_batch_cannot_be_kept(tmp_path: Path) -> None:
    class Full(Diverging):
        def __call__(self, x: Array, y: Array, *, learning_rate: float | None = None) -> float:
            if self.count == self.at:
                (tmp_path / "a/diverged.npz").mkdir(exist_ok=True)  # a folder cannot be replaced by a file
            return super().__call__(x, y, learning_rate=learning_rate)

    with pytest.raises(DivergedError, match=r'in "fc"\. The batch could not be kept \(Could not write'):
        run_fake(tmp_path / "a", step=Full(4, "nan"))
