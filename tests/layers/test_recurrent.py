"""Recurrent layers: their equations, their parameters' names, and what they learn."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.layers import GRU, LSTM, RNN, Linear, SelectStep


def test_the_equations_of_two_steps() -> None:
    derived = pc.derive(RNN(3, 4), (2, 3))
    assert [str(equation) for equation in (*derived.forward, *derived.gradients)] == [
        "P[n,t,k] = sum(i) X[n,t,i] * W[k,i] + b[k]",
        "H0[n,k] = tanh(P[n,0,k] + c[k])",
        "H1[n,k] = tanh(P[n,1,k] + (sum(j) U[k,j] * H0[n,j] + c[k]))",
        "Y[n,0,k] = H0[n,k]",
        "Y[n,1,k] = H1[n,k]",
        "dH0[n,k] = dY[n,0,k] + sum(k') dY[n,1,k'] * (1 - H1[n,k']^2) * U[k',k]",
        "dP[n,1,k] = dY[n,1,k] * (1 - H1[n,k]^2)",
        "dP[n,0,k] = dH0[n,k] * (1 - H0[n,k]^2)",
        "dX[n,t,i] = sum(k) dP[n,t,k] * W[k,i]",
        "dW[k,i] = sum(n,t) dP[n,t,k] * X[n,t,i]",
        "dU[k,j] = sum(n) dY[n,1,k] * (1 - H1[n,k]^2) * H0[n,j]",
        "db[k] = sum(n,t) dP[n,t,k]",
        "dc[k] = sum(n) dY[n,1,k] * (1 - H1[n,k]^2) + sum(n) dH0[n,k] * (1 - H0[n,k]^2)",
    ]


def test_the_update_gate_reads_each_state_once() -> None:
    lines = [str(e) for e in pc.derive(GRU(3, 4), (2, 3)).forward]
    assert "H1[n,k] = M1[n,k] + S1[n,k+4] * (H0[n,k] - M1[n,k])" in lines


@pytest.mark.parametrize(("layer", "gates"), [(RNN, 1), (LSTM, 4), (GRU, 3)])
def test_parameters_have_pytorchs_names_and_shapes(layer: Any, gates: int) -> None:
    shapes = {name: value.shape for name, value in layer(3, 5, num_layers=2, bidirectional=True).parameters.items()}
    rows = gates * 5
    expected = {
        f"{kind}_l{number}{ending}": shape
        for number, inputs in ((0, 3), (1, 10))
        for ending in ("", "_reverse")
        for kind, shape in (
            ("weight_ih", (rows, inputs)), ("weight_hh", (rows, 5)), ("bias_ih", (rows,)), ("bias_hh", (rows,))
        )
    }  # fmt: skip
    assert shapes == expected and list(shapes) == list(expected)
    assert max(np.abs(value).max() for value in layer(3, 4).parameters.values()) <= 0.5


def test_a_forgotten_cell_remembers_nothing() -> None:
    """With the forget gate shut (a bias of -100) and i = g's half, each step sees its own input alone."""
    layer = LSTM(1, 1, bias=True)
    bias = np.array([0.0, -100.0, 0.0, 0.0])
    weight = np.array([[0.0], [0.0], [1.0], [0.0]])
    zero = np.zeros((4, 1))
    layer.load({"weight_ih_l0": weight, "weight_hh_l0": zero, "bias_ih_l0": bias, "bias_hh_l0": np.zeros(4)})
    x = np.array([[[1.0], [-2.0], [0.5]]])
    y = pc.predict(layer, x, engine="numpy", dtype="float64")[0, :, 0]
    assert y == pytest.approx(0.5 * np.tanh(0.5 * np.tanh(x[0, :, 0])), rel=1e-12)


def test_it_learns_what_stood_at_the_beginning(engine: str) -> None:
    """The sign of the first of six numbers, which a layer without memory cannot know at the end."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(256, 6, 1)).astype(np.float32)
    labels = (x[:, 0, 0] > 0).astype(np.int64)
    model = pc.Sequential([GRU(1, 8), SelectStep(), Linear(8, 2)]).init(0)
    step = pc.compile_training(model, 256, (6, 1), optimizer=pc.optim.Adam(lr=0.03), engine=engine)
    losses = [step(x, labels) for _ in range(60)]
    assert losses[0] > 0.5 and losses[-1] < 0.1
    step.close()


def test_every_step_can_be_selected() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for number in (0, 2, -1, -3):
        assert np.array_equal(pc.predict(SelectStep(number), x), x[:, number])
    with pytest.raises(ShapeError, match='takes step 3, but "input" has 3 steps'):
        pc.predict(SelectStep(3), x)
    with pytest.raises(ShapeError, match=r"expects sequences \(N, L, K\)"):
        pc.predict(SelectStep(), x[:, 0])
    with pytest.raises(UsageError, match=r"step must be a whole number; got 1\.5"):
        SelectStep(1.5)  # type: ignore[arg-type]


def test_errors() -> None:
    with pytest.raises(ShapeError, match='expects 3 numbers at each step, but "input" gives 4'):
        pc.predict(LSTM(3, 2), np.zeros((1, 2, 4)))
    with pytest.raises(ShapeError, match=r'expects sequences \(N, L, 3\), but "input" gives 2 dimensions'):
        pc.predict(LSTM(3, 2), np.zeros((1, 3)))
    with pytest.raises(UsageError, match='nonlinearity must be "tanh" or "relu"'):
        RNN(3, 2, nonlinearity="sigmoid")
    with pytest.raises(UsageError, match="GRU: hidden_size must be a positive integer"):
        GRU(3, 0)
