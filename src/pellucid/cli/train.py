"""`pellucid train`: from a data set and a model's name to a run folder."""

from pathlib import Path
from typing import Any

import click

from pellucid.cli.arguments import check_name, model_option
from pellucid.cli.config import Config, resolve, with_origins
from pellucid.cli.earlier import folders, load_teachers, start_from
from pellucid.cli.output import json_option, json_result, message, result
from pellucid.cli.runs import image_size
from pellucid.cli.settings import BY_KEY, options
from pellucid.cli.watch import data_progress
from pellucid.errors import UsageError


@click.command()
@click.argument("data", required=False)
@options
@model_option
@click.option("-c", "--config", "file", metavar="FILE", help="TOML file with settings; flags win over it.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="One setting of the file; repeatable.")
@click.option("--resume", is_flag=True, help="Continue the run in --out where it stopped, as it was configured.")
@click.option("--print-config", is_flag=True, help="Print every setting with its origin; train nothing.")
@json_option
def command(
    data: str | None,
    file: str | None,
    pairs: tuple[str, ...],
    options: tuple[str, ...],
    resume: bool,
    print_config: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train a model on DATA: the name of a data set (digits, mnist, ...) or a folder of class folders.

    \b
    pellucid train digits --out runs/first
    pellucid train mnist --model notes-cnn --epochs 3 --out runs/a
    pellucid train photos/ --model lenet5 --option activation=tanh --lr 0.01 --augment flip,crop --out runs/b
    pellucid train --resume --out runs/a --epochs 6
    pellucid train -c runs/a/config.toml --out runs/c

    What is not set has a default that suits the model; --print-config shows it. The run folder's
    config.toml has every setting of the run.
    """
    given = {"data.name": data} | {key: flags[setting.parameter] for key, setting in BY_KEY.items() if setting.flag}
    files = ([stored_config(given["run.out"], data)] if resume else []) + [file]
    config = resolve([name for name in files if name is not None], pairs, given, options, model_defaults)
    if print_config:
        result(with_origins(config))
        return
    run = train(config, resume)
    if as_json:
        json_result({"folder": run.folder, "stopped": run.stopped, "best": run.best, "history": run.history})
    elif run.folder is not None:
        message(f"{run}\nOpen {run.folder / 'report.html'} to see it.")


def stored_config(out: str | None, data: str | None) -> str | None:
    """The configuration of the run to resume; None if it has none, and the command line says it all again."""
    if out is None:
        raise UsageError("which run shall go on? Name its folder: pellucid train --resume --out runs/first")
    path = Path(out) / "config.toml"
    if path.is_file():
        return str(path)
    if data is None:
        raise UsageError(f"There is no run to resume in {out}: {path} does not exist. Correct the path of --out.")
    return None


def model_defaults(name: str) -> dict[str, Any]:
    """The settings that suit a model, by the keys of the configuration."""
    from pellucid import models

    check_name("model", name, models.names())
    stated = models.defaults(name)
    keys = {key.split(".")[1]: key for key in BY_KEY} | {"optimizer": "optimizer.name"}
    return {keys[short]: value for short, value in stated.items()}


def train(config: Config, resume: bool) -> Any:
    """Load the data, build the model and fit it."""
    from pellucid import losses
    from pellucid.train import fit
    from pellucid.train.folder import RunFolder

    if config["data.name"] is None:
        raise UsageError("which data? Name a data set or a folder: pellucid train digits --out runs/first")
    if config["run.out"] is None:
        raise UsageError("where shall the run go? Name a new folder: --out runs/first")
    RunFolder(config["run.out"]).check(resume)  # before the data are read, which may take long
    optimizer = make_optimizer(config)
    splits = load_data(config)
    model = build_model(config, splits)
    check_classes(model, splits)
    if not resume:  # a run that goes on has weights of its own
        start_from(model, config["model.init"])
    teachers = load_teachers(config["training.teacher"], splits)
    complete(config, optimizer, splits)
    message(splits.description())
    message(header(config, model, optimizer))
    return fit(
        model,
        splits,
        epochs=config["training.epochs"],
        batch_size=config["training.batch_size"],
        optimizer=optimizer,
        loss=losses.get(config["training.loss"], label_smoothing=config["training.label_smoothing"] or 0.0),
        out=config["run.out"],
        seed=config["training.seed"],
        engine=config["run.engine"],
        threads=config["run.threads"],
        patience=config["training.patience"],
        resume=resume,
        schedule=config["training.schedule"],
        augment=config["training.augment"],
        ema_decay=config["training.ema_decay"],
        teachers=teachers,
        teacher_mirror=config["training.teacher_mirror"] or False,
        checkpoint_every=config["training.checkpoint_every"],
        config=config.tables(),
    )


def complete(config: Config, optimizer: Any, splits: Any) -> None:
    """Put in what was left to the data, the optimiser and the machine, so that the run can be repeated anywhere."""
    from pellucid import engines

    config.values["data.name"] = splits.arguments["name_or_folder"]
    config.values["data.root"] = splits.arguments["root"]
    if config["model.init"] is not None:
        config.values["model.init"] = str(Path(config["model.init"]).resolve())
    if config["training.teacher"] is not None:
        config.values["training.teacher"] = ",".join(
            str(folder.resolve()) for folder in folders(config["training.teacher"])
        )
    config.values["run.engine"] = config["run.engine"] or engines.default()
    for name, value in optimizer.settings().items():
        if f"optimizer.{name}" in BY_KEY:
            config.values[f"optimizer.{name}"] = value


def make_optimizer(config: Config) -> Any:
    """The optimiser, with those of its settings that are set."""
    from pellucid import optim

    return optim.get(
        config["optimizer.name"],
        lr=config["optimizer.lr"],
        momentum=config["optimizer.momentum"] or 0.0,
        nesterov=config["optimizer.nesterov"] or False,
        weight_decay=config["optimizer.weight_decay"],
    )


def load_data(config: Config) -> Any:
    """The data, in the size the model was made for."""
    from pellucid import models
    from pellucid.data import load

    name = config["model.name"]
    size = image_size(models.create(name, **config.model_options))
    with data_progress() as progress:
        return load(
            config["data.name"],
            root=config["data.root"],
            download=config["data.download"],
            validation=config["data.validation"],
            seed=config["training.seed"] if config["data.seed"] is None else config["data.seed"],
            size=size,
            channels=config.model_options.get("in_channels"),
            bad_files=config["data.bad_files"],
            progress=progress,
        )


def build_model(config: Config, splits: Any) -> Any:
    """The model with as many classes and input channels as the data have, unless options say otherwise."""
    from pellucid import models

    name = config["model.name"]
    measured = {"classes": len(splits.classes), "in_channels": splits.image_shape[0]}
    fitting = {key: value for key, value in measured.items() if key in models.options(name)}
    return models.create(name, **fitting | config.model_options).init(seed=config["training.seed"])


def check_classes(model: Any, splits: Any) -> None:
    """Raise UsageError when options gave the model fewer classes than the data have."""
    classes = len(splits.classes)
    if model.classes is not None and model.classes < classes:
        raise UsageError(
            f"the model has {model.classes} classes, but {splits.name} has {classes}: "
            f"leave out --option classes={model.classes}, which then follows the data."
        )


def header(config: Config, model: Any, optimizer: Any) -> str:
    """What is about to be trained, in two lines."""
    from pellucid.train.settings import counted

    summary = model.summary()
    settings = ", ".join(f"{name} {value:g}" for name, value in optimizer.settings().items() if value)
    return (
        f"{config['model.name']}: {summary.parameters:,} parameters, "
        f"{summary.multiply_adds:,} multiply-adds ({summary.flops:,} operations) per image\n"
        f"{counted(config['training.epochs'], 'epoch')}, batches of {config['training.batch_size']}, "
        f"{optimizer.name} ({settings}), engine {config['run.engine']}, seed {config['training.seed']}"
    )
