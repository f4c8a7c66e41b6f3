"""The configuration of a run: defaults, the model's defaults, TOML files, --set, the flags; the last wins.

Each value remembers where it came from, so that --print-config can say so.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pellucid.cli.settings import BY_KEY, SETTINGS, Value, parse
from pellucid.errors import ConfigError, DataError, ResourceError

MODEL_OPTIONS = "model.options"
OPTIMIZER_NAME = "optimizer.name"
DEFAULT = "default"

# setting: what a file says about these is meant for the file's own value of it
DEPENDENTS = {"model.name": f"{MODEL_OPTIONS}.", OPTIMIZER_NAME: "optimizer.", "data.name": "data.root"}


@dataclass
class Config:
    """Resolved settings: values and origins by key, and the model's options."""

    values: dict[str, Value] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    model_options: dict[str, Any] = field(default_factory=dict)

    def put(self, key: str, value: Any, origin: str) -> None:
        """Set one key, checked; `model.options.NAME` is left to the model to check."""
        table, _, name = key.rpartition(".")
        if table == MODEL_OPTIONS:
            self.model_options[name] = value
        else:
            self.values[key] = parse(known(key, origin), value, origin)
        self.origins[key] = origin

    def cover(self, stronger: "Config") -> None:
        """Take over what a stronger layer says, and drop what belonged to the model, optimiser or data it replaces."""
        for key, dependents in DEPENDENTS.items():
            if stronger[key] is not None and self[key] not in (None, stronger[key]):
                for name in [name for name in self.origins if name.startswith(dependents)]:
                    del self.origins[name]
                    self.values.pop(name, None)
                    self.model_options.pop(name.removeprefix(f"{MODEL_OPTIONS}."), None)
        self.values |= stronger.values
        self.origins |= stronger.origins
        self.model_options |= stronger.model_options

    def __getitem__(self, key: str) -> Any:
        return self.values.get(key)

    def tables(self) -> dict[str, Any]:
        """The configuration as nested tables, as TOML writes it; settings without a value are left out."""
        result: dict[str, Any] = {}
        for key, value in self.values.items():
            if value is not None:
                table, name = key.split(".")
                result.setdefault(table, {})[name] = value
        if self.model_options:
            result.setdefault("model", {})["options"] = dict(self.model_options)
        return result


def known(key: str, origin: str) -> Any:
    """The setting of that key, or a ConfigError that suggests the one that was meant."""
    if key in BY_KEY:
        return BY_KEY[key]
    same_name = [name for name in BY_KEY if name.split(".")[1] == key.rpartition(".")[2]]
    close = same_name or difflib.get_close_matches(key, BY_KEY, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(BY_KEY)}."
    raise ConfigError(f"{origin}: there is no setting {key}. {hint}")


def flatten(tables: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Nested tables as dotted keys and values."""
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def read_file(path: str) -> dict[str, Any]:
    """The tables of a TOML file, or an error that names the file and the line."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        kind = ResourceError if isinstance(error, PermissionError) else DataError
        raise kind(f"{path}: cannot read the configuration: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not valid TOML: {error}.") from error


def parse_value(text: str) -> Any:
    """A value as TOML writes it (0.1, true, [1, 2], "text"); anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def parse_pair(text: str, flag: str) -> tuple[str, Any]:
    """The key and the value of `key=value`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{flag} {text}: write it as key=value, for example {flag} {example(flag)}.")
    return key.strip(), parse_value(value.strip())


def example(flag: str) -> str:
    """A correct pair for a flag's message."""
    return "activation=tanh" if flag == "--option" else "optimizer.lr=0.05"


def resolve(
    files: Sequence[str],
    pairs: Iterable[str],
    flags: Mapping[str, Value],
    options: Iterable[str],
    model_defaults: Callable[[str], Mapping[str, Any]],
) -> Config:
    """Put all layers on top of each other, the strongest last.

    `files` are from the weakest to the strongest; `flags` maps keys to values (None: not given);
    `model_defaults` gives a model's defaults by its name, which the stronger layers decide first.
    """
    strong, asked = Config(), Config()
    for pair in pairs:
        asked.put(*parse_pair(pair, "--set"), origin="--set")
    for key, value in flags.items():
        if value is not None:
            asked.put(key, value, BY_KEY[key].flag or "argument")
    for pair in options:
        name, value = parse_pair(pair, "--option")
        asked.put(f"{MODEL_OPTIONS}.{name}", value, "--option")
    for file in files:
        strong.cover(layer_of(file))
    strong.cover(asked)

    config = Config()
    for setting in SETTINGS:
        config.values[setting.key], config.origins[setting.key] = setting.default, DEFAULT
    model = str(strong["model.name"] or config["model.name"])
    defaults = model_defaults(model)
    other_optimizer = strong[OPTIMIZER_NAME] not in (None, defaults.get(OPTIMIZER_NAME))
    for key, value in defaults.items():
        # A learning rate that suits one optimiser ruins another, which then has its own default.
        if not (other_optimizer and key.startswith("optimizer.")):
            config.put(key, value, f"default of {model}")
    config.values |= strong.values
    config.origins |= strong.origins
    config.model_options |= strong.model_options
    return config


def layer_of(file: str) -> Config:
    """What a file says."""
    layer = Config()
    for key, value in flatten(read_file(file)):
        layer.put(key, value, file)
    return layer


def with_origins(config: Config) -> str:
    """The configuration as TOML, each line with the origin of its value; what is not set is a comment."""
    import tomli_w

    values = config.values | {f"{MODEL_OPTIONS}.{name}": value for name, value in config.model_options.items()}
    tables: dict[str, list[str]] = {}
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        text = f"# {name} is not set" if value is None else tomli_w.dumps({name: value}).strip()
        origin = "" if value is None else f"# {config.origins[key]}"
        tables.setdefault(table, []).append(f"{text:<32} {origin}".rstrip())
    return "\n\n".join("\n".join([f"[{table}]", *lines]) for table, lines in tables.items())
