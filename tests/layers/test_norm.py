"""Batch normalisation's running statistics, and what its equations say of themselves and of wrong arguments."""

import math

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.layers import BatchNorm2d, LocalResponseNorm
from pellucid.notation import Tensor


def statistics(channel: list[float]) -> tuple[float, float]:
    """Mean, and variance without bias."""
    mean = math.fsum(channel) / len(channel)
    return mean, math.fsum((v - mean) ** 2 for v in channel) / (len(channel) - 1)


@pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0])
def test_running_statistics_follow_the_batches(momentum: float, engine: str, generator: np.random.Generator) -> None:
    model = pc.Sequential([("bn", BatchNorm2d(3, momentum=momentum)), ("flatten", pc.layers.Flatten())])
    step = pc.compile_training(model, 4, (3, 2, 5), loss="mse", optimizer=pc.optim.SGD(lr=0.01), engine=engine)
    mean, variance = [0.0] * 3, [1.0] * 3
    for _ in range(3):
        x = generator.normal(2, 3, (4, 3, 2, 5)).astype(np.float32)
        step(x, np.zeros((4, 30), np.float32))
        for c in range(3):
            m, v = statistics(x[:, c].astype(float).ravel().tolist())
            mean[c] = (1 - momentum) * mean[c] + momentum * m
            variance[c] = (1 - momentum) * variance[c] + momentum * v
    after = step.parameters
    np.testing.assert_allclose(after["bn.running_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(after["bn.running_var"], variance, rtol=1e-5)
    step.write_back()
    step.close()
    x = generator.normal(2, 3, (2, 3, 2, 5)).astype(np.float32)
    weight, bias = after["bn.weight"], after["bn.bias"]
    y = pc.predict(model, x, engine=engine).reshape(x.shape)
    for c in range(3):
        expected = (x[:, c] - mean[c]) / math.sqrt(variance[c] + 1e-5) * weight[c] + bias[c]
        np.testing.assert_allclose(y[:, c], expected, rtol=1e-4, atol=1e-5)


def test_training_alone_changes_the_statistics() -> None:
    model = pc.Sequential([("bn", BatchNorm2d(2))]).init()
    x = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2)
    pc.predict(model, x)
    pc.vjp(model, x, training=True)
    assert model.states["bn.running_mean"].tolist() == [0, 0]
    assert model.states["bn.running_var"].tolist() == [1, 1]


def test_its_names_are_those_of_pytorch() -> None:
    tensors = BatchNorm2d(5).tensors()
    assert {n: t.role for n, t in tensors.items()} == {
        "weight": "parameter", "bias": "parameter", "running_mean": "state", "running_var": "state"
    }  # fmt: skip
    assert set(BatchNorm2d(5, affine=False).tensors()) == {"running_mean", "running_var"}
    assert not BatchNorm2d(5, affine=False, track_running_stats=False).tensors()


def test_the_derived_gradient_is_the_one_that_textbooks_print() -> None:
    lines = [str(equation) for equation in pc.derive(BatchNorm2d(3), (3, 4, 4)).gradients]
    assert lines == [
        "db[c] = sum(n,i,j) dY[n,c,i,j]",
        "dW[c] = sum(n,i,j) dY[n,c,i,j] * H[n,c,i,j]",
        "dX[n,c,i,j] = W[c] * (dY[n,c,i,j] - db[c] / 32 - dW[c] * H[n,c,i,j] / 32) / D[c]",
    ]


def test_the_derived_gradient_of_the_response_normalisation() -> None:
    lines = [str(equation) for equation in pc.derive(LocalResponseNorm(5, alpha=1.0), (7, 4, 4)).gradients]
    assert lines == [
        "dS[n,c,i,j] = -0.75 * dY[n,c,i,j] * Y[n,c,i,j] / S[n,c,i,j]",
        "dX[n,c,i,j] = dY[n,c,i,j] / S[n,c,i,j]^0.75 + 0.4 * X[n,c,i,j] * (sum(u) dS[n,c-u+2,i,j])",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_features": 0}, "BatchNorm2d: num_features must be a positive integer; got 0"),
        ({"eps": -1.0}, "BatchNorm2d: eps must be at least 0 and momentum between 0 and 1; got -1.0 and 0.1"),
        ({"momentum": 1.5}, "BatchNorm2d: eps must be at least 0 and momentum between 0 and 1; got 1e-05 and 1.5"),
        ({"momentum": None}, "BatchNorm2d: momentum must be a finite number; got None"),
    ],
)
def test_arguments_out_of_their_range(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        BatchNorm2d(**{"num_features": 4, **arguments})
    assert str(error.value) == message


def test_images_that_do_not_fit() -> None:
    with pytest.raises(ShapeError) as error:
        BatchNorm2d(4).forward(Tensor("X", (2, 3, 5, 5), role="input", name="pool1"))
    assert str(error.value) == 'expects 4 channels, but "pool1" gives 3'
    model = pc.Sequential([("bn", BatchNorm2d(4))])
    with pytest.raises(ShapeError) as error:
        pc.vjp(model, np.ones((1, 4, 1, 1)), training=True)
    assert str(error.value) == (
        'BatchNorm2d "bn": "input" gives one value per channel, which has no variance to train with'
    )


def test_the_window_of_the_response_normalisation_is_a_size() -> None:
    with pytest.raises(UsageError) as error:
        LocalResponseNorm(0)
    assert str(error.value) == "LocalResponseNorm: size must be a positive integer; got 0"
