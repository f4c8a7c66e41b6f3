"""Embedding: tokens pass through everything that runs a model, and only tokens do."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.engines.numpy.executable import NumpyEngine
from pellucid.errors import DataError, ShapeError, UsageError
from pellucid.layers import Embedding, Flatten, Linear
from pellucid.notation import Program, Tensor, bracket, indices, sum_over

SENTENCES = np.array([[0, 1, 4, 4], [2, 2, 1, 0]])


def model() -> pc.Sequential:
    return pc.Sequential([Embedding(5, 3), Flatten(), Linear(12, 2)])


def test_the_equations() -> None:
    derived = pc.derive(Embedding(5, 3), (4,))
    assert [str(equation) for equation in (*derived.forward, *derived.gradients)] == [
        "Y[n,l,k] = sum(v) [v == X[n,l]] * W[v,k]",
        "dW[v,k] = sum(n,l) dY[n,l,k] * [v == X[n,l]]",
    ]
    padded = pc.derive(Embedding(5, 3, padding_idx=2), (4,))
    assert str(padded.forward[0]) == "Y[n,l,k] = sum(v) [v == X[n,l]] * [v != 2] * W[v,k]"


def test_the_padding_token_starts_as_zero() -> None:
    weight = Embedding(5, 3, padding_idx=2).init(0).parameters["weight"]
    assert not weight[2].any() and weight[[0, 1, 3, 4]].all()


def test_tokens_are_rows(engine: str) -> None:
    layer = Embedding(5, 3).init(1)
    assert np.array_equal(pc.predict(layer, SENTENCES, engine=engine), layer.parameters["weight"][SENTENCES])


@pytest.mark.parametrize("token", [5, -1, 1.5, np.nan])
def test_what_is_no_token_is_refused(token: float, engine: str) -> None:
    wrong: Any = SENTENCES.astype(type(token))
    wrong[1, 2] = token
    with pytest.raises(DataError, match=r"the input at \[1, 2\] is .*: tokens are whole numbers from 0 to 4"):
        pc.predict(model(), wrong, engine=engine)
    step = pc.compile_training(model(), 2, (4,), engine=engine)
    with pytest.raises(DataError, match="tokens are whole numbers from 0 to 4"):
        step(wrong, np.array([0, 1]))
    step.close()


def test_a_model_with_tokens_is_trained(engine: str) -> None:
    """Which of two words a sentence holds is learned, and the words' vectors change, those alone."""
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=64)
    sentences = np.where(generator.permuted([[1, 0, 0, 0]] * 64, axis=1), 3 + labels[:, None], 1)
    splits = pc.data.from_arrays((sentences, labels), validation=0.25)
    assert splits.train.image_shape == (4,) and "sentences of 4 tokens" in splits.description()
    network = model().init(0)
    before = network.parameters["embedding1.weight"].copy()
    run = pc.fit(network, splits, epochs=15, batch_size=16, seed=1, engine=engine, progress=False)
    assert pc.evaluate(network, splits.validation).accuracy == 1.0
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    changed = (network.parameters["embedding1.weight"] != before).any(axis=1)
    assert changed.tolist() == [False, True, False, True, True]


def test_a_number_behind_a_token_is_explained() -> None:
    network = model().init(0)
    text = str(pc.explain(network, SENTENCES[:1], "embedding1[2,1]"))
    value = network.parameters["embedding1.weight"][4, 1]
    assert pc.explain(network, SENTENCES[:1], "embedding1[2,1]").value == pytest.approx(value, rel=1e-6)
    assert "[v == " in text


def test_errors() -> None:
    with pytest.raises(UsageError, match="padding_idx must be a token from 0 to 4; got 5"):
        Embedding(5, 3, padding_idx=5)
    with pytest.raises(UsageError, match="num_embeddings must be a positive integer"):
        Embedding(0, 3)
    with pytest.raises(ShapeError, match=r'sequences of tokens \(N, L\), but "input" gives 3 dimensions'):
        pc.predict(Embedding(5, 3), np.zeros((1, 2, 3), int))


@pytest.mark.parametrize(
    "sentences",
    [np.zeros((4, 3), np.int32), np.zeros((4, 3, 2), np.int64), np.full((4, 3), -1)],
)
def test_data_that_are_no_sentences(sentences: Any) -> None:
    with pytest.raises(DataError, match=r"sentences of tokens: \(N, L\) of int64|from 0 on, but one of them is -1"):
        pc.data.from_arrays((sentences, np.zeros(4, int)))


def test_selections_equal_the_sums_they_stand_for() -> None:
    """Numbers out of range select nothing; a second condition and a factor of another shape are kept."""
    v, n, k = indices("v n k")
    chosen, w = Tensor("T", (4,), role="input", kind="int"), Tensor("W", (3, 2), role="input")
    a, g = Tensor("A", (4,), role="input"), Tensor("G", (4, 2), role="input")
    gathered, scattered = Tensor("Y"), Tensor("Z", (3, 2))
    gathered[n, k] = sum_over([v], bracket(chosen[n], "==", v) * bracket(v, "!=", 1) * w[v, k] * a[n])
    scattered[v, k] = sum_over([n], bracket(v, "==", chosen[n]) * bracket(a[n], ">", 1) * g[n, k] * a[n])
    arrays = {"T": np.array([2, 7, 1, 2]), "W": np.arange(6.0).reshape(3, 2), "A": np.array([1.0, 2.0, 3.0, 4.0])}
    arrays["G"] = np.arange(8.0).reshape(4, 2)
    out = NumpyEngine().compile(Program.of([gathered, scattered]), dtype="float64").run(arrays)
    assert out["Y"].tolist() == [[4, 5], [0, 0], [0, 0], [16, 20]]
    assert out["Z"].tolist() == [[0, 0], [12, 15], [24, 28]]
