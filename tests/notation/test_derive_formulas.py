"""Derived gradients as they are printed: the formulas of the textbook and of the notes."""

from fractions import Fraction

import numpy as np
import pytest

import pellucid as pc
from pellucid.derivation import derive as derive_layer
from pellucid.engines.numpy.executable import NumpyEngine
from pellucid.errors import NotationError
from pellucid.layers import AvgPool2d, Conv2d, FixedFilter2d, GlobalAvgPool2d, MaxPool2d
from pellucid.notation import (
    Expression,
    Index,
    Program,
    Tensor,
    bracket,
    constant,
    erf,
    exp,
    indices,
    log,
    log1p,
    max_over,
    maximum,
    sqrt,
    sum_over,
    tanh,
)
from pellucid.notation.counting import multiply_adds
from pellucid.notation.derive import derive
from tests.notation.interpreter import place, points

R, J, K = indices("i j k")


def given(symbol: str, *shape: int) -> Tensor:
    return Tensor(symbol, shape, role="input")


def lines(layer: pc.Layer, *shape: int) -> list[str]:
    """The equations derived for a layer."""
    return [str(e) for e in derive_layer(layer, shape).gradients]


def formulas(output: Tensor, *wrt: Tensor, keep_all: bool = False) -> list[str]:
    """The equations of the gradients, and of what they need beside the forward pass."""
    found = derive({output: given("dY", *output.extents)}, wrt, keep_all=keep_all)
    forward = set(Program.of([output]).equations)
    return [str(e) for e in Program.of([found[t] for t in wrt]) if e not in forward]


def defined(value: Expression, *at: Index) -> Tensor:
    y = Tensor("Y")
    y[at] = value
    return y


# ---- convolution


def test_stride_one_is_the_notes_full_convolution() -> None:
    assert lines(Conv2d(2, 3, 3), 2, 6, 6) == [
        "dX[n,c,x,y] = sum(o,u,v) dY[n,o,x-u,y-v] * W[o,c,u,v]",
        "dW[o,c,u,v] = sum(n,i,j) dY[n,o,i,j] * X[n,c,i+u,j+v]",
        "db[o] = sum(n,i,j) dY[n,o,i,j]",
    ]


def test_padding_needs_no_guard() -> None:
    assert lines(Conv2d(2, 3, 3, padding=(1, 2)), 2, 6, 6)[:2] == [
        "dX[n,c,x,y] = sum(o,u,v) dY[n,o,x-u+1,y-v+2] * W[o,c,u,v]",
        "dW[o,c,u,v] = sum(n,i,j) dY[n,o,i,j] * X[n,c,i+u-1,j+v-2]",
    ]


def test_dilation() -> None:
    assert lines(Conv2d(1, 1, 3, dilation=(2, 3)), 1, 11, 11)[0] == (
        "dX[n,c,x,y] = sum(o,u,v) dY[n,o,x-2*u,y-3*v] * W[o,c,u,v]"
    )


def test_groups() -> None:
    assert lines(Conv2d(4, 6, 3, groups=2, bias=False), 4, 6, 6) == [
        "dX[n,2*g+c,x,y] = sum(o,u,v) dY[n,3*g+o,x-u,y-v] * W[3*g+o,c,u,v]",
        "dW[3*g+o,c,u,v] = sum(n,i,j) dY[n,3*g+o,i,j] * X[n,2*g+c,i+u,j+v]",
    ]


def test_a_flipped_kernel_is_correlated_backwards() -> None:
    assert lines(Conv2d(1, 1, 3, flip=True, bias=False), 1, 6, 6) == [
        "dX[n,c,x,y] = sum(o,u,v) dY[n,o,x+u-2,y+v-2] * W[o,c,u,v]",
        "dW[o,c,u,v] = sum(n,i,j) dY[n,o,i,j] * X[n,c,i-u+2,j-v+2]",
    ]


def test_a_stride_is_a_phase_for_every_remainder() -> None:
    assert lines(Conv2d(1, 1, 3, stride=2, padding=1, bias=False), 1, 7, 7)[:4] == [
        "dX[n,c,2*x,2*y] = sum(o,u,v) dY[n,o,x-u,y-v] * W[o,c,2*u+1,2*v+1]",
        "dX[n,c,2*x,2*y+1] = sum(o,u,v) dY[n,o,x-u,y-v+1] * W[o,c,2*u+1,2*v]",
        "dX[n,c,2*x+1,2*y] = sum(o,u,v) dY[n,o,x-u+1,y-v] * W[o,c,2*u,2*v+1]",
        "dX[n,c,2*x+1,2*y+1] = sum(o,u,v) dY[n,o,x-u+1,y-v+1] * W[o,c,2*u,2*v]",
    ]


def test_windows_that_do_not_overlap_need_no_phases() -> None:
    assert lines(Conv2d(1, 1, 2, stride=3, bias=False), 1, 8, 8)[0] == (
        "dX[n,c,3*i+u,3*j+v] = sum(o) dY[n,o,i,j] * W[o,c,u,v]"
    )


@pytest.mark.parametrize(
    ("layer", "heads"),
    [
        (Conv2d(1, 1, 3, stride=2, dilation=2, bias=False), ["2*x,2*y"]),  # odd rows reach no window
        (
            Conv2d(1, 1, 3, stride=4, dilation=2, bias=False),
            ["4*x,4*y", "4*x,4*y+2", "4*x+2,4*y", "4*x+2,4*y+2"],
        ),
        (
            Conv2d(1, 1, 3, stride=3, dilation=2, bias=False),
            [f"3*x{r},3*y{t}" for r in ("", "+1", "+2") for t in ("", "+1", "+2")],
        ),
    ],
)
def test_strides_and_dilations_that_share_a_factor(layer: Conv2d, heads: list[str]) -> None:
    equations = [line for line in lines(layer, 1, 13, 13) if line.startswith("dX")]
    assert [line.split("]", 1)[0] for line in equations] == [f"dX[n,c,{head}" for head in heads]
    assert not any(">" in line or "<" in line for line in equations)


@pytest.mark.parametrize("stride", [1, 2, 3, (2, 3)])
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_phases_share_no_element_and_have_no_guards(
    stride: int | tuple[int, int], dilation: int, padding: int, flip: bool
) -> None:
    layer = Conv2d(1, 1, (3, 2), stride, padding, dilation, bias=False, flip=flip)
    parts = [e for e in derive_layer(layer, (1, 9, 10)).gradients if e.tensor.symbol == "dX"]
    written = [place(e.at, point) for e in parts for point in points(e.indices)]
    assert len(written) == len(set(written)) <= parts[0].tensor.size
    assert all(part.tensor is parts[0].tensor for part in parts)
    if not flip or stride == 1:
        assert not any("[" in str(e).replace("dX[", "").replace("dY[", "").replace("W[", "") for e in parts)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (Conv2d(3, 5, 2, stride=2, bias=False), 8),
        (Conv2d(3, 5, 4, stride=2, padding=1, bias=False), 8),
        (Conv2d(3, 5, (5, 1), stride=(3, 1), padding=(1, 0), bias=False), (9, 4)),
        (Conv2d(4, 6, 4, stride=4, groups=2, bias=False), 12),
        (Conv2d(3, 5, 3, stride=1, padding=1, bias=False), 7),
    ],
)
def test_all_phases_together_cost_what_the_forward_pass_costs(layer: Conv2d, size: int | tuple[int, int]) -> None:
    """Where every input row is read equally often, or the padding makes up for it, nothing is computed in vain."""
    height, width = size if isinstance(size, tuple) else (size, size)
    found = derive_layer(layer, (layer.in_channels, height, width))
    (forward,) = map(multiply_adds, found.forward)
    for symbol in ("dX", "dW"):
        backward = sum(multiply_adds(e) for e in found.gradients if e.tensor.symbol == symbol)
        assert backward == forward


def test_a_stride_and_a_dilation_with_a_common_factor() -> None:
    assert lines(Conv2d(1, 1, 3, stride=4, dilation=(2, 4), bias=False), 1, 13, 13)[:2] == [
        "dX[n,c,4*x,4*y] = sum(o,u,v) dY[n,o,x-u,y-v] * W[o,c,2*u,v]",
        "dX[n,c,4*x+2,4*y] = sum(o,u,v) dY[n,o,x-u,y-v] * W[o,c,2*u+1,v]",
    ]
    assert lines(Conv2d(1, 1, (3, 1), stride=(2, 1), dilation=(3, 1), bias=False), 1, 13, 1)[:2] == [
        "dX[n,c,2*x,j+v] = sum(o,u) dY[n,o,x-3*u,j] * W[o,c,2*u,v]",
        "dX[n,c,2*x+1,j+v] = sum(o,u) dY[n,o,x-3*u-1,j] * W[o,c,2*u+1,v]",
    ]


def test_fixed_filters() -> None:
    assert lines(FixedFilter2d("gaussian"), 1, 6, 6) == ["dX[n,c,x,y] = sum(u,v) dY[n,c,x-u,y-v] * F[u,v] / 16"]


# ---- pooling


def test_maximum_by_its_argument() -> None:
    assert lines(MaxPool2d(2), 1, 6, 6) == [
        "argY[n,c,i,j] = argmax(u,v) X[n,c,2*i+u,2*j+v]",
        "dX[n,c,2*i+u,2*j+v] = [argY[n,c,i,j] == 2*u+v] * dY[n,c,i,j]",
    ]
    assert lines(MaxPool2d(3, stride=1), 1, 6, 6) == [
        "argY[n,c,i,j] = argmax(u,v) X[n,c,i+u,j+v]",
        "dX[n,c,x,y] = sum(u,v) [argY[n,c,x-u,y-v] == 3*u+v] * dY[n,c,x-u,y-v]",
    ]


def test_maximum_to_all_that_attain_it() -> None:
    assert lines(MaxPool2d(2, ties="all"), 1, 6, 6) == [
        "dX[n,c,2*i+u,2*j+v] = [X[n,c,2*i+u,2*j+v] == Y[n,c,i,j]] * dY[n,c,i,j]"
    ]
    assert lines(MaxPool2d(2, stride=1, ties="all"), 1, 6, 6) == [
        "dX[n,c,x,y] = sum(u,v) [X[n,c,x,y] == Y[n,c,x-u,y-v]] * dY[n,c,x-u,y-v]"
    ]


def test_maximum_in_phases() -> None:
    assert lines(MaxPool2d(3, stride=2, padding=1), 1, 6, 6)[1:3] == [
        "dX[n,c,2*x,2*y] = sum(u,v) [argY[n,c,x-u,y-v] == 6*u+2*v+4] * dY[n,c,x-u,y-v]",
        "dX[n,c,2*x,2*y+1] = sum(u,v) [argY[n,c,x-u,y-v+1] == 6*u+2*v+3] * dY[n,c,x-u,y-v+1]",
    ]


def test_means() -> None:
    assert lines(AvgPool2d(2), 1, 6, 6) == ["dX[n,c,2*i+u,2*j+v] = dY[n,c,i,j] / 4"]
    assert lines(AvgPool2d(3, 1, 1), 1, 6, 6) == ["dX[n,c,x,y] = sum(u,v) dY[n,c,x-u+1,y-v+1] / 9"]
    assert lines(GlobalAvgPool2d(), 1, 6, 6) == ["dX[n,c,i,j] = dY[n,c] / 36"]


def test_a_quotient_is_settled_before_it_is_read_outside() -> None:
    """Outside, dY and K both read 0: dividing there would give 0/0."""
    assert lines(AvgPool2d(3, 1, 1, count_include_pad=False), 1, 6, 6) == [
        "GY[n,c,i,j] = dY[n,c,i,j] / K[i,j]",
        "dX[n,c,x,y] = sum(u,v) GY[n,c,x-u+1,y-v+1]",
    ]


# ---- activations, softmax, losses


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (pc.layers.ReLU(), ["dX[n,k] = dY[n,k] * [X[n,k] > 0]"]),
        (pc.layers.LeakyReLU(0.5), ["dX[n,k] = dY[n,k] * ([X[n,k] > 0] + 0.5 * [X[n,k] <= 0])"]),
        (pc.layers.Sigmoid(), ["dX[n,k] = dY[n,k] * Y[n,k] * (1 - Y[n,k])"]),
        (pc.layers.Tanh(), ["dX[n,k] = dY[n,k] * (1 - Y[n,k]^2)"]),
        (pc.layers.ScaledTanh(2.0, 0.25), ["dX[n,k] = 0.5 * dY[n,k] * (1 - T[n,k]^2)"]),
        (pc.layers.Flatten(), ["dX[n,k] = dY[n,k]"]),
        (pc.layers.Dropout(), ["dX[n,k] = dY[n,k] * K[n,k]"]),
        (pc.layers.Softmax(), ["Q[n] = sum(k) dY[n,k] * P[n,k]", "dX[n,k] = (dY[n,k] - Q[n]) * P[n,k]"]),
        (
            pc.layers.LogSoftmax(),
            ["Q[n] = sum(k) dY[n,k]", "P[n,k] = E[n,k] / S[n]", "dX[n,k] = dY[n,k] - Q[n] * P[n,k]"],
        ),
        (
            pc.layers.Linear(5, 3),
            ["dX[n,k] = sum(o) dY[n,o] * W[o,k]", "dW[o,k] = sum(n) dY[n,o] * X[n,k]", "db[o] = sum(n) dY[n,o]"],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layers_of_vectors(layer: pc.Layer, expected: list[str]) -> None:
    assert lines(layer, 5) == expected


def loss_gradient(loss: pc.losses.Loss, *, one_hot: bool = False, softmax: bool = False) -> list[str]:
    z = Tensor("Z", (4, 10), role="input")
    target = np.eye(10)[[1, 2, 3, 4]] if one_hot else np.array([1, 2, 3, 4])
    output = pc.layers.Softmax().forward(z) if softmax else z
    value = loss.forward(output, loss.target(output, target))
    gradient = derive({value: None}, [z])[z]
    forward = set(Program.of([value]).equations)
    return [str(e) for e in Program.of([gradient]) if e not in forward]


@pytest.mark.parametrize(
    ("loss", "one_hot", "softmax", "expected"),
    [
        (pc.losses.CrossEntropy(), False, False, "(P[n,k] - [k == y[n]]) / 4"),
        (pc.losses.CrossEntropy(), True, False, "(P[n,k] - T[n,k]) / 4"),
        (pc.losses.CrossEntropy(label_smoothing=0.1), False, False, "(P[n,k] - T[n,k]) / 4"),
        (pc.losses.CrossEntropy(label_smoothing=0.1), True, False, "(P[n,k] - T[n,k]) / 4"),
        (pc.losses.CrossEntropy(inputs="probabilities"), False, True, "(P[n,k] - [k == y[n]]) / 4"),
        (pc.losses.CrossEntropy(inputs="probabilities"), True, True, "(P[n,k] - T[n,k]) / 4"),
        (pc.losses.MeanSquaredError(), True, False, "(Z[n,k] - T[n,k]) / 20"),
    ],
)
def test_softmax_and_cross_entropy_are_s_minus_y(
    loss: pc.losses.Loss, one_hot: bool, softmax: bool, expected: str
) -> None:
    *before, gradient = loss_gradient(loss, one_hot=one_hot, softmax=softmax)
    assert gradient == f"dZ[n,k] = {expected}"
    assert before in ([], ["P[n,k] = E[n,k] / S[n]"])


# ---- equations of a user's own


def test_a_tensor_read_twice_in_one_equation() -> None:
    x = given("X", 5)
    assert formulas(defined(x[R] * x[R], R), x) == ["dX[i] = 2 * dY[i] * X[i]"]
    assert formulas(defined(x[R] * x[R + 1], R), x) == ["dX[i] = dY[i] * X[i+1] + dY[i-1] * X[i-1]"]
    assert formulas(defined(x[R] + x[R], R), x) == ["dX[i] = 2 * dY[i]"]


def test_residual_sums() -> None:
    x, w = given("X", 3, 4), given("W", 4, 4)
    h, y = Tensor("H"), Tensor("Y")
    h[R, J] = sum_over([K], x[R, K] * w[K, J])
    y[R, J] = x[R, J] + tanh(h[R, J])
    found = formulas(y, x, w)
    assert found[-1].startswith("dW[k,j] = sum(i) ")
    (d_x,) = [line for line in found if line.startswith("dX")]
    assert d_x.startswith("dX[i,j] = dY[i,j] + sum(j') ") and "W[j,j']" in d_x


def test_branches_of_different_forms_get_a_name_each() -> None:
    x = given("X", 4, 4)
    y = Tensor("Y", (4, 4))
    y[R, J] = x[R, J] * x[R, R] + sum_over([K], x[K, J])
    dx = formulas(y, x)
    assert dx[-1] == "dX[x1,x2] = dX_1[x1,x2] + dX_2[x1,x2] + dX_3[x1,x2]"
    assert "dX_2[i,i] = sum(j) dY[i,j] * X[i,j]" in dx


def test_an_index_bound_inside_another_factor_captures_nothing() -> None:
    x, a = given("X", 3), given("A", 3, 3)
    y = defined(sum_over([J], x[J] * a[R, J]) * x[R], R)
    assert formulas(y, x) == ["dX[j] = sum(i) dY[i] * X[i] * A[i,j] + dY[j] * (sum(j') X[j'] * A[j,j'])"]


def test_new_names_are_not_those_of_other_sums() -> None:
    x, b, u, inner = given("X", 4), given("B", 3, 4), Index("u", 2), Index("x", 4)
    i = Index("i", 3)
    y = defined(sum_over([u], x[i + u]) * sum_over([inner], b[i, inner]), i)
    assert formulas(y, x) == ["dX[y] = sum(u) dY[y-u] * (sum(x) B[y-u,x])"]


def test_two_scaled_gradients_have_two_names() -> None:
    x, z, k, m = given("X", 4), given("Z", 4), given("K", 4), given("M", 4)
    i, u, v = Index("i", 4), Index("u", 3), Index("v", 3)
    y = defined(sum_over([u], x[i + u - 1]) / k[i] + sum_over([v], z[i + v - 1]) / m[i], i)
    found = derive({y: given("dY", 4)}, [x, z])
    ones = {"dY": np.ones(4), "K": np.full(4, 2.0), "M": np.full(4, 4.0)}
    out = NumpyEngine().compile(Program.of(found.values()), dtype="float64").run(ones)
    assert out["d X"].tolist() == [1.0, 1.5, 1.5, 1.0]
    assert out["d Z"].tolist() == [0.5, 0.75, 0.75, 0.5]


def test_a_diagonal_that_leaves_the_tensor_is_written_inside_it() -> None:
    x, i, j = given("X", 5, 5), Index("i", 2), Index("j", 2)
    y = defined(x[i + j, i + j + 3] * 1, i, j)
    gradient = derive({y: given("dY", 2, 2)}, [x])[x]
    assert [str(e) for e in gradient.definition] == ["dX[x,y] = [y-x-3 == 0] * (sum(j) dY[x-j,j])"]
    (equation,) = gradient.definition
    equation.check_writes((5, 5))


def test_a_window_of_windows_is_solved_by_an_index_of_step_one() -> None:
    x, i, u, v = given("X", 9), Index("i", 3), Index("u", 2), Index("v", 2)
    y = defined(sum_over([u, v], x[2 * i + u + 3 * v]), i)
    assert formulas(y, x) == ["dX[x] = sum(i,v) dY[i] * [x-2*i-3*v >= 0] * [x-2*i-3*v < 2]"]


def test_maximum_with_ties() -> None:
    x = given("X", 3)
    assert formulas(defined(maximum(x[R], 0.5), R), x) == ["dX[i] = dY[i] * [X[i] > 0.5]"]
    values = {"X": np.array([0.5, 1.0, 0.0]), "dY": np.array([1.0, 10.0, 100.0])}
    z = given("Z", 3)
    found = derive({defined(maximum(x[R], z[R]), R): given("dY", 3)}, [x, z])
    out = NumpyEngine().compile(Program.of(found.values()), dtype="float64").run({**values, "Z": values["X"] * 0 + 0.5})
    assert out["d X"].tolist() == [0, 10, 0]
    assert out["d Z"].tolist() == [1, 0, 100]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda x: x**2, "2 * dY[i] * X[i]"),
        (lambda x: x**3, "3 * dY[i] * X[i]^2"),
        (lambda x: x**0.5, "0.5 * dY[i] * X[i]^(-0.5)"),
        (lambda x: x ** Fraction(1, 2), "dY[i] * X[i]^(-1 / 2) / 2"),
        (lambda x: 1 / x, "-dY[i] * Y[i] / X[i]"),
        (lambda x: exp(x), "dY[i] * Y[i]"),
        (lambda x: log(x), "dY[i] / X[i]"),
        (lambda x: sqrt(x), "dY[i] / (2 * Y[i])"),
        (lambda x: log1p(x), "dY[i] / (1 + X[i])"),
        (lambda x: erf(x), "1.12838 * dY[i] * exp(-X[i]^2)"),
        (lambda x: 3 * x - x, "2 * dY[i]"),
        (lambda x: x - x, "0"),
        (lambda x: constant(x) * x, "dY[i] * constant(X[i])"),
        (lambda x: bracket(x, ">", 0) * x, "dY[i] * [X[i] > 0]"),
        (lambda x: exp(-2 * x + 1), "-2 * dY[i] * Y[i]"),
        (lambda x: (R + 1) * x, "dY[i] * (i+1)"),
    ],
)  # fmt: skip
def test_pointwise_rules(value: object, expected: str) -> None:
    x = given("X", 4)
    assert callable(value)
    assert formulas(defined(value(x[R]), R), x) == [f"dX[i] = {expected}"]


def test_nested_sums() -> None:
    x, w = given("X", 3, 4), given("W", 4)
    y = Tensor("Y")
    y[()] = sum_over([J], w[J] * sum_over([K], x[K, J]))
    assert formulas(y, x, w) == ["dX[k,j] = dY * W[j]", "dW[j] = dY * (sum(k) X[k,j])"]


def test_unused_inputs_have_gradient_zero() -> None:
    x, unused, labels = given("X", 3), given("U", 2, 2), Tensor("y", (3,), role="input", kind="int")
    y = defined(x[R] * labels[R], R)
    found = derive({y: given("dY", 3)}, [x, unused, labels])
    assert [str(e) for e in found[unused].definition] == ["dU[x1,x2] = 0"]
    assert found[unused].shape == (2, 2)
    assert [str(e) for e in found[labels].definition] == ["dy[x1] = 0"]


def test_all_intermediate_gradients_can_be_kept() -> None:
    x = given("X", 3)
    h, y = Tensor("H"), Tensor("Y")
    h[R] = tanh(x[R])
    y[R] = h[R] * 2
    assert formulas(y, x) == ["dX[i] = 2 * dY[i] * (1 - H[i]^2)"]
    found = derive({y: given("dY", 3)}, [x], keep_all=True)
    assert {t.symbol: str(g.definition[0]) for t, g in found.items() if g.definition} == {
        "H": "dH[i] = 2 * dY[i]",
        "X": "dX[i] = dH[i] * (1 - H[i]^2)",
    }


def test_a_scalar_has_gradient_one_and_an_array_needs_one() -> None:
    x = given("X", 3)
    y = Tensor("L")
    y[()] = sum_over([R], x[R] ** 2)
    assert [str(e) for e in derive({y: None}, [x])[x].definition] == ["dX[i] = 2 * X[i]"]
    with pytest.raises(NotationError, match="Z has 3 elements: say what gradient comes in"):
        z = Tensor("Z")
        z[R] = x[R] * 2
        derive({z: None}, [x])


def test_a_gradient_that_is_not_zero_outside_keeps_its_name() -> None:
    """Written in place, dH = 1 would count where there is no element of H."""
    x, w = given("X", 5), given("W", 2)
    h, loss = Tensor("H"), Tensor("L")
    h[R] = sum_over([K], x[R + K] * w[K])
    loss[()] = sum_over([J], h[J])
    gradient = derive({loss: None}, [x])[x]
    assert [str(e) for e in Program.of([gradient])] == ["dH[j] = 1", "dX[x] = sum(k) dH[x-k] * W[k]"]
    out = NumpyEngine().compile(Program.of([gradient]), dtype="float64").run({"W": np.array([3.0, 5.0])})
    assert out["d X"].tolist() == [3, 8, 8, 8, 5]


def test_a_user_quotient_read_outside_gives_no_nan() -> None:
    x, k = given("X", 4), given("K", 4)
    i, u = Index("i", 4), Index("u", 3)
    y = defined(sum_over([u], x[i + u - 1]) / (k[i] * k[i]), i)
    found = derive({y: given("dY", 4)}, [x, k])
    arrays = {"dY": np.ones(4), "X": np.arange(4.0), "K": np.full(4, 2.0)}
    out = NumpyEngine().compile(Program.of(found.values()), dtype="float64").run(arrays)
    assert out["d X"].tolist() == [0.5, 0.75, 0.75, 0.5]
    assert out["d K"].tolist() == [-0.25, -0.75, -1.5, -1.25]


# ---- what has no rule


def test_an_exponent_that_would_need_a_gradient() -> None:
    x, w = given("X", 3), given("W", 3)
    y = defined(x[R] ** w[R], R)
    with pytest.raises(
        NotationError, match=r"^Y: no rule to differentiate X\[i\]\^W\[i\] by its exponent; write it as exp"
    ):
        derive({y: given("dY", 3)}, [w])
    assert formulas(y, x) == ["dX[i] = W[i] * dY[i] * X[i]^(W[i] - 1)"]


def test_a_maximum_inside_a_formula() -> None:
    x, c = given("X", 3), given("C", 4)
    y = defined(x[R] - max_over([J], c[J]), R)
    with pytest.raises(NotationError, match=r"^Y: give the maximum max\(j\) C\[j\] an equation of its own"):
        derive({y: given("dY", 3)}, [c])
    assert formulas(y, x) == ["dX[i] = dY[i]"]


def test_an_access_with_too_many_strides() -> None:
    x, i, u, v = given("X", 20), Index("i", 3), Index("u", 3), Index("v", 2)
    y = defined(sum_over([u, v], x[2 * i + 4 * u + 3 * v]), i)
    with pytest.raises(NotationError, match=r"X\[2\*i\+4\*u\+3\*v\]: 2\*i\+4\*u\+3\*v has too many strided indices"):
        derive({y: given("dY", 3)}, [x])


# ---- parts and guards


def test_readers_of_different_parts_share_no_sum() -> None:
    """Each writes its own part of the gradient: other phases, or another range."""
    x, y = given("X", 9), Tensor("Y", (9,))
    half, third = Index("i", 3), Index("j", 3)
    y[2 * half] = x[2 * half] * 5
    y[2 * half + 1] = x[2 * half + 1] ** 2
    y[third + 6] = -x[third + 6]
    assert formulas(y, x) == [
        "dX[2*i] = 5 * dY[2*i]",
        "dX[2*i+1] = 2 * dY[2*i+1] * X[2*i+1]",
        "dX[j+6] = -dY[j+6]",
    ]
    z = Tensor("Z", (9,))
    z[2 * half] = x[2 * half]
    z[2 * half + 1] = x[2 * half]
    assert [line.split(" = ")[0] for line in formulas(z, x)][-1] != "dX[2*i]", "here two readers do share elements"


def test_a_multiple_of_an_index_needs_no_guard_where_it_leaves_its_tensor() -> None:
    """dY[2*x+2*u-1] is 0 wherever x+u-1 is outside 0 .. 3; but dY[x+u] would not be outside with it."""
    x, w, y = given("X", 4), given("W", 2), Tensor("Y", (8,))
    i, u = Index("i", 4), Index("u", 2)
    y[2 * i + 1] = sum_over([u], x[i - u + 1] * w[u])
    assert formulas(y, x) == ["dX[x] = sum(u) dY[2*x+2*u-1] * W[u]"]
    z = Tensor("Z", (9,))
    z[2 * i + 2] = sum_over([u], x[i - u + 1] * w[u])
    assert formulas(z, x) == ["dX[x] = sum(u) dY[2*x+2*u] * W[u] * [x+u-1 >= 0]"]
