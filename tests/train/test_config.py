"""config.toml of a call of `fit`: what the command line can repeat, and what it must refuse."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

import pellucid as pc
from pellucid.errors import ConfigError
from pellucid.train.config import check_config, configuration_of
from pellucid.train.schedules import Cosine, LinearWarmup

VALUES: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "augment": None,
    "ema_decay": None,
    "teachers": None,
    "teacher_mirror": None,
    "seed": 3,
    "patience": None,
    "checkpoint_every": 500,
    "engine": "numpy",
    "threads": None,
    "dtype": "float32",
}


@pytest.fixture(scope="module")
def digits() -> Any:
    return pc.data.load("digits", size=28, seed=4)


def tables(splits: Any, **changes: Any) -> dict[str, Any]:
    """The configuration of a call, written and read again."""
    call = {
        "model": pc.models.create("lenet5"),
        "optimizer": pc.optim.SGD(lr=0.1),
        "loss": pc.losses.CrossEntropy(),
        "schedule": "cosine",
    }
    arguments = {**call, **{name: value for name, value in changes.items() if name in call}}
    values = {**VALUES, **{name: value for name, value in changes.items() if name in VALUES}}
    made = configuration_of(splits=splits, values=values, **arguments)
    return tomllib.loads(tomli_w.dumps(made))


def test_an_ordinary_call(digits: Any) -> None:
    assert tables(digits) == {
        "data": {"name": "digits", "validation": 0.1, "seed": 4, "bad_files": "error"},
        "model": {"name": "lenet5", "options": pc.models.options("lenet5")},
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
        "training": {
            "epochs": 2,
            "batch_size": 8,
            "seed": 3,
            "loss": "cross_entropy",
            "schedule": "cosine",
            "checkpoint_every": "500",
        },
        "run": {"engine": "numpy"},
    }


def test_numbers_of_numpy(digits: Any) -> None:
    assert tables(digits, optimizer=pc.optim.SGD(lr=np.float64(0.5)), epochs=np.int64(3))["training"]["epochs"] == 3


class Mine(pc.losses.CrossEntropy):
    """A loss of the user's own."""


@pytest.mark.parametrize(
    ("change", "table", "key", "value"),
    [
        ({"optimizer": pc.optim.Adam()}, "optimizer", "betas", None),
        ({"optimizer": pc.optim.Adam(betas=(0.8, 0.9))}, "optimizer", "betas", [0.8, 0.9]),
        ({"loss": pc.losses.MeanSquaredError()}, "training", "loss", "mse"),
        ({"loss": pc.losses.CrossEntropy(0.1)}, "training", "loss", "cross_entropy"),
        ({"loss": pc.losses.CrossEntropy(0.1)}, "training", "label_smoothing", 0.1),
        ({"loss": pc.losses.CrossEntropy()}, "training", "label_smoothing", None),
        ({"schedule": Cosine(10)}, "training", "schedule", {"name": "Cosine", "steps": 10, "floor": 0.0}),
        ({"schedule": np.sqrt}, "training", "schedule", {"name": "sqrt"}),
        ({"dtype": "float64"}, "run", "dtype", "float64"),
        ({"model": pc.Sequential([pc.layers.Flatten()])}, "model", "name", "Sequential"),
    ],
)
def test_what_is_unusual_is_written_and_nothing_else(
    digits: Any, change: dict[str, Any], table: str, key: str, value: object
) -> None:
    assert tables(digits, **change)[table].get(key) == value


def test_losses_that_a_name_does_not_make(digits: Any) -> None:
    on_probabilities = tables(digits, loss=pc.losses.CrossEntropy(inputs="probabilities"))["training"]["loss"]
    assert (on_probabilities["name"], on_probabilities["inputs"]) == ("cross_entropy", "probabilities")
    assert tables(digits, loss=Mine())["training"]["loss"]["name"] == "Mine"


def test_a_schedule_within_a_schedule(digits: Any) -> None:
    described = tables(digits, schedule=LinearWarmup(5, after=Cosine(10)))["training"]["schedule"]
    assert described == {"name": "LinearWarmup", "steps": 5, "after": {"name": "Cosine", "steps": 10, "floor": 0.0}}


def test_data_in_memory_and_in_another_size() -> None:
    images, labels = np.zeros((8, 1, 4, 4), np.float32), np.arange(8) % 2
    arrays = pc.data.from_arrays((images, labels), name="mine")
    assert tables(arrays)["data"]["name"] == "mine"
    assert tables(pc.data.load("digits", size=32))["data"]["size"] == [32, 32]


def test_a_configuration_of_ones_own_is_written_as_it_is(digits: Any, tmp_path: Path) -> None:
    splits = pc.data.load("digits", size=28, validation=0.97)
    mine = {"training": {"epochs": 1, "patience": None}, "note": "of my own"}
    run = pc.fit(
        pc.models.create("notes-cnn"), splits, 1, out=tmp_path / "a", config=mine, progress=False, report=False
    )
    assert tomllib.loads((tmp_path / "a/config.toml").read_text()) == {"training": {"epochs": 1}, "note": "of my own"}
    assert run.config == {"training": {"epochs": 1}, "note": "of my own"}


@pytest.mark.parametrize("config", [{"a": object()}, {1: 2}, [1]])
def test_what_toml_cannot_hold(config: Any) -> None:
    with pytest.raises(ConfigError, match="config must be tables of texts"):
        check_config(config)
