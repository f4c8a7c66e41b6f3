"""Training, validation and test images of one data set, kept apart, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pellucid.data.dataset import Dataset, is_tokens
from pellucid.data.normalisation import Normalisation
from pellucid.data.source import SPLITS

FORMAT = 1
"""The version of the layout of ``data.json``."""


@dataclass(frozen=True, eq=False)
class Splits:
    """What training reads (``train``), may look at (``validation``) and never touches (``test``).

    ``arguments`` are those of ``load`` and rebuild the same splits; ``origins`` says per split where it comes
    from; ``fingerprint`` holds the SHA-256 of the contents the source gave, before cutting and resizing.
    """

    name: str
    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    arguments: Mapping[str, object]
    origins: Mapping[str, str]
    fingerprint: Mapping[str, str]
    place: str
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        """The class names; a label is an index into them."""
        return list(self.train.classes)

    @property
    def normalisation(self) -> Normalisation:
        """Mean and deviation of the training images, used for every split."""
        return self.train.normalisation

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W), or (L,) of sentences."""
        return self.train.image_shape

    def split(self, name: str) -> Dataset | None:
        """The split called "train", "validation" or "test"; None when there is none."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def with_normalisation(self, normalisation: Normalisation) -> Splits:
        """The same splits with other numbers, such as those a model was trained with."""
        train = replace(self.train, normalisation=normalisation)
        validation = self.validation and replace(self.validation, normalisation=normalisation)
        test = self.test and replace(self.test, normalisation=normalisation)
        return replace(self, train=train, validation=validation, test=test)

    def description(self) -> str:
        """Several lines for people: sizes, origins of the splits, normalisation, and what was left out."""
        shape = "x".join(map(str, self.image_shape))
        kind = f"sentences of {shape} tokens" if is_tokens(self.train.images) else f"images {shape}"
        lines = [f"{self.name}: {len(self.classes)} classes, {kind} ({self.place})"]
        for name in SPLITS:
            dataset = self.split(name)
            count = f"{len(dataset):,} {kind.split()[0]}" if dataset is not None else "none"
            lines.append(f"  {name:<11}{count:>14}  {self.origins[name]}")
        mean, std = (
            ", ".join(f"{value:.4f}" for value in values)
            for values in (self.normalisation.mean, self.normalisation.std)
        )
        if not is_tokens(self.train.images):
            lines.append(f"  normalised with mean {mean} and standard deviation {std} of the training images")
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Everything ``data.json`` keeps; ``restore`` rebuilds the same splits from it."""
        present = {name: dataset for name in SPLITS if (dataset := self.split(name)) is not None}
        return {
            "format": FORMAT,
            "name": self.name,
            "place": self.place,
            "arguments": dict(self.arguments),
            "classes": self.classes,
            "image_shape": list(self.image_shape),
            "splits": {
                name: {"images": len(dataset), "per_class": dataset.counts(), "origin": self.origins[name]}
                for name, dataset in present.items()
            },
            "fingerprint": dict(self.fingerprint),
            "normalisation": self.normalisation.to_json(),
            "notes": list(self.notes),
            "dropped": list(self.dropped),
        }
