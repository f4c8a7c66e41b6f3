"""Upsampling: its equations, numbers worked out by hand, its errors."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.layers import Upsample

IMAGE = np.array([[[[0.0, 4.0]]]])


def row(**arguments: Any) -> list[float]:
    """The first row that an image of one row becomes."""
    values: list[float] = pc.predict(Upsample(**arguments), IMAGE, engine="numpy", dtype="float64")[0, 0, 0].tolist()
    return values


def test_by_hand() -> None:
    assert row(size=(1, 4)) == [0, 0, 4, 4]
    assert row(size=(1, 3)) == [0, 0, 4]
    assert row(size=(1, 4), mode="bilinear") == [0, 1, 3, 4]
    assert row(size=(1, 5), mode="bilinear", align_corners=True) == [0, 1, 2, 3, 4]
    assert row(scale_factor=(3, 2), mode="bilinear") == [0, 1, 3, 4]


def test_whole_factors_need_no_weights() -> None:
    derived = pc.derive(Upsample(scale_factor=(2, 3)), (3, 4, 5))
    assert [str(equation) for equation in (*derived.forward, *derived.gradients)] == [
        "Y[n,c,2*i+u,3*j+v] = X[n,c,i,j]",
        "dX[n,c,i,j] = sum(u,v) dY[n,c,2*i+u,3*j+v]",
    ]
    by_size = pc.derive(Upsample(size=(8, 15)), (3, 4, 5))
    assert list(map(str, by_size.forward)) == list(map(str, derived.forward))


def test_interpolation_is_two_products_with_matrices() -> None:
    derived = pc.derive(Upsample(scale_factor=2, mode="bilinear"), (3, 4, 5))
    assert [str(equation) for equation in derived.forward] == [
        "T[n,c,i,y] = sum(x) A[i,x] * X[n,c,x,y]",
        "Y[n,c,i,j] = sum(y) B[j,y] * T[n,c,i,y]",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either size or scale_factor"),
        ({"size": 4, "scale_factor": 2}, "give either size or scale_factor"),
        ({"size": 4, "mode": "bicubic"}, 'mode must be "nearest" or "bilinear"; got \'bicubic\''),
        ({"size": 4, "align_corners": True}, 'which mode="nearest" does not do'),
        ({"size": 0}, "size must be an integer of at least 1"),
        ({"scale_factor": 0}, "scale_factor must be a positive number, or two of them; got 0"),
        ({"scale_factor": (1, 2, 3)}, "scale_factor must be a positive number, or two of them"),
        ({"scale_factor": float("inf")}, "scale_factor must be a finite number"),
    ],
)
def test_arguments_that_mean_nothing(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        row(**arguments)


def test_nothing_is_left() -> None:
    with pytest.raises(ShapeError, match=r"scale_factor=\(0\.1, 0\.1\) leaves nothing of an image of 1x2"):
        row(scale_factor=0.1)
