"""The oracles themselves, against numbers worked out by hand or published elsewhere."""

import math

import numpy as np
import pytest

from tests.oracles import activation, compare, conv, dense, differences, losses, optimizers, pool, windows
from tests.oracles.threefry import KNOWN_ANSWERS_13, KNOWN_ANSWERS_20, threefry2x32


def test_convolution_by_hand() -> None:
    """The notes' `channels`: 3x3 input, 2x2 filter; O11 = F11 X11 + F12 X12 + F21 X21 + F22 X22."""
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    result = conv.conv2d(x, kernel, np.array([10.0]))
    assert result.y.tolist() == [[[[47.0, 57.0], [77.0, 87.0]]]]
    assert result.dx.tolist() == [[[[1.0, 3.0, 2.0], [4.0, 10.0, 6.0], [3.0, 7.0, 4.0]]]]
    assert result.gradients["weight"].tolist() == [[[[12.0, 16.0], [24.0, 28.0]]]]
    assert result.gradients["bias"].tolist() == [4.0]


def test_true_convolution_turns_the_kernel_around() -> None:
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    result = conv.conv2d(x, kernel, None, flip=True)
    assert result.y[0, 0, 0, 0] == 1 * 4 + 2 * 3 + 4 * 2 + 5 * 1
    assert result.gradients["weight"].tolist() == [[[[28.0, 24.0], [16.0, 12.0]]]]


def test_edge_filter_of_the_notes_slides() -> None:
    """The 6x6 letter image, its edges, and both poolings of them with 2x2 windows at stride 1."""
    image = [
        [1, 0, 0, 1, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 0, 0, 1, 0, 0],
        [1, 1, 1, 1, 1, 1],
        [1, 0, 0, 1, 0, 0],
        [1, 0, 0, 1, 0, 0],
    ]
    x = np.array(image, dtype=np.float64).reshape(1, 1, 6, 6)
    edges = conv.fixed_filter2d(x, np.array([[1.0, 0.0, 0.0]] * 3)).y
    assert edges[0, 0].tolist() == [[3, 1, 0, 3], [3, 2, 1, 3], [3, 1, 1, 3], [3, 1, 1, 3]]
    assert pool.max_pool2d(edges, kernel_size=2, stride=1).y[0, 0].tolist() == [
        [3, 2, 3],
        [3, 2, 3],
        [3, 1, 3],
    ]
    averages = pool.avg_pool2d(edges, kernel_size=2, stride=1).y[0, 0]
    assert averages.tolist() == [[2.25, 1.0, 1.75], [2.25, 1.25, 2.0], [2.0, 1.0, 2.0]]


def test_window_positions() -> None:
    assert windows.positions(6, 3, 1, 0, 1) == [0, 1, 2, 3]
    assert windows.positions(5, 3, 2, 1, 1) == [-1, 1, 3]
    assert windows.positions(7, 3, 1, 0, 3) == [0]
    assert windows.positions(6, 3, 2, 0, 1) == [0, 2]
    assert windows.positions(6, 3, 2, 0, 1, ceil_mode=True) == [0, 2, 4]
    # The last window would lie in the far padding alone: it does not count.
    assert windows.positions(3, 1, 2, 0, 1, ceil_mode=True) == [0, 2]
    assert windows.positions(2, 2, 2, 1, 1, ceil_mode=True) == [-1, 1]
    # The notes' quiz: 480 x 640, 5x5 kernel, stride 5, padding 5, gives 98 x 130.
    assert (len(windows.positions(480, 5, 5, 5, 1)), len(windows.positions(640, 5, 5, 5, 1))) == (98, 130)


def test_maximum_goes_to_the_first_or_to_all() -> None:
    x = np.array([[2.0, 5.0], [5.0, 1.0]]).reshape(1, 1, 2, 2)
    dy = np.full((1, 1, 1, 1), 7.0)
    assert pool.max_pool2d(x, dy, kernel_size=2).dx.tolist() == [[[[0, 7], [0, 0]]]]
    assert pool.max_pool2d(x, dy, kernel_size=2, ties="all").dx.tolist() == [[[[0, 7], [7, 0]]]]


def test_padding_counts_or_not() -> None:
    x = np.full((1, 1, 2, 2), 8.0)
    assert pool.avg_pool2d(x, kernel_size=2, stride=1, padding=1).y[0, 0, 0].tolist() == [2, 4, 2]
    counted = pool.avg_pool2d(x, kernel_size=2, stride=1, padding=1, count_include_pad=False)
    assert counted.y[0, 0].tolist() == [[8] * 3] * 3


def test_dense_layer_by_hand() -> None:
    result = dense.linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([5.0]))
    assert result.y.tolist() == [[16.0]]
    assert result.dx.tolist() == [[3.0, 4.0]]
    assert result.gradients["weight"].tolist() == [[1.0, 2.0]]


def test_softmax_of_logarithms_is_their_share() -> None:
    x = np.log(np.array([[1.0, 2.0, 5.0]]))
    np.testing.assert_allclose(activation.softmax(x).y, [[1 / 8, 2 / 8, 5 / 8]], rtol=1e-14)


def test_cross_entropy_through_softmax_is_s_minus_y() -> None:
    value, dz = losses.cross_entropy(np.log(np.array([[1.0, 2.0, 5.0]])), np.array([1]))
    assert math.isclose(value, math.log(4))
    np.testing.assert_allclose(dz, [[1 / 8, 2 / 8 - 1, 5 / 8]], rtol=1e-14)


def test_notes_loss_by_hand() -> None:
    value, do = losses.output_cross_entropy(np.array([[0.5, 0.25]]), np.array([[1.0, 0.0]]))
    assert math.isclose(value, math.log(2) - math.log(0.75))
    np.testing.assert_allclose(do, [[-2.0, 4 / 3]], rtol=1e-14)


def test_momentum_by_hand() -> None:
    optimizer = optimizers.Optimizer(optimizers.sgd(lr=0.1, momentum=0.5))
    w = {"w": np.array([1.0])}
    for expected in (0.8, 0.5, 0.15):  # velocities 2, 3, 3.5
        w = optimizer.apply(w, {"w": np.array([2.0])})
        assert math.isclose(w["w"][0], expected)


def test_first_step_of_adam_is_the_learning_rate() -> None:
    optimizer = optimizers.Optimizer(optimizers.adam(lr=0.01, eps=0.0))
    w = optimizer.apply({"w": np.array([1.0, 1.0])}, {"w": np.array([5.0, -0.001])})
    np.testing.assert_allclose(w["w"], [0.99, 1.01], rtol=1e-14)


@pytest.mark.parametrize(
    ("rounds", "answers"), [(13, KNOWN_ANSWERS_13), (20, KNOWN_ANSWERS_20)], ids=["13 rounds", "20 rounds"]
)
def test_threefry_known_answers(
    rounds: int, answers: tuple[tuple[tuple[int, int], tuple[int, int], tuple[int, int]], ...]
) -> None:
    for counter, key, words in answers:
        assert threefry2x32(key, counter, rounds) == words


def test_comparison_names_the_worst_element() -> None:
    wanted = np.array([[1.0, 2.0], [3.0, 4.0]])
    got = wanted + np.array([[0.0, 0.1], [0.5, 0.0]])
    with pytest.raises(AssertionError, match=r"y: worst element \[1, 0\]: got 3.5, expected 3.0.*2 of 4") as error:
        compare.assert_close("y", got, wanted, rtol=1e-6, repro="run this")
    assert "repro: run this" in str(error.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.5])
def test_comparisons_notice(bad: float) -> None:
    wanted, got = np.ones(1000), np.ones(1000)
    got[417] = bad
    with pytest.raises(AssertionError, match="417"):
        compare.assert_close("y", got, wanted, rtol=1e-3, repro="")
    with pytest.raises(AssertionError, match="417"):
        compare.assert_close_in_norm("y", got, wanted, rtol=1e-3, repro="")
    with pytest.raises(AssertionError, match="417"):
        compare.assert_identical("y", got, wanted, repro="")


def test_comparisons_refuse_to_prove_nothing() -> None:
    for got, wanted, message in (
        (np.zeros(3), np.zeros(3), "zeros only"),
        (np.zeros(0), np.zeros(0), "empty"),
        (np.ones((2, 1)), np.ones((1, 2)), r"shape \(2, 1\), expected \(1, 2\)"),
    ):
        with pytest.raises(AssertionError, match=message):
            compare.assert_close("y", got, wanted, rtol=1.0, repro="")


def test_central_differences_find_one_wrong_element() -> None:
    point = {"x": np.linspace(1.0, 2.0, 9).reshape(3, 3)}
    gradient = {"x": 3 * point["x"] ** 2}

    def cubes(at: differences.Point) -> float:
        return float(np.sum(at["x"] ** 3))

    differences.check_gradient(cubes, point, gradient, seed=1, repro="")
    gradient["x"][1, 2] *= 1.001
    with pytest.raises(AssertionError, match="along a random direction"):
        differences.check_gradient(cubes, point, gradient, seed=1, repro="")
