"""Optimisers against one-number-at-a-time oracles, through the training step that users call."""

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import CheckpointError, PellucidError, UsageError
from tests.optim.table import OPTIMIZER_CASES, OptimizerCase
from tests.oracles import activation, conv, dense, losses, pool
from tests.oracles.compare import assert_close, assert_identical
from tests.oracles.optimizers import Optimizer
from tests.oracles.result import Array

every_case = pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case.id)

BATCH, IMAGE, CLASSES, STEPS = 4, (1, 6, 6), 3, 6
CLOSE = {"float64": {"rtol": 1e-8, "atol": 1e-11}, "float32": {"rtol": 1e-4, "atol": 1e-4}}
"""Single precision drifts a little further apart with every step."""
Batch = tuple[Array, np.ndarray[tuple[int], np.dtype[np.int64]]]


def build_model() -> pc.Graph:
    """A small network with what matters to an optimiser: weights and biases of several ranks."""
    return pc.Sequential(
        [
            ("conv1", pc.layers.Conv2d(1, 2, 3)),
            ("tanh", pc.layers.Tanh()),
            ("pool1", pc.layers.AvgPool2d(2)),
            ("flatten", pc.layers.Flatten()),
            ("fc1", pc.layers.Linear(8, CLASSES)),
        ]
    ).init(seed=3)


def batches() -> list[Batch]:
    """The same batches in every run, exact in float32."""
    generator = np.random.default_rng(11)
    return [
        (
            generator.normal(size=(BATCH, *IMAGE)).astype(np.float32).astype(np.float64),
            generator.integers(CLASSES, size=BATCH),
        )
        for _ in range(STEPS)
    ]


def loss_and_gradients(parameters: dict[str, Array], batch: Batch) -> tuple[float, dict[str, Array]]:
    """The same network by plain loops: forward, loss, backward."""
    x, labels = batch
    names = ("conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias")
    conv_weight, conv_bias, fc_weight, fc_bias = (parameters[name] for name in names)
    maps = conv.conv2d(x, conv_weight, conv_bias).y
    bent = activation.tanh(maps).y
    small = pool.avg_pool2d(bent, kernel_size=2).y
    rows = dense.flatten(small).y
    value, dz = losses.cross_entropy(dense.linear(rows, fc_weight, fc_bias).y, labels)
    fc = dense.linear(rows, fc_weight, fc_bias, dz)
    d_small = dense.flatten(small, fc.dx).dx
    d_bent = pool.avg_pool2d(bent, d_small, kernel_size=2).dx
    d_maps = activation.tanh(maps, d_bent).dx
    first = conv.conv2d(x, conv_weight, conv_bias, d_maps)
    arrays = (
        first.gradients["weight"],
        first.gradients["bias"],
        fc.gradients["weight"],
        fc.gradients["bias"],
    )
    return value, dict(zip(names, arrays, strict=True))


def compiled(case: OptimizerCase, engine: str, dtype: str) -> pc.TrainingStep:
    """A training step of the small network with the case's optimiser."""
    return pc.compile_training(
        build_model(),
        batch_size=BATCH,
        input_shape=IMAGE,
        loss="cross_entropy",
        optimizer=pc.optim.get(case.kind, **case.options),
        engine=engine,
        dtype=dtype,
        seed=0,
    )


def start() -> dict[str, Array]:
    """The parameters that every run starts from."""
    return {name: value.astype(np.float64) for name, value in build_model().parameters.items()}


@every_case
def test_training_agrees_with_plain_loops(case: OptimizerCase, double_engine: str, repro: str) -> None:
    step, oracle, parameters = compiled(case, double_engine, "float64"), case.oracle(), start()
    for number, batch in enumerate(batches()):
        expected, gradients = loss_and_gradients(parameters, batch)
        parameters = oracle.apply(parameters, gradients)
        value = step(*batch)
        assert_close(f"loss {number}", np.array([value]), np.array([expected]), rtol=1e-9, repro=repro)
        now = step.parameters
        assert set(now) == set(parameters)
        for name, wanted in parameters.items():
            assert_close(f"{name} after step {number}", now[name], wanted, rtol=1e-8, atol=1e-11, repro=repro)


@every_case
def test_single_precision_follows(case: OptimizerCase, engine: str, repro: str) -> None:
    step, oracle, parameters = compiled(case, engine, "float32"), case.oracle(), start()
    for batch in batches():
        _, gradients = loss_and_gradients(parameters, batch)
        parameters = oracle.apply(parameters, gradients)
        step(batch[0].astype(np.float32), batch[1])
    for name, value in step.parameters.items():
        assert value.dtype == np.float32
        assert_close(name, value, parameters[name], **CLOSE["float32"], repro=repro)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_learning_rate_of_a_single_step(kind: str, engine: str, dtype: str, repro: str) -> None:
    """A schedule overrides the rate step by step; with momentum, the velocity does not contain the rate."""
    arguments = (("lr", 0.1), ("momentum", 0.9)) if kind == "sgd" else (("lr", 0.1), ("weight_decay", 0.1))
    case = OptimizerCase(kind, arguments)
    step, parameters = compiled(case, engine, dtype), start()
    states: dict[str, list[dict[str, float]]] = {}
    for number, (batch, rate) in enumerate(zip(batches(), (0.1, 0.03, 0.5, 0.01, 0.2, 0.1), strict=True)):
        update = OptimizerCase(kind, (("lr", rate), *arguments[1:])).oracle().update
        _, gradients = loss_and_gradients(parameters, batch)
        parameters = Optimizer(update, step=number, states=states).apply(parameters, gradients)
        step(*batch, learning_rate=rate)
    for name, value in step.parameters.items():
        assert_close(name, value, parameters[name], **CLOSE[dtype], repro=repro)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_smaller_last_batch_is_its_own_mean(rows: int, engine: str, dtype: str, repro: str) -> None:
    case = OptimizerCase("sgd", (("lr", 0.1), ("momentum", 0.9)))
    step, oracle, parameters = compiled(case, engine, dtype), case.oracle(), start()
    for number, (x, labels) in enumerate(batches()):
        batch = (x[:rows], labels[:rows]) if number % 2 else (x, labels)
        expected, gradients = loss_and_gradients(parameters, batch)
        parameters = oracle.apply(parameters, gradients)
        value = step(*batch)
        assert_close(f"loss {number}", np.array([value]), np.array([expected]), **CLOSE[dtype], repro=repro)
        assert step.output.shape == (len(batch[1]), CLASSES)
    now = step.parameters
    for name, wanted in parameters.items():
        assert_close(name, now[name], wanted, **CLOSE[dtype], repro=repro)


@pytest.mark.parametrize("case", [OPTIMIZER_CASES[5], OPTIMIZER_CASES[10], OPTIMIZER_CASES[14]], ids=lambda c: c.id)
def test_a_restored_state_goes_on_as_if_nothing_had_happened(
    case: OptimizerCase, dtype: str, engine: str, repro: str
) -> None:
    whole, first, second = (compiled(case, engine, dtype) for _ in range(3))
    for batch in batches():
        whole(*batch)
    for batch in batches()[:3]:
        first(*batch)
    saved = first.state_dict()
    first(*batches()[3])  # the saved state is a copy: going on does not change it
    second(*batches()[0])  # what is loaded replaces everything that was there
    second.load_state_dict(saved)
    for batch in batches()[3:]:
        second(*batch)
    expected, actual = whole.state_dict(), second.state_dict()
    assert set(actual) == set(expected)
    for name, wanted in expected.items():
        if np.any(wanted):
            assert_identical(name, actual[name], wanted, repro)
        else:
            np.testing.assert_array_equal(actual[name], wanted)


@pytest.mark.parametrize("damage", ["missing", "extra", "shape", "dtype"])
def test_a_state_that_does_not_fit_is_refused(damage: str, engine: str) -> None:
    step = compiled(OPTIMIZER_CASES[1], engine, "float32")
    step(*batches()[0])
    before, state = step.state_dict(), step.state_dict()
    name = "model.fc1.weight"
    if damage == "missing":
        del state[name]
    elif damage == "extra":
        name = "model.fc2.weight"
        state[name] = np.zeros(3, np.float32)
    elif damage == "shape":
        state[name] = state[name].T.copy()
    else:
        state[name] = state[name].astype(np.float64)
    with pytest.raises(CheckpointError, match=name):
        step.load_state_dict(state)
    after = step.state_dict()
    assert all(np.array_equal(after[key], before[key]) for key in before), "a refused state left traces"


def test_parameters_are_handed_out_as_copies_and_written_back_on_request(engine: str) -> None:
    model = build_model()
    step = pc.compile_training(
        model, batch_size=BATCH, input_shape=IMAGE, optimizer=pc.optim.SGD(lr=0.1), engine=engine
    )
    before = {name: value.copy() for name, value in model.parameters.items()}
    x, labels = batches()[0]
    step(x.astype(np.float32), labels)
    step.parameters["fc1.weight"][:] = 0
    assert np.any(step.parameters["fc1.weight"])
    assert all(np.array_equal(model.parameters[name], before[name]) for name in before)
    step.write_back()
    for name, value in model.parameters.items():
        np.testing.assert_array_equal(value, step.parameters[name])
        assert not np.array_equal(value, before[name]), f"{name} was not trained"


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("sgd", {"lr": -0.1}, "SGD.*lr.*-0.1"),
        ("sgd", {"lr": float("nan")}, "SGD.*lr.*nan"),
        ("sgd", {"lr": 0.1, "momentum": -0.5}, "SGD.*momentum.*-0.5"),
        ("sgd", {"lr": 0.1, "momentum": 1.5}, "SGD.*momentum.*1.5"),
        ("sgd", {"lr": 0.1, "nesterov": True}, "SGD.*nesterov.*momentum"),
        ("sgd", {"lr": 0.1, "weight_decay": -1}, "SGD.*weight_decay.*-1"),
        ("adam", {"lr": float("inf")}, "Adam.*lr.*inf"),
        ("adam", {"betas": (0.9, 1.0)}, "Adam.*betas.*1.0"),
        ("adam", {"betas": (-0.1, 0.9)}, "Adam.*betas.*-0.1"),
        ("adam", {"eps": -1e-8}, "Adam.*eps.*-1e-08"),
        ("adamw", {"weight_decay": -0.1}, "AdamW.*weight_decay.*-0.1"),
        ("adagrad", {"lr": 0.1}, "adagrad.*sgd"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pc.optim.get(kind, **options)


@pytest.mark.parametrize(
    ("x_shape", "labels", "message"),
    [
        ((5, 1, 6, 6), 5, "5.*4|4.*5"),
        ((0, 1, 6, 6), 0, "0"),
        ((4, 1, 6, 7), 4, "6, 7"),
        ((4, 1, 6, 6), 3, "3.*4|4.*3"),
    ],
    ids=["too many", "none", "wider", "labels"],
)
def test_batches_that_do_not_fit_are_refused(x_shape: tuple[int, ...], labels: int, message: str, engine: str) -> None:
    step = compiled(OPTIMIZER_CASES[0], engine, "float32")
    before = step.parameters
    with pytest.raises(PellucidError, match=message):
        step(np.ones(x_shape, np.float32), np.zeros(labels, np.int64))
    assert all(np.array_equal(step.parameters[name], before[name]) for name in before)
