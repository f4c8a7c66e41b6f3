"""The depth experiment: does a deeper network train better, without shortcuts and with them?

Plain and residual networks of the same depths are trained under one budget: the same images, epochs, steps and
learning rates. He et al. (CVPR 2016, figure 6) found that the deeper plain network ends with the larger *training*
error, which more layers alone cannot explain, and that shortcuts take this away.

Every network has a run folder of its own. Running the experiment again in the same folder continues it: finished
networks are read back, the one that was interrupted goes on from its checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid import models
from pellucid.data import Dataset, Splits
from pellucid.data.partition import stratified_cut
from pellucid.errors import ConfigError, UsageError
from pellucid.experiments.curves import Curve, write_curves
from pellucid.formats.files import replace_file, resource_errors
from pellucid.optim import SGD
from pellucid.train import augmentation, fit, load_run, schedules
from pellucid.train.settings import check_same, fingerprint

KINDS = ("plain", "resnet")
SETTINGS = "experiment.json"
_SUBSET_KEY = 3


@dataclass(frozen=True)
class Network:
    """One network of the experiment: plain or resnet, how deep, from which seed."""

    kind: str
    depth: int
    seed: int

    @property
    def model(self) -> str:
        """Its name in the registry of models."""
        return f"{self.kind}{self.depth}"

    @property
    def folder(self) -> str:
        """Its run folder within that of the experiment."""
        return f"{self.model}-seed{self.seed}"


@dataclass(frozen=True)
class Budget:
    """What every network gets. The optimiser is SGD; the learning rate falls as `schedule` says.

    images: so many of the training images, the same for all, drawn evenly from the classes (so rounded to
    whole images of each); None: all of them.
    """

    epochs: int = 20
    images: int | None = None
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "step"
    augment: str | None = "flip,crop"


Create = Callable[..., Any]


def networks(depths: tuple[int, ...], seeds: tuple[int, ...]) -> list[Network]:
    """Plain and residual networks of these depths, the shallow ones first; ConfigError for depths there are not."""
    known = [int(name.removeprefix("plain")) for name in models.names() if name.startswith("plain")]
    unknown = [depth for depth in depths if depth not in known]
    if unknown or not depths:
        raise ConfigError(f"there are no plain and residual networks of depths {unknown}; there are {known}.")
    if not seeds:
        raise ConfigError("give at least one seed.")
    return [
        Network(kind, depth, seed) for depth in sorted(set(depths)) for seed in dict.fromkeys(seeds) for kind in KINDS
    ]


def run(
    splits: Splits,
    out: str | Path,
    depths: tuple[int, ...] = (20, 56),
    seeds: tuple[int, ...] = (0,),
    budget: Budget | None = None,
    *,
    engine: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    tell: Callable[[str], None] = lambda text: None,
    create: Create = models.create,
) -> list[Curve]:
    """Train all networks into `out`, and write curves.csv, curves.json and curves.png there after each.

    `create` makes a network from its name and the options classes, in_channels and image_size. Raises UsageError when
    `out` holds something else or an experiment with another budget or other data, ConfigError for settings that do
    not exist, and what `fit` raises.
    """
    budget = budget or Budget()
    wanted = networks(tuple(depths), tuple(seeds))
    _check(budget)
    limited = replace_training(splits, budget.images)
    folder = Path(out)
    _open(folder, {**dataclasses.asdict(budget), "data_sha256": fingerprint(limited)})
    curves: list[Curve] = []
    for number, network in enumerate(wanted, 1):
        place = folder / network.folder
        finished = _finished(place, network, limited, create)
        if finished is None:
            tell(f"network {number} of {len(wanted)}: {network.model}, seed {network.seed}")
            finished = _train(place, network, limited, budget, engine, threads, progress, create)
        else:
            tell(f"network {number} of {len(wanted)}: {network.model}, seed {network.seed}: already trained")
        curves.append(Curve(network.kind, network.depth, network.seed, tuple(finished.history)))
        notice = write_curves(folder, curves, dataclasses.asdict(budget))
    if notice:
        tell(notice)
    return curves


def replace_training(splits: Splits, images: int | None) -> Splits:
    """The splits with so many training images, evenly from all classes; ConfigError if there are not enough."""
    train = splits.train
    if images is None or images == len(train):
        return splits
    if not 1 <= images <= len(train):
        raise ConfigError(f"images must be from 1 to {len(train):,}, the number of training images, but is {images}.")
    kept, _ = stratified_cut(train.labels, 1 - images / len(train), (_SUBSET_KEY,))
    subset = Dataset(train.images[kept], train.labels[kept], train.classes, train.normalisation)
    return dataclasses.replace(splits, train=subset)


def _check(budget: Budget) -> None:
    """Raise ConfigError or UsageError for settings that do not exist, before the folder is made with them."""
    augmentation.get(budget.augment)
    schedules.get(budget.schedule, 1)
    _optimizer(budget)


def _optimizer(budget: Budget) -> SGD:
    return SGD(lr=budget.lr, momentum=budget.momentum, weight_decay=budget.weight_decay)


def _open(folder: Path, settings: dict[str, Any]) -> None:
    """Take the folder for an experiment with these settings, new or to be continued."""
    path = folder / SETTINGS
    if path.is_file():
        with resource_errors(f"read {path}"):
            stored = path.read_text(encoding="utf-8")
        try:
            table = json.loads(stored)
        except ValueError as error:
            raise UsageError(f"{path} is damaged ({error}). Start the experiment in another folder.") from error
        check_same(table if isinstance(table, dict) else {}, settings, folder)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and holds no experiment. Name a new folder.")
    with resource_errors(f"create {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(settings, indent=2).encode())


def _made(network: Network, splits: Splits, create: Create) -> Any:
    channels, height, _ = splits.image_shape
    return create(network.model, classes=len(splits.classes), in_channels=channels, image_size=height)


def _finished(place: Path, network: Network, splits: Splits, create: Create) -> Any:
    """The run of a network that was trained to the end; None if there is work to do."""
    if not (place / "ckpt" / "last").is_dir():
        return None
    stored = load_run(place, "last", model=_made(network, splits, create))
    return stored if stored.stopped == "epochs" else None


def _train(
    place: Path,
    network: Network,
    splits: Splits,
    budget: Budget,
    engine: str | None,
    threads: int | None,
    progress: bool,
    create: Create,
) -> Any:
    return fit(
        _made(network, splits, create).init(seed=network.seed),
        splits,
        epochs=budget.epochs,
        batch_size=budget.batch_size,
        optimizer=_optimizer(budget),
        out=place,
        seed=network.seed,
        engine=engine,
        threads=threads,
        resume="auto",
        schedule=budget.schedule,
        augment=budget.augment,
        progress=progress,
        report=False,
    )
