"""Layers with several inputs, or with parts: what they say when something does not fit."""

from collections.abc import Callable

import pytest

import pellucid as pc
from pellucid.errors import PellucidError, ShapeError, UsageError
from pellucid.layers import AdaptiveAvgPool2d, Add, CodeDistance, Concat, PaddedShortcut, Subsampling2d, TableConv2d
from pellucid.notation import Tensor


def given(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, role="input", name=name)


A, B, C, V = given("a", 2, 3, 4, 4), given("b", 2, 3, 4, 4), given("c", 2, 5, 4, 2), given("v", 2, 7)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: Add().forward(A, C), ShapeError, 'adds tensors of one shape, but "a" gives 2x3x4x4 and "c" 2x5x4x2'),
        (
            lambda: Concat().forward(A, C),
            ShapeError,
            'joins tensors that differ in dimension 1 only, but "a" gives 2x3x4x4 and "c" 2x5x4x2',
        ),
        (lambda: Concat(4).forward(A, B), ShapeError, 'joins along dimension 4, but "a" has 4 dimensions'),
        (
            lambda: Concat(0),
            UsageError,
            "Concat: dim must be a dimension other than the batch, which is 0; got 0",
        ),
        (lambda: PaddedShortcut(2).forward(A), ShapeError, 'pads to 2 channels, but "a" gives 3'),
        (lambda: Subsampling2d(5, 2).forward(A), ShapeError, 'expects 5 channels, but "a" gives 3'),
        (lambda: Subsampling2d(3, 5).forward(A), ShapeError, 'its window is 5x5, but "a" gives 4x4'),
        (
            lambda: AdaptiveAvgPool2d((1, 2, 3)),  # type: ignore[arg-type]
            UsageError,
            "AdaptiveAvgPool2d: output_size must be one size or two; got (1, 2, 3)",
        ),
        (
            lambda: AdaptiveAvgPool2d(0),
            UsageError,
            "AdaptiveAvgPool2d: output_size must be a positive integer; got 0",
        ),
        (
            lambda: TableConv2d(3, ((0, 3),), 3),
            UsageError,
            "TableConv2d: a row of the table lists inputs between 0 and 2, in ascending order; got (0, 3)",
        ),
        (lambda: TableConv2d(4, ((0, 3),), 3).forward(A), ShapeError, 'expects 4 channels, but "a" gives 3'),
        (lambda: TableConv2d(3, ((0, 1),), 5).forward(A), ShapeError, 'its kernel is 5x5, but "a" gives 4x4'),
        (lambda: CodeDistance([[1, 2]]).forward(V), ShapeError, 'expects vectors of 2 numbers, but "v" gives 7'),
        (
            lambda: CodeDistance([1, 2]),
            UsageError,
            "CodeDistance: the codes must be a matrix of finite numbers; got shape (2,)",
        ),
        (lambda: pc.layers.GELU("erf"), UsageError, 'GELU: approximate must be "none" or "tanh"; got \'erf\''),
        (lambda: pc.layers.Softplus(beta=0), UsageError, "Softplus: beta must be positive; got 0"),
    ],
)
def test_what_does_not_fit(call: Callable[[], object], kind: type[PellucidError], message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == message


def test_concatenation_writes_the_parts_of_one_tensor() -> None:
    y = Concat(-1).forward(A, B)
    assert y.shape == (2, 3, 4, 8)
    assert [str(e) for e in y.definition] == ["Y[n,c,i,j] = a[n,c,i,j]", "Y[n,c,i,j+4] = b[n,c,i,j]"]


def test_slices_hand_their_gradients_down_as_parts() -> None:
    """Readers of different parts of a tensor need no sum."""
    lines = [str(e) for e in pc.derive(TableConv2d(3, ((0,), (1, 2)), 2), (3, 4, 4)).gradients]
    assert lines[2:4] == ["dW[c,u,v] = dF[0,c,u,v]", "dW[c+1,u,v] = dF[1,c+1,u,v]"]
