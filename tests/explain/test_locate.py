"""Naming a number, and finding the equation that writes it."""

import itertools

import pytest

from pellucid.errors import ShapeError, UsageError
from pellucid.explain import locate
from pellucid.notation import Affine, Index, Tensor

ROW, COLUMN, TAP = Index("i", 3), Index("j", 4), Index("k", 5)


@pytest.mark.parametrize(
    ("what", "parsed"),
    [
        ("conv2[3,4,5]", ("conv2", (3, 4, 5))),
        (" d  conv1.weight [2, 0,1 ,1] ", ("d conv1.weight", (2, 0, 1, 1))),
        ("loss", ("loss", ())),
        ("loss[]", ("loss", ())),
        ("pool1 argument[0,1]", ("pool1 argument", (0, 1))),
        ("fc1[-1]", ("fc1", (-1,))),
    ],
)
def test_a_number_is_named_by_tensor_and_coordinates(what: str, parsed: tuple[str, tuple[int, ...]]) -> None:
    assert locate.parse(what) == parsed


@pytest.mark.parametrize("what", ["", "[1,2]", "conv2[1,2", "conv2[a]", "conv2[1.5]", "conv2[1,]", "a[1][2]"])
def test_what_names_no_number_is_refused(what: str) -> None:
    with pytest.raises(UsageError, match="names no number; write it as"):
        locate.parse(what)


@pytest.mark.parametrize(
    "at",
    [
        (Affine.of(ROW), Affine.of(COLUMN)),
        (ROW * 4 + COLUMN, Affine.of(TAP)),
        (ROW * 20 + COLUMN * 5 + TAP,),
        (ROW * 2 + 1, COLUMN * 3),
        (11 - ROW * 4 - COLUMN, Affine.of(TAP)),
        (ROW * 2 + COLUMN, Affine.of(ROW), TAP * 7 + 3),
        (Affine((), 2), Affine.of(COLUMN)),
    ],
)
def test_the_indices_are_found_from_what_they_address(at: tuple[Affine, ...]) -> None:
    indices = tuple(dict.fromkeys(i for affine in at for i in affine.indices))
    for values in itertools.product(*(range(i.size) for i in indices)):
        point = dict(zip(indices, values, strict=True))
        coordinates = [affine.evaluate(point) for affine in at]
        assert list(locate.solutions(at, coordinates)) == [point]


def test_coordinates_that_no_index_reaches_have_no_solution() -> None:
    assert not list(locate.solutions((ROW * 2 + 1,), (4,)))
    assert not list(locate.solutions((ROW * 2 + 1,), (7,)))
    assert not list(locate.solutions((ROW * 2, Affine.of(ROW)), (2, 0)))
    assert not list(locate.solutions((Affine((), 2),), (1,)))


def test_every_solution_is_found_where_there_are_several() -> None:
    found = list(locate.solutions((ROW + COLUMN,), (3,)))
    assert sorted((p[ROW], p[COLUMN]) for p in found) == [(0, 3), (1, 2), (2, 1)]


def test_the_image_may_be_left_out_of_an_image_tensor() -> None:
    tensor = Tensor("Y", (2, 6, 5, 5), name="conv1")
    assert locate.element(tensor, (3, 4, 0), per_image=True) == (0, 3, 4, 0)
    assert locate.element(tensor, (1, 3, 4, 0), per_image=True) == (1, 3, 4, 0)


@pytest.mark.parametrize(
    ("coordinates", "per_image", "message"),
    [
        ((0, 6, 0, 0), True, r"conv1 has the shape 2x6x5x5: index 1 of \[0,6,0,0\] must be 0 to 5, not 6"),
        ((-1, 0, 0, 0), True, r"index 0 of \[-1,0,0,0\] must be 0 to 1, not -1"),
        ((0, 0), True, r"conv1 has the shape 2x6x5x5: give 3 \(image 0\) or 4 indices, not 2"),
        ((0, 0, 0), False, "conv1 has the shape 2x6x5x5: give 4 indices, not 3"),
    ],
)
def test_coordinates_outside_name_the_shape(coordinates: tuple[int, ...], per_image: bool, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        locate.element(Tensor("Y", (2, 6, 5, 5), name="conv1"), coordinates, per_image)


def test_a_single_number_has_no_coordinates() -> None:
    with pytest.raises(ShapeError, match=r"loss is a single number; leave out \[0\]"):
        locate.element(Tensor("L", (), name="loss"), (0,), per_image=False)
