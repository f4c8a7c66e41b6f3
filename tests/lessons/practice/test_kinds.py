"""Exercises: the same for the same seed, answers by plain loops, misconceptions that can be told apart."""

from itertools import product

import numpy as np
import pytest

from pellucid.cli.exercise import KINDS
from pellucid.errors import UsageError
from pellucid.lessons.practice import Exercise, kinds, make

SEEDS = range(12)


def test_the_command_line_knows_every_kind() -> None:
    assert kinds() == KINDS


@pytest.mark.parametrize("kind", kinds())
def test_the_same_seed_makes_the_same_exercise_and_another_seed_another(kind: str) -> None:
    one, same = make(kind, 3), make(kind, 3)
    assert all(np.array_equal(a.answer, b.answer) for a, b in zip(one.questions, same.questions, strict=True))
    answers = {tuple(np.ravel(make(kind, seed).questions[0].answer)) for seed in SEEDS}
    assert len(answers) > len(SEEDS) / 2


@pytest.mark.parametrize("kind", kinds())
def test_numbers_are_friendly_and_misconceptions_differ(kind: str) -> None:
    for seed in SEEDS:
        exercise = make(kind, seed)
        for question in exercise.questions:
            assert question.mistakes
            assert np.array_equal(question.answer * 4, np.round(question.answer * 4))
            answers = [question.answer, *(m.answer for m in question.mistakes)]
            assert len({(a.shape, tuple(a.ravel())) for a in answers}) == len(answers)


def convolved(exercise: Exercise, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> list[list[float]]:
    x, w = exercise.given["X"], exercise.given["W"][0]
    bias = float(exercise.given["b"][0]) if "b" in exercise.given else 0.0
    channels, size = x.shape[0], x.shape[1]
    reach = dilation * (w.shape[1] - 1) + 1
    count = (size + 2 * padding - reach) // stride + 1
    found = [[bias] * count for _ in range(count)]
    for i, j, c, u, v in product(range(count), range(count), range(channels), range(w.shape[1]), range(w.shape[2])):
        row, column = stride * i + dilation * u - padding, stride * j + dilation * v - padding
        if 0 <= row < size and 0 <= column < size:
            found[i][j] += float(x[c, row, column] * w[c, u, v])
    return found


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("convolution", {}), ("padding", {"padding": 1}), ("stride", {"stride": 2}), ("dilation", {"dilation": 2})],
)
def test_convolutions_by_plain_loops(kind: str, arguments: dict[str, int]) -> None:
    for seed in SEEDS:
        exercise = make(kind, seed)
        assert exercise.questions[0].answer[0].tolist() == convolved(exercise, **arguments)


def test_pooling_forward_by_plain_loops() -> None:
    tasks = set()
    for seed in SEEDS:
        exercise = make("pooling", seed)
        tasks.add(exercise.task)
        windows = exercise.given["X"][0].reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(2, 2, 4).tolist()
        combine = max if exercise.task == "task.max_pooling" else lambda cells: sum(cells) / 4
        assert exercise.questions[0].answer[0].tolist() == [[combine(window) for window in row] for row in windows]
    assert len(tasks) == 2


def test_backward_by_plain_loops() -> None:
    tasks = set()
    for seed in SEEDS:
        exercise = make("backward", seed)
        tasks.add(exercise.task)
        dy = exercise.given["dY"][0]
        dx = np.zeros(exercise.questions[0].answer.shape[1:])
        if exercise.task == "task.convolution_backward":
            x, w, dw = exercise.given["X"][0], exercise.given["W"][0, 0], np.zeros((2, 2))
            for i, j, u, v in product(range(2), repeat=4):
                dx[i + u, j + v] += dy[i, j] * w[u, v]
                dw[u, v] += dy[i, j] * x[i + u, j + v]
            assert exercise.questions[1].answer[0, 0].tolist() == dw.tolist()
            assert exercise.questions[2].answer.tolist() == [dy.sum()]
        for i, j in product(range(4), repeat=2) if dx.shape == (4, 4) else ():
            window = (slice(i // 2 * 2, i // 2 * 2 + 2), slice(j // 2 * 2, j // 2 * 2 + 2))
            share = 1 / 4
            if exercise.task == "task.max_backward":
                x = exercise.given["X"][0]
                share = float(x[i, j] == x[window].max())
            dx[i, j] = dy[i // 2, j // 2] * share
        assert exercise.questions[0].answer[0].tolist() == dx.tolist()
    assert len(tasks) == 3


def test_counts_by_formula() -> None:
    for seed in SEEDS:
        v = {name: int(value) for name, value in make("parameters", seed).values.items()}
        conv, dense = (float(question.answer) for question in make("parameters", seed).questions)
        assert conv == v["maps"] * (v["channels"] * v["size"] ** 2 + 1)
        assert dense == v["outputs"] * (v["inputs"] + 1)
        v = {name: int(value) for name, value in make("sizes", seed).values.items()}
        reach = v["dilation"] * (v["size"] - 1) + 1
        rows = (v["n"] + 2 * v["padding"] - reach) // v["stride"] + 1
        assert float(make("sizes", seed).questions[0].answer) == rows


@pytest.mark.parametrize(("kind", "seed", "complaint"), [("convolutoin", 0, "no kind"), ("stride", -1, "at least 0")])
def test_what_cannot_be_made(kind: str, seed: int, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make(kind, seed)
