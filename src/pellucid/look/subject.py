"""What is looked at: a model and one image, the class and the layers that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pellucid.errors import UsageError
from pellucid.layers.base import Layer
from pellucid.look.network import Array, Network
from pellucid.look.top import Images
from pellucid.models.output import probabilities
from pellucid.notation import Tensor

FEW = 8
"""So many layers, channels or images are shown unless others are named."""


@dataclass(frozen=True)
class Choice:
    """What of a network to look at; None leaves the choice to the network and the image."""

    layer: str | None = None
    channel: int | None = None
    label: int | None = None


@dataclass
class Subject:
    """A model, an image (C, H, W) as the model sees it, its classes' names, and images to search, if any.

    Raises UsageError for a layer, a channel or a class that does not exist.
    """

    model: Layer
    image: Array
    classes: Sequence[str]
    choice: Choice = Choice()
    images: Images | None = None
    engine: str | None = None

    def network(self, count: int = 1) -> Network:
        """The model for so many images at once."""
        return Network(self.model, self.image.shape, count, engine=self.engine)

    @cached_property
    def single(self) -> Network:
        """The model for this image."""
        return self.network()

    @cached_property
    def several(self) -> int:
        """How many images are computed at once where there are many."""
        return max(1, min(64, (1 << 18) // self.image.size))

    @cached_property
    def maps(self) -> dict[str, Array]:
        """The feature maps (C, H, W) of the layers shown, and of the one looked at."""
        shown = self.shown_layers()
        chosen, tensor = self.single.maps(self.choice.layer)
        wanted = shown | {chosen: tensor}
        values = self.single.values(list(wanted.values()), self.image[None])
        return {name: value[0] for name, value in zip(wanted, values, strict=True)}

    def shown_layers(self) -> dict[str, Tensor]:
        """The layer that was named, or whose channel was; otherwise some of those with feature maps, evenly spaced.

        These are blocks, if there are enough of them.
        """
        if self.choice.layer is not None or self.choice.channel is not None:
            name, tensor = self.single.maps(self.choice.layer)
            return {name: tensor}
        every = self.single.with_maps()
        blocks = {t: name for name, t in self.single.blocks.items() if t in every.values()}
        known = [(name, t) for t, name in blocks.items()] if 2 * len(blocks) > FEW else list(every.items())
        places = sorted({round(k * (len(known) - 1) / (FEW - 1)) for k in range(FEW)}) if known else []
        return {known[k][0]: known[k][1] for k in places}

    @property
    def layer(self) -> str:
        """The one layer that is looked at, with feature maps."""
        return self.single.maps(self.choice.layer)[0]

    @property
    def channels(self) -> list[int]:
        """The channel that was named, or those that the image excites most, the strongest first, at least one.

        Others that the image leaves at 0 or below are not among them.
        """
        maps = self.maps[self.layer]
        if self.choice.channel is not None:
            if not 0 <= self.choice.channel < len(maps):
                raise UsageError(f"{self.layer} has the channels 0 to {len(maps) - 1}, not {self.choice.channel}")
            return [self.choice.channel]
        largest = maps.max(axis=(1, 2))
        best = [int(k) for k in np.argsort(-largest, kind="stable")[:FEW]]
        return [k for k in best if largest[k] > 0] or best[:1]

    @cached_property
    def probabilities(self) -> Array:
        """The probability of each class."""
        self.single.check_classes()
        (output,) = self.single.values([self.single.output], self.image[None])
        return np.asarray(probabilities(self.model, output)[0])

    @property
    def label(self) -> int:
        """The class that was named, or the most probable one."""
        if self.choice.label is None:
            return int(self.probabilities.argmax())
        if not 0 <= self.choice.label < len(self.probabilities):
            raise UsageError(f"the classes are numbered 0 to {len(self.probabilities) - 1}, not {self.choice.label}")
        return self.choice.label

    def class_name(self, label: int) -> str:
        """A class by its name, or its number where the names are those of other data."""
        fits = len(self.classes) == len(self.probabilities)
        return str(self.classes[label]) if fits else f"number {label}"

    @property
    def description(self) -> dict[str, Any]:
        """The image's class as the model has it."""
        label = self.label
        return {"class": self.class_name(label), "label": label, "probability": float(self.probabilities[label])}
