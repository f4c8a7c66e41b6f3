"""Every setting of a training run in one table: it makes the flags and checks the TOML file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Setting:
    """One thing a person can set, with its place in the TOML file and its flag."""

    key: str  # "optimizer.lr": the table and the key in the configuration file
    flag: str | None  # None: given by the command's argument or by --option
    kind: type[str] | type[int] | type[float] | type[bool]
    help: str
    default: Value = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False  # the minimum itself is not allowed

    @property
    def parameter(self) -> str:
        """The name under which click hands the flag's value to the command."""
        return self.key.replace(".", "__")


SETTINGS = (
    Setting("data.name", None, str, "data set, or folder of class folders"),
    Setting("data.root", "--data-root", str, "Folder that holds the data set's files."),
    Setting("data.download", "--download", bool, "Download the data set when it is not there.", False),
    Setting("data.validation", "--validation", float,
            "Share of the training images kept for validation, if the data has no split for it.",
            0.1, minimum=0, maximum=0.99),
    Setting("data.seed", None, int, "seed of the split, if it is not the training's", minimum=0),
    Setting("data.bad_files", "--bad-files", str, "Unreadable images: stop with an error, or drop them.",
            "error", choices=("error", "drop")),
    Setting("model.name", "--model", str, "Architecture; `pellucid models` lists them.", "lenet5"),
    Setting("model.init", "--init", str,
            "Weights to start from instead of drawn ones: a .safetensors file, or a run's folder for its best."),
    Setting("optimizer.name", "--optimizer", str, "Update rule.", choices=("sgd", "adam", "adamw")),
    Setting("optimizer.lr", "--lr", float, "Learning rate.", minimum=0, above=True),
    Setting("optimizer.momentum", "--momentum", float, "Momentum of SGD.", minimum=0, maximum=1),
    Setting("optimizer.nesterov", "--nesterov", bool, "Nesterov's form of momentum."),
    Setting("optimizer.weight_decay", "--weight-decay", float, "Weight decay.", minimum=0),
    Setting("training.epochs", "--epochs", int, "Passes over the training images.", minimum=1),
    Setting("training.batch_size", "--batch-size", int, "Images per step.", minimum=1),
    Setting("training.loss", "--loss", str, "Loss function.", "cross_entropy"),
    Setting("training.label_smoothing", "--label-smoothing", float,
            "Share of every target spread evenly over the classes (cross-entropy).", minimum=0, maximum=0.99),
    Setting("training.schedule", "--schedule", str, "Course of the learning rate over the epochs."),
    Setting("training.augment", "--augment", str,
            "Random changes to the training images: flip, crop, crop-reflect, erase; none. "
            "With numbers: flip:0.5,crop:4."),
    Setting("training.ema_decay", "--ema-decay", float,
            "Validate and save running averages of the weights, of which this share (0.999) stays at each step.",
            minimum=0, maximum=0.999999),
    Setting("training.teacher", "--teacher", str,
            "Learn the probabilities that the best epoch of this run gives, not the labels (distillation). "
            "Several runs: separated by commas."),
    Setting("training.teacher_mirror", "--teacher-mirror", bool, "Show the teachers every second image mirrored."),
    Setting("training.seed", "--seed", int, "Seed of the weights, the split and the order of the images.",
            0, minimum=0),
    Setting("training.patience", "--patience", int, "Stop after this many epochs without improvement.",
            minimum=1),
    Setting("training.checkpoint_every", "--checkpoint-every", str,
            "Also save within an epoch: after so many batches (500) or so much time (10min)."),
    Setting("run.out", "--out", str, "Run folder to write."),
    Setting("run.engine", "--engine", str, "Engine that computes; native where it runs, unless named."),
    Setting("run.threads", "--threads", int, "Threads of the engine.", minimum=1),
)  # fmt: skip

METAVARS = {
    "run.out": "FOLDER",
    "data.root": "FOLDER",
    "model.name": "NAME",
    "model.init": "FILE",
    "training.teacher": "FOLDER",
}

BY_KEY = {setting.key: setting for setting in SETTINGS}


def parse(setting: Setting, value: Any, origin: str) -> Value:
    """The value in the setting's type, or a ConfigError that names where it came from."""
    from pellucid.errors import ConfigError

    def refuse(needs: str) -> ConfigError:
        return ConfigError(f"{origin}: {setting.key} must be {needs}, but is {value!r}.")

    if isinstance(value, bool) != (setting.kind is bool) or isinstance(value, dict | list):
        raise refuse({bool: "true or false", str: "text"}.get(setting.kind, "a number"))
    if setting.kind is not int and type(value) is int:
        value = setting.kind(value)
    if not isinstance(value, setting.kind):
        raise refuse({str: "text", int: "a whole number", float: "a number"}[setting.kind])
    if setting.choices and value not in setting.choices:
        raise refuse(f"one of {', '.join(setting.choices)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        check_range(setting, value, refuse)
    return value


def check_range(setting: Setting, value: float, refuse: Callable[[str], Exception]) -> None:
    """Raise when a number is outside the setting's range (a NaN always is)."""
    low, high = setting.minimum, setting.maximum
    if low is not None and not (value > low if setting.above else value >= low):
        raise refuse(f"{'more than' if setting.above else 'at least'} {low:g}")
    if high is not None and not value <= high:
        raise refuse(f"at most {high:g}")


def options(function: Any) -> Any:
    """Decorate a command with one flag per setting; a flag that is not given is None."""
    for setting in reversed([setting for setting in SETTINGS if setting.flag]):
        names = [str(setting.flag), setting.parameter]
        kind: Any = click.Choice(setting.choices) if setting.choices else setting.kind
        if setting.kind is bool:
            names[0] += f"/--no-{names[0][2:]}"
        shown = "" if setting.default is None or setting.kind is bool else f"  [default: {setting.default}]"
        metavar = METAVARS.get(setting.key)
        decorate = click.option(*names, type=kind, default=None, help=setting.help + shown, metavar=metavar)
        function = decorate(function)
    return function
