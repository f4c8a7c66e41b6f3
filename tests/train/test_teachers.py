"""Targets from trained networks: whose they are, for which image, and that they are probabilities."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.execution import Inference
from pellucid.train.teachers import Teachers

SHAPE = (1, 4, 4)


def network(seed: int, *end: Any) -> pc.Sequential:
    return pc.Sequential([pc.layers.Flatten(), pc.layers.Linear(16, 3), *end]).init(seed=seed)


def images(count: int) -> Any:
    return np.random.default_rng(count).normal(size=(count, *SHAPE)).astype(np.float32)


def shares(x: Any, model: pc.Sequential) -> Any:
    """The softmax of a linear network's scores, written out."""
    values = {name.rpartition(".")[2]: value.astype(np.float64) for name, value in model.parameters.items()}
    scores = np.exp(x.reshape(len(x), 16) @ values["weight"].T + values["bias"])
    return scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "parts"), [(8, (3, 3, 2)), (4, (3, 1, 0)), (1, (1, 0, 0))])
def test_a_batch_is_dealt_out_in_equal_parts(engine: str, count: int, parts: tuple[int, ...]) -> None:
    """Of up to 8 images each of three teachers takes 3 at most; a smaller last batch leaves some without any."""
    models = [network(1), network(2, pc.layers.Softmax()), network(3, pc.layers.LogSoftmax())]
    x = images(count)
    taught = Teachers(models, 3, 8, SHAPE, engine, mirror=False, dtype="float32", threads=1)
    targets = taught.target(x, np.zeros(count, np.int64))
    taught.close()
    cut = np.split(x, np.cumsum(parts)[:-1])
    wanted = np.concatenate([shares(part, model) for part, model in zip(cut, models, strict=True)])
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, wanted, atol=1e-6)


def test_in_double_precision_nothing_is_rounded_to_single() -> None:
    model, x = network(1), images(8).astype(np.float64) / 3
    taught = Teachers([model], 3, 8, SHAPE, "numpy", mirror=False, dtype="float64", threads=None)
    targets = taught.target(x, np.zeros(8, np.int64))
    taught.close()
    assert targets.dtype == np.float64
    np.testing.assert_allclose(targets, shares(x, model), rtol=1e-13)


def test_labels_do_not_matter_and_the_student_is_not_touched() -> None:
    taught = Teachers([network(1)], 3, 8, SHAPE, "numpy", mirror=False, dtype="float32", threads=None)
    x = images(8)
    first, second = (taught.target(x, np.full(8, label)) for label in (0, 2))
    taught.close()
    assert np.array_equal(first, second)


def test_a_teacher_that_does_not_fit_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Inference] = []
    close = Inference.close
    monkeypatch.setattr(Inference, "close", lambda self: (closed.append(self), close(self)))
    with pytest.raises(pc.errors.UsageError, match="teacher 2 gives outputs"):
        Teachers(
            [network(1), pc.Sequential([pc.layers.Flatten()])],
            3,
            8,
            SHAPE,
            "numpy",
            mirror=False,
            dtype="float32",
            threads=None,
        )
    assert len(closed) == 2


def test_every_second_image_is_shown_mirrored_and_the_students_own_stay_as_they_are() -> None:
    model, x = network(1), images(5)
    taught = Teachers([model], 3, 5, SHAPE, "numpy", mirror=True, dtype="float32", threads=None)
    before = x.copy()
    targets = taught.target(x, np.zeros(5, np.int64))
    taught.close()
    assert np.array_equal(x, before)
    shown = np.stack([image[..., ::-1] if n % 2 == 0 else image for n, image in enumerate(x)])
    np.testing.assert_allclose(targets, shares(shown, model), atol=1e-6)
