"""Counting by batches agrees with counting by hand."""

import json
import math

import numpy as np
import pytest

from pellucid.train.metrics import Mistake, count_correct, measure, one_hot

# six images of three classes; the outputs are what the network says, one row per image
LABELS = np.array([0, 0, 1, 1, 1, 2])
OUTPUT = np.array(
    [
        [3.0, 1.0, 0.0],  # right
        [0.0, 2.0, 1.0],  # 0 read as 1 by 2
        [1.0, 5.0, 0.0],  # right
        [4.0, 1.0, 0.0],  # 1 read as 0 by 3
        [0.0, 9.0, 8.0],  # right
        [0.0, 0.5, 0.0],  # 2 read as 1 by 0.5
    ]
)


def mean_of_outputs(output: np.ndarray, labels: np.ndarray) -> float:
    return float(output[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_counts_do_not_depend_on_the_batch_size(size: int) -> None:
    cut = range(0, 6, size)
    seen: list[int] = []
    result = measure(
        ((np.arange(i, min(i + size, 6)), LABELS[i : i + size]) for i in cut),
        lambda x: OUTPUT[x],
        mean_of_outputs,
        ["a", "b", "c"],
        after_batch=seen.append,
    )
    assert sum(seen) == result.images == 6
    assert result.confusion.tolist() == [[1, 1, 0], [1, 2, 0], [0, 1, 0]]
    assert result.accuracy == 3 / 6
    assert result.loss == pytest.approx((3 + 0 + 5 + 1 + 9 + 0) / 6)
    assert result.worst == [Mistake(3, 1, 0, 3.0), Mistake(1, 0, 1, 2.0), Mistake(5, 2, 1, 0.5)]
    precision = [score.precision for score in result.per_class]
    assert precision == [1 / 2, 2 / 4, None], "nothing was called c"
    assert [score.recall for score in result.per_class] == [1 / 2, 2 / 3, 0.0]
    assert [score.support for score in result.per_class] == [2, 3, 1]
    assert str(result) == "6 images: accuracy 50.00%, loss 3.0000"
    assert json.loads(json.dumps(result.to_json()))["per_class"][2] == {
        "name": "c",
        "support": 1,
        "precision": None,
        "recall": 0.0,
    }


def test_a_class_without_images_has_no_recall() -> None:
    result = measure([(np.array([0]), np.array([0]))], lambda x: OUTPUT[x], mean_of_outputs, ["a", "b", "c"])
    assert [score.recall for score in result.per_class] == [1.0, None, None]


def test_nothing_is_measured_as_nothing() -> None:
    result = measure([], lambda x: x, mean_of_outputs, ["a"])
    assert (result.images, result.accuracy, result.loss) == (0, 0.0, 0.0)


def test_only_the_worst_mistakes_are_kept_in_order() -> None:
    margins = np.random.default_rng(0).permutation(100).astype(float)
    output = np.stack([np.zeros(100), margins + 1], axis=1)
    batches = [(np.arange(i, i + 10), np.zeros(10, int)) for i in range(0, 100, 10)]
    worst = measure(batches, lambda x: output[x], lambda z, y: 0.0, ["a", "b"]).worst
    assert [mistake.margin for mistake in worst] == [float(m) for m in range(100, 84, -1)]
    assert all(margins[mistake.index] + 1 == mistake.margin for mistake in worst)


def test_outputs_that_are_not_numbers_are_counted_without_failing() -> None:
    nothing = np.full((1, 2), np.nan)
    result = measure([(nothing, np.array([1]))], lambda x: x, lambda z, y: math.nan, ["a", "b"])
    assert math.isnan(result.loss) and result.images == 1


def test_count_correct_and_one_hot() -> None:
    assert count_correct(OUTPUT, LABELS) == 3
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot(np.array([2, 0]), 3).dtype == np.float32
