"""The configuration of a run: which layer wins, what is refused, and what is said about it."""

import tomllib
from pathlib import Path

import pytest

from pellucid.cli.config import Config, parse_pair, resolve, with_origins
from pellucid.errors import ConfigError, DataError

FLAGS: dict[str, str | int | float | bool | None] = {}


def no_defaults(model: str) -> dict[str, object]:
    return {}


def test_each_layer_covers_the_ones_below(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[model]\nname = 'notes-cnn'\n[optimizer]\nlr = 0.2\nmomentum = 0.8\nweight_decay = 0.1\n")
    config = resolve(
        [str(file)],
        ["optimizer.momentum=0.7", "optimizer.weight_decay=0.2"],
        {"optimizer.weight_decay": 0.3, "training.epochs": None},
        [],
        lambda model: {"optimizer.lr": 0.1, "optimizer.name": "adam" if model == "notes-cnn" else "sgd"},
    )
    assert config["optimizer.name"] == "adam"  # the model was named by the file, so its defaults count
    assert (config["optimizer.lr"], config.origins["optimizer.lr"]) == (0.2, str(file))
    assert (config["optimizer.momentum"], config.origins["optimizer.momentum"]) == (0.7, "--set")
    assert (config["optimizer.weight_decay"], config.origins["optimizer.weight_decay"]) == (
        0.3,
        "--weight-decay",
    )
    assert config.origins["optimizer.name"] == "default of notes-cnn"
    assert config.origins["training.epochs"] == "default"


def test_what_belongs_to_a_replaced_model_or_optimizer_is_dropped(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak.toml", tmp_path / "strong.toml"
    weak.write_text(
        "[data]\nname = 'mnist'\nroot = 'files'\n[optimizer]\nname = 'sgd'\nmomentum = 0.9\n"
        "[model]\nname = 'lenet5'\n[model.options]\nactivation = 'relu'\n[training]\nepochs = 7\n"
    )
    strong.write_text("[data]\nname = 'photos'\n[optimizer]\nname = 'adam'\n")
    config = resolve([str(weak), str(strong)], [], {"model.name": "notes-cnn"}, ["bias=false"], no_defaults)
    assert (config["data.root"], config["optimizer.momentum"]) == (None, None)
    assert config.model_options == {"bias": False}
    assert config["training.epochs"] == 7
    same = resolve(
        [str(weak)], ["optimizer.lr=0.5"], {"optimizer.name": "sgd", "model.name": "lenet5"}, [], no_defaults
    )
    assert (same["optimizer.momentum"], same["optimizer.lr"], same["data.root"]) == (0.9, 0.5, "files")
    assert same.model_options == {"activation": "relu"}


def test_options_of_the_model_from_all_layers(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[model.options]\nactivation = 'relu'\npooling = 'max'\n")
    pairs, options = ["model.options.pooling=average"], ["activation=tanh", "classes=26"]
    config = resolve([str(file)], pairs, {}, options, no_defaults)
    assert config.model_options == {"activation": "tanh", "pooling": "average", "classes": 26}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("optimizer.lrr=1", "--set: there is no setting optimizer.lrr. Did you mean optimizer.lr?"),
        ("lr=1", "--set: there is no setting lr. Did you mean optimizer.lr?"),
        ("training.epochs=0", "--set: training.epochs must be at least 1, but is 0."),
        ("training.epochs=2.5", "--set: training.epochs must be a whole number, but is 2.5."),
        ("training.epochs=true", "--set: training.epochs must be a number, but is True."),
        ("optimizer.lr=0", "--set: optimizer.lr must be more than 0, but is 0.0."),
        ("optimizer.lr=nan", "--set: optimizer.lr must be more than 0, but is nan."),
        ("optimizer.nesterov=1", "--set: optimizer.nesterov must be true or false, but is 1."),
        ("optimizer.name=sdg", "--set: optimizer.name must be one of sgd, adam, adamw, but is 'sdg'."),
        ("optimizer=[1]", "there is no setting optimizer"),
        ("epochs", "--set epochs: write it as key=value, for example --set optimizer.lr=0.05."),
    ],
)
def test_what_is_refused(pair: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve([], [pair], {}, [], no_defaults)
    assert message in str(caught.value)


def test_an_unknown_key_in_the_file_is_named_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[training]\nepoch = 3\n")
    with pytest.raises(ConfigError, match=r"run\.toml: there is no setting training\.epoch\. Did you mean"):
        resolve([str(file)], [], {}, [], no_defaults)


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[training\n")
    with pytest.raises(ConfigError, match=r"run\.toml: this is not valid TOML: .*line 1"):
        resolve([str(file)], [], {}, [], no_defaults)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        resolve([str(file)], [], {}, [], no_defaults)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"none\.toml: cannot read the configuration: No such file"):
        resolve(["none.toml"], [], {}, [], no_defaults)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=0.5", 0.5),
        ("a=true", True),
        ("a=tanh", "tanh"),
        ("a='1'", "1"),
        ("a=[1, 2]", [1, 2]),
        ("a=", ""),
    ],
)
def test_values_are_read_as_toml_writes_them(text: str, value: object) -> None:
    assert parse_pair(text, "--set") == ("a", value)


def test_the_resolved_configuration_can_be_read_again(tmp_path: Path) -> None:
    config = resolve([], ["optimizer.lr=0.25"], {"data.name": "digits"}, ["activation=tanh"], no_defaults)
    text = with_origins(config)
    assert {name: table for name, table in tomllib.loads(text).items() if table} == config.tables()
    assert "lr = 0.25                        # --set" in text
    assert "# patience is not set" in text
    file = tmp_path / "again.toml"
    file.write_text(text)
    assert resolve([str(file)], [], {}, [], no_defaults).values == config.values


def test_settings_without_a_value_are_left_out_of_the_tables() -> None:
    config = Config()
    config.put("training.seed", 3, "--seed")
    config.values["training.patience"] = None
    assert config.tables() == {"training": {"seed": 3}}
