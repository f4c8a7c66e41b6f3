"""The reference engine against the scalar interpreter, and where its fast paths could go wrong."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pc
from pellucid.engines.numpy.executable import NumpyEngine
from pellucid.errors import NotationError, UsageError
from pellucid.notation import (
    Expression,
    Index,
    Program,
    Tensor,
    bracket,
    constant_tensor,
    exp,
    indices,
    max_over,
    maximum,
    sigmoid,
    sum_over,
)
from pellucid.notation.expression import Reduce
from tests.notation.interpreter import interpret
from tests.notation.strategies import Sample, samples, values

Array = npt.NDArray[np.float64]
INF, NAN = np.inf, np.nan
R, J, K = indices("i j k")


def given_tensor(symbol: str, *shape: int) -> Tensor:
    return Tensor(symbol, shape, role="input")


def run(*outputs: Tensor, dtype: str = "float64", **arrays: npt.ArrayLike) -> list[Array]:
    real = {name: np.asarray(array, dtype) for name, array in arrays.items()}
    out = NumpyEngine().compile(Program.of(outputs), dtype=dtype).run(real)
    return [out[t.name] for t in outputs]


def defined(value: Expression, *at: Index) -> Tensor:
    y = Tensor("Y")
    y[at] = value
    return y


@settings(max_examples=120, deadline=None, derandomize=True)
@given(samples(), st.integers(0, 2**31), st.sampled_from(["float32", "float64"]))
def test_random_programs_mean_what_the_interpreter_says(sample: Sample, seed: int, dtype: str) -> None:
    generator = np.random.default_rng(seed)
    arrays = {t.name: values(t.extents, generator).astype(dtype) for t in sample.given}
    program = Program.of([sample.output])
    (got,) = NumpyEngine().compile(program, dtype=dtype).run(arrays).values()
    (expected,) = interpret(program, {n: a.astype(np.float64) for n, a in arrays.items()}).values()
    assert got.dtype == dtype
    assert got.shape == sample.output.extents
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    scale = max(1.0, float(np.max(np.abs(expected))))
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(samples(), st.integers(0, 2**31))
def test_nothing_beside_an_array_is_ever_read(sample: Sample, seed: int) -> None:
    """The arrays lie in the middle of larger ones that hold nothing but NaN."""
    generator = np.random.default_rng(seed)
    plain, amid = {}, {}
    for tensor in sample.given:
        array = values(tensor.extents, generator)
        around = np.full([e + 6 for e in tensor.extents], NAN)
        inner = around[tuple(slice(3, 3 + e) for e in tensor.extents)]
        inner[...] = array
        plain[tensor.name], amid[tensor.name] = array, inner
    before = {name: array.copy() for name, array in amid.items()}
    engine = NumpyEngine().compile(Program.of([sample.output]), dtype="float64")
    expected, got = engine.run(plain), engine.run(amid)
    for name, array in expected.items():
        assert np.isfinite(array).all()
        np.testing.assert_allclose(got[name], array, rtol=1e-13)
    for name, array in before.items():
        np.testing.assert_array_equal(amid[name], array, "an input was changed")


# ---- what a bracket closes stays closed

X, B, W = given_tensor("X", 4), given_tensor("B", 4), given_tensor("W", 4)
OPEN = bracket(R, ">", 1)
POISON = [NAN, INF, 3.0, 5.0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OPEN * X[R], [0, 0, 3, 5]),
        (X[R] * OPEN, [0, 0, 3, 5]),
        (X[R] * (2 * OPEN), [0, 0, 6, 10]),
        (X[R] * OPEN / 2, [0, 0, 1.5, 2.5]),
        (X[R] * (OPEN / 2), [0, 0, 1.5, 2.5]),
        (OPEN / (1 / X[R]), [0, 0, 3, 5]),
        (-OPEN * X[R] * bracket(X[R], "<", 4), [0, 0, -3, 0]),
        (OPEN * X[R] * W[R], [0, 0, 6, 10]),
        (sum_over([K], bracket(K, "==", R) * OPEN * X[K]) * B[R], [0, 0, 3, 5]),
    ],
    ids=str,
)
def test_a_false_bracket_closes_a_product(value: Expression, expected: list[float]) -> None:
    (y,) = run(defined(value, R), X=POISON, W=[2, 2, 2, 2], B=[1, 1, 1, 1])
    assert y.tolist() == expected


@pytest.mark.parametrize("poison", [NAN, INF, -INF])
@pytest.mark.parametrize("where", ["X", "W", "B"])
def test_a_false_bracket_closes_a_contraction(poison: float, where: str) -> None:
    """Rows 0 and 1 are closed by their index, term 2 by a comparison."""
    x, w, b = given_tensor("X", 4, 3), given_tensor("W", 3, 5), given_tensor("B", 3)
    y = defined(sum_over([K], bracket(R, ">", 1) * x[R, K] * w[K, J] * bracket(b[K], ">", 0)), R, J)
    arrays = {"X": np.ones((4, 3)), "W": np.full((3, 5), 2.0), "B": np.array([1.0, 1.0, -1.0])}
    if where == "X":
        arrays["X"][:2] = arrays["X"][:, 2] = poison
    elif where == "W":
        arrays["W"][2] = poison
    else:
        arrays["B"][2] = NAN if np.isnan(poison) else -INF
    (got,) = run(y, **arrays)
    np.testing.assert_array_equal(got, np.repeat([[0.0], [0.0], [4.0], [4.0]], 5, axis=1))


@pytest.mark.parametrize("poison", [NAN, INF])
def test_a_false_bracket_closes_a_window(poison: float) -> None:
    """Large results over small windows are added up point by point."""
    x, u = given_tensor("X", 5000), Index("u", 3)
    y = defined(sum_over([u], bracket(u, "!=", 1) * x[R + u]), R)
    array = np.ones(5000)
    array[7] = poison
    (got,) = run(y, X=array)
    assert len(got) == 4998
    assert np.flatnonzero(got != 2).tolist() == [5, 7]
    assert got[6] == 2


def test_an_infinite_factor_beside_an_open_bracket_counts() -> None:
    x, w = given_tensor("X", 2, 2), given_tensor("W", 2, 2)
    y = defined(sum_over([K], bracket(K, "==", 0) * x[R, K] * w[K, J]), R, J)
    (got,) = run(y, X=[[INF, 1], [1, INF]], W=[[1, 0], [5, 5]])
    np.testing.assert_array_equal(got, [[INF, NAN], [1, 0]])


# ---- what is not a number goes where it belongs, and nowhere else


@pytest.mark.parametrize("large", [False, True], ids=["at once", "point by point"])
@pytest.mark.parametrize("poison", [NAN, INF])
def test_through_convolution_pooling_and_relu(poison: float, large: bool) -> None:
    n = 64 if large else 1
    x = np.ones((n, 1, 8, 8))
    x[0, 0, 2, 3] = poison
    conv = np.zeros((1, 1, 3, 3))
    conv[0, 0, 1, 1] = 1.0
    y, _, _ = pc.vjp(
        pc.layers.Conv2d(1, 1, 3, padding=1, bias=False),
        x,
        engine="numpy",
        dtype="float64",
        parameters={"weight": conv},
    )
    near = np.zeros((8, 8), bool)
    near[1:4, 2:5] = True
    assert not np.isfinite(y[0, 0, 2, 3])
    assert np.isfinite(y[0, 0][~near]).all() and np.isfinite(y[1:]).all()
    pooled = pc.predict(pc.layers.MaxPool2d(2), x, engine="numpy", dtype="float64")
    assert np.argwhere(~np.isfinite(pooled)).tolist() == [[0, 0, 1, 1]]
    mean = pc.predict(pc.layers.AvgPool2d(2), x, engine="numpy", dtype="float64")
    assert np.argwhere(~np.isfinite(mean)).tolist() == [[0, 0, 1, 1]]
    relu = pc.predict(pc.layers.ReLU(), x, engine="numpy", dtype="float64")
    np.testing.assert_array_equal(relu, x)


def test_through_softmax() -> None:
    def softmax(row: list[float]) -> list[float]:
        y = pc.predict(pc.layers.Softmax(), np.array([row, [0, 0, 0]]), engine="numpy", dtype="float64")
        assert y[1].tolist() == [1 / 3] * 3
        return list(y[0])

    assert np.isnan(softmax([0, NAN, 1])).all()
    assert softmax([-INF, 0, -INF]) == [0, 1, 0]
    assert softmax([1e308, 0, -1e308]) == [1, 0, 0]


@pytest.mark.parametrize("count", [1, 400], ids=["at once", "point by point"])
def test_a_maximum_of_not_a_number_is_where_the_first_one_is(count: int) -> None:
    x = np.zeros((count, 1, 4, 4))
    x[:, :, 0, 1] = x[:, :, 1, 0] = NAN
    x[:, :, 2:, 2:] = 7
    y, dx, _ = pc.vjp(pc.layers.MaxPool2d(2), x, engine="numpy", dtype="float64")
    for image, gradient in zip(y, dx, strict=True):
        assert np.isnan(image[0, 0, 0]) and image[0, 1, 1] == 7
        assert gradient[0].tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("count", [1, 500], ids=["at once", "point by point"])
def test_the_first_of_equal_maxima(count: int) -> None:
    x, i, u = given_tensor("X", count, 4), Index("i", count), Index("u", 4)
    y = Tensor("Y", kind="int")
    y[i] = Reduce("argmax", (u,), x[i, u])
    (got,) = run(y, X=np.tile([1.0, 3.0, 3.0, 2.0], (count, 1)))
    assert got.dtype == np.int64
    assert set(got.tolist()) == {1}


# ---- functions and forms


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sigmoid_overflows_nowhere(dtype: str) -> None:
    x = given_tensor("X", 7)
    (y,) = run(defined(sigmoid(x[R]), R), dtype=dtype, X=[-INF, -1000, -30, 0, 30, 1000, INF])
    assert y.tolist()[:2] == [0, 0] and y.tolist()[3] == 0.5 and y.tolist()[5:] == [1, 1]
    assert 0 < y[2] < 1e-12
    assert y.dtype == dtype


def test_indices_are_numbers_and_constants_are_given() -> None:
    f = constant_tensor("F", [[1.0, 2.0], [3.0, 4.0]])
    (y,) = run(defined(f[R, J] * 10 + (2 * R - J), R, J))
    assert y.tolist() == [[10, 19], [32, 41]]


@pytest.mark.parametrize("idle", [1, 3])
def test_a_sum_over_what_nothing_depends_on_multiplies(idle: int) -> None:
    x, w, m = given_tensor("X", 2), given_tensor("W", 2), Index("m", idle)
    for body, expected in ((x[R], [5, 7]), (x[R] * w[R], [10, 21]), (x[R] * w[K], [25, 35])):
        over = [m, K] if body == x[R] * w[K] else [m]
        (y,) = run(defined(sum_over(over, body), R), X=[5, 7], W=[2, 3])
        assert y.tolist() == [idle * e for e in expected]


def test_products_of_many_factors() -> None:
    generator = np.random.default_rng(0)
    a, b, c = (given_tensor(name, 3, 4) for name in "ABC")
    arrays = {name: generator.normal(size=(3, 4)) for name in "ABC"}
    u = Index("u", 4)
    y = defined(sum_over([u], a[R, u] * b[J, u] * c[R, u] * a[J, u]), R, J)
    (got,) = run(y, **arrays)
    np.testing.assert_allclose(
        got, np.einsum("iu,ju,iu,ju->ij", arrays["A"], arrays["B"], arrays["C"], arrays["A"]), rtol=1e-12
    )


def test_outside_reads_zero_in_sums_and_minus_infinity_under_a_maximum() -> None:
    x, i, u = given_tensor("X", 3), Index("i", 5), Index("u", 2)
    arrays = {"X": [-1.0, -2.0, -3.0]}
    assert run(defined(sum_over([u], x[i + u - 2]), i), **arrays)[0].tolist() == [0, -1, -3, -5, -3]
    assert run(defined(max_over([u], x[i + u - 2]), i), **arrays)[0].tolist() == [-INF, -1, -1, -2, -3]
    assert run(defined(maximum(x[i - 1], -1.5), i), **arrays)[0].tolist() == [0, -1, -1.5, -1.5, 0]


def test_what_no_part_writes_is_zero() -> None:
    x, y = given_tensor("X", 2), Tensor("Y", (2, 5))
    y[J, 2 * R + 1] = x[R] + J
    z = Tensor("Z")
    z[J, K] = y[J, K] * 1
    got, copied = run(y, z, X=[3, 4])
    assert got.tolist() == copied.tolist() == [[0, 3, 0, 4, 0], [0, 4, 0, 5, 0]]


def test_a_diagonal_of_one() -> None:
    y = Tensor("Y", (1, 1))
    y[R, R] = given_tensor("X", 1)[R] * 2
    (got,) = run(y, X=[3])
    assert got.tolist() == [[6]]


# ---- the contract of an executable


def test_outputs_are_new_arrays() -> None:
    x = given_tensor("X", 3)
    array = np.ones(3)
    out = NumpyEngine().compile(Program.of([defined(x[R] + 0 * x[R], R), x]), dtype="float64").run({"X": array})
    out["X"][:] = 9
    assert array.tolist() == [1, 1, 1]


def test_updates_use_the_values_before_the_step() -> None:
    v, p = Tensor("V", (2,), role="state"), Tensor("P", (2,), role="state")
    new_v, new_p = Tensor("V'", (2,)), Tensor("P'", (2,))
    new_v[R], new_p[R] = v[R] + 1, v[R]
    arrays = {"V": np.array([10.0, 20.0]), "P": np.zeros(2)}
    NumpyEngine().compile(Program.of([], [(v, new_v), (p, new_p)]), dtype="float64").run(arrays)
    assert arrays["V"].tolist() == [11, 21]
    assert arrays["P"].tolist() == [10, 20]


def test_a_missing_value_is_named() -> None:
    y = defined(exp(given_tensor("X", 3)[R]), R)
    with pytest.raises(NotationError, match="the program needs a value for X"):
        run(y)


def test_only_two_precisions() -> None:
    with pytest.raises(UsageError, match="the numpy engine computes in float32 or float64, not in float16"):
        NumpyEngine().compile(Program.of([]), dtype="float16")
