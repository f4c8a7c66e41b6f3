"""Equations: how far their indices run, and what is refused, in so many words."""

from collections.abc import Callable

import pytest

from pellucid.errors import NotationError, ShapeError
from pellucid.notation import Index, Tensor, indices, max_over, sum_over

N, OUT, C, H, J, K, U, V = indices("n o c i j k u v")


def given(symbol: str, *shape: int) -> Tensor:
    return Tensor(symbol, shape, role="input")


def conv(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0, dilation: int = 1) -> Tensor:
    y = Tensor("Y")
    row, column = stride * H + dilation * U - padding, stride * J + dilation * V - padding
    y[N, OUT, H, J] = sum_over([C, U, V], x[N, C, row, column] * w[OUT, C, U, V])
    return y


@pytest.mark.parametrize("size", [5, 8, 13])
@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_the_usual_output_size_formula(size: int, kernel: int, stride: int, padding: int) -> None:
    y = conv(given("X", 2, 3, size, size + 1), given("W", 4, 3, kernel, kernel), stride, padding)
    assert y.shape == (
        2, 4, (size + 2 * padding - kernel) // stride + 1, (size + 1 + 2 * padding - kernel) // stride + 1,
    )  # fmt: skip


def test_dilation_spreads_the_kernel() -> None:
    assert conv(given("X", 1, 1, 9, 9), given("W", 1, 1, 3, 3), dilation=3).shape == (1, 1, 3, 3)


def test_extents_are_those_of_the_tensors_addressed() -> None:
    x, w, y = given("X", 2, 5), given("W", 3, 5), Tensor("Y")
    y[N, OUT] = sum_over([K], x[N, K] * w[OUT, K])
    assert y.shape == (2, 3)
    (equation,) = y.definition
    assert [(i.name, i.extent) for i in equation.indices] == [("n", 2), ("o", 3)]
    assert str(equation) == "Y[n,o] = sum(k) X[n,k] * W[o,k]"
    assert equation.covers


def test_an_extent_may_be_given_and_then_be_less_than_the_tensors() -> None:
    x, y = given("X", 5), Tensor("Y")
    y[Index("i", 3)] = x[Index("i", 3)]
    assert y.shape == (3,)


def test_an_output_may_be_a_single_number() -> None:
    x, y = given("X", 4), Tensor("Y")
    y[()] = sum_over([K], x[K])
    assert (y.shape, y.size, str(y.definition[0])) == ((), 1, "Y = sum(k) X[k]")


def test_parts_of_a_tensor() -> None:
    a, b, y = given("A", 2, 3), given("B", 2, 4), Tensor("Y", (2, 7))
    first = Index("c", 3)
    y[N, first] = a[N, first]
    y[N, K + 3] = b[N, K]
    assert [str(e) for e in y.definition] == ["Y[n,c] = A[n,c]", "Y[n,k+3] = B[n,k]"]
    assert not any(e.covers for e in y.definition)


def refused(kind: type[Exception], message: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def decorate(write: Callable[[], None]) -> Callable[[], None]:
        def test() -> None:
            with pytest.raises(kind) as error:
                write()
            assert str(error.value) == message

        return test

    return decorate


@refused(ShapeError, "Y: index k runs over 5 values elsewhere, but dimension 1 of W has 6 (in W[o,k])")
def test_extents_must_agree() -> None:
    y = Tensor("Y")
    y[N, OUT] = sum_over([K], given("X", 2, 5)[N, K] * given("W", 3, 6)[OUT, K])


@refused(ShapeError, "Y: index i runs over 4 values elsewhere, but dimension 0 of X has 3 (in X[i])")
def test_a_given_extent_must_fit() -> None:
    y, i = Tensor("Y"), Index("i", 4)
    y[i] = given("X", 3)[i]


@refused(
    ShapeError,
    "Y: i+2*u reaches over 5 elements, but dimension 2 of X has 4 (in X[n,c,i+2*u,j+2*v])",
)
def test_the_kernel_must_fit_the_image() -> None:
    conv(given("X", 1, 1, 4, 4), given("W", 1, 1, 3, 3), dilation=2)


@refused(
    ShapeError,
    "Y: i+u-1 reaches over 7 elements, but dimension 2 of X has 4 and 1 of padding on each side "
    "(in X[n,c,i+u-1,j+v-1])",
)
def test_the_kernel_must_fit_the_image_and_its_padding() -> None:
    conv(given("X", 1, 1, 4, 4), given("W", 1, 1, 7, 7), padding=1)


@refused(NotationError, "Y: nothing says how far index j, k runs; give it an extent")
def test_an_index_that_nothing_bounds() -> None:
    y = Tensor("Y")
    y[H, J, K] = given("X", 3)[H] * 2


@refused(NotationError, "Y: index j, k is neither on the left-hand side nor under a sum or maximum")
def test_a_loose_index() -> None:
    y = Tensor("Y")
    y[H] = given("X", 3, 3, 3)[H, K, J]


@refused(NotationError, "Y: index i is bound more than once")
def test_an_index_on_the_left_cannot_be_summed_too() -> None:
    y = Tensor("Y")
    y[H] = sum_over([H], given("X", 3)[H])


@refused(NotationError, "Y: index k is bound more than once")
def test_two_sums_need_two_names() -> None:
    x, y = given("X", 3), Tensor("Y")
    y[()] = sum_over([K], x[K]) * max_over([K], x[K])


@refused(ShapeError, "index u would run over 0 values; it needs at least one")
def test_an_index_runs_over_something() -> None:
    y, u = Tensor("Y"), Index("u", 0)
    y[H] = sum_over([u], given("X", 3)[H] * u)


@refused(ShapeError, "X has 2 dimensions (3x4) but is read with 1 indices")
def test_reading_with_too_few_indices() -> None:
    given("X", 3, 4)[H]


@refused(ShapeError, "s has 0 dimensions (a single number) but is read with 1 indices")
def test_reading_a_single_number_with_an_index() -> None:
    given("s")[H]


@refused(NotationError, "X is a given input: an equation cannot define it")
def test_what_is_given_cannot_be_defined() -> None:
    x = given("X", 3)
    x[H] = x[H] * 2


@refused(NotationError, "tensor Z is used before an equation defines it")
def test_what_is_not_defined_cannot_be_read() -> None:
    y = Tensor("Y")
    y[H] = Tensor("Z")[H]


@refused(ShapeError, "Y: i+2 runs from 2 to 4 in dimension 0, which has 4 elements")
def test_a_part_stays_inside_the_tensor() -> None:
    y = Tensor("Y", (4,))
    y[H + 2] = given("X", 3)[H]


@refused(NotationError, "Y is defined twice: Y[i] = X[i], and Y[i] = X[i] * 2")
def test_one_element_one_equation() -> None:
    x, y = given("X", 3), Tensor("Y")
    y[H] = x[H]
    y[H] = x[H] * 2


@pytest.mark.parametrize("value", [None, "1", [1, 2]])
def test_an_equation_is_made_of_accesses_and_numbers(value: object) -> None:
    y = Tensor("Y", (3,))
    with pytest.raises(NotationError, match="an equation is made of accesses, indices and numbers, not of"):
        y[H] = value  # type: ignore[assignment]


def test_a_maximum_knows_two_ways_with_ties() -> None:
    with pytest.raises(NotationError, match='goes to the "first" or to "all", not to \'last\''):
        max_over([K], given("X", 3)[K], ties="last")
