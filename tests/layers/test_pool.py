"""Pooling where windows tie, touch padding, or see what is not a number."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError

# Typed as Any: the calls below are wrong on purpose.
MaxPool2d: Any = pc.layers.MaxPool2d
AvgPool2d: Any = pc.layers.AvgPool2d


@pytest.mark.parametrize(
    ("ties", "expected"),
    [("first", [[0, 1, 0], [0, 0, 0], [0, 0, 0]]), ("all", [[0, 1, 0], [1, 0, 1], [0, 1, 0]])],
)
def test_ties(ties: str, expected: list[list[int]], engine: str) -> None:
    """The field's rule and the notes': the first maximum in reading order, or every maximum in full."""
    x = np.array([[0, 5, 0], [5, 0, 5], [0, 5, 0]], dtype=np.float32).reshape(1, 1, 3, 3)
    dy = np.ones((1, 1, 1, 1), np.float32)
    _, dx, _ = pc.vjp(pc.layers.MaxPool2d(3, ties=ties), x, dy, engine=engine)
    assert dx[0, 0].tolist() == expected


@pytest.mark.parametrize("ties", ["first", "all"])
def test_a_cell_collects_from_all_windows_it_wins(ties: str, engine: str) -> None:
    x = np.zeros((1, 1, 3, 3), np.float32)
    x[0, 0, 1, 1] = 1
    dy = np.array([[1, 2], [4, 8]], np.float32).reshape(1, 1, 2, 2)
    _, dx, _ = pc.vjp(pc.layers.MaxPool2d(2, stride=1, ties=ties), x, dy, engine=engine)
    assert dx[0, 0].tolist() == [[0, 0, 0], [0, 15, 0], [0, 0, 0]]


def test_padding_never_wins(engine: str) -> None:
    """Padding is minus infinity for a maximum, not zero."""
    x = np.full((1, 1, 3, 3), -7, np.float32)
    y, dx, _ = pc.vjp(pc.layers.MaxPool2d(3, stride=1, padding=1), x, np.ones((1, 1, 3, 3), np.float32), engine=engine)
    assert y[0, 0].tolist() == [[-7] * 3] * 3
    assert dx.sum() == 9


@pytest.mark.parametrize("ties", ["first", "all"])
def test_maximum_of_minus_infinity(ties: str, engine: str) -> None:
    x = np.full((1, 1, 2, 2), -np.inf, np.float32)
    assert pc.predict(pc.layers.MaxPool2d(2, ties=ties), x, engine=engine).tolist() == [[[[-np.inf]]]]


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("layer", [pc.layers.MaxPool2d(2), pc.layers.AvgPool2d(2)], ids=["max", "avg"])
def test_what_is_not_a_number_is_not_hidden(layer: pc.layers.Layer, at: int, engine: str) -> None:
    x = np.arange(4, dtype=np.float32)
    x[at] = np.nan
    assert np.isnan(pc.predict(layer, x.reshape(1, 1, 2, 2), engine=engine)).all()


def test_stride_defaults_to_the_window(engine: str) -> None:
    x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    for layer in (pc.layers.MaxPool2d((3, 2)), pc.layers.AvgPool2d((3, 2))):
        assert pc.predict(layer, x, engine=engine).shape == (1, 1, 2, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPool2d(0), "MaxPool2d.*kernel_size.*0"),
        (lambda: MaxPool2d(2, stride=0), "MaxPool2d.*stride.*0"),
        (lambda: MaxPool2d(2, padding=-1), "MaxPool2d.*padding.*-1"),
        (lambda: MaxPool2d(2, dilation=0), "MaxPool2d.*dilation.*0"),
        (lambda: MaxPool2d(2, ties="last"), "MaxPool2d.*ties.*first.*all.*last"),
        (lambda: MaxPool2d(2, padding=2), "MaxPool2d.*padding.*2"),
        (lambda: MaxPool2d((2, 2, 2)), r"MaxPool2d.*kernel_size.*\(2, 2, 2\)"),
        (lambda: AvgPool2d(-3), "AvgPool2d.*kernel_size.*-3"),
        (lambda: AvgPool2d(2, stride=(1, 0)), r"AvgPool2d.*stride.*\(1, 0\)"),
        (lambda: AvgPool2d(2.5), "AvgPool2d.*kernel_size.*2.5"),
        (lambda: AvgPool2d(3, padding=2), "AvgPool2d.*padding.*2"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("layer", [pc.layers.MaxPool2d(5), pc.layers.AvgPool2d(5)], ids=["max", "avg"])
def test_a_window_larger_than_the_image_is_refused(layer: pc.layers.Layer, engine: str) -> None:
    with pytest.raises(ShapeError, match=rf"{type(layer).__name__}.*5.*4"):
        pc.predict(layer, np.ones((1, 1, 4, 4), np.float32), engine=engine)


@pytest.mark.parametrize(
    "layer",
    [pc.layers.MaxPool2d(2), pc.layers.AvgPool2d(2), pc.layers.GlobalAvgPool2d()],
    ids=["max", "avg", "global"],
)
def test_a_row_is_no_image(layer: pc.layers.Layer, engine: str) -> None:
    with pytest.raises(ShapeError, match=rf"{type(layer).__name__}.*images \(N, C, H, W\).*3x8"):
        pc.predict(layer, np.ones((3, 8), np.float32), engine=engine)
