"""`explain`: from a question in words to a trace and whatever it is to look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import losses, optim
from pellucid.errors import UsageError
from pellucid.explain import locate, scatter
from pellucid.explain.arithmetic import FLOATS, RATIONALS
from pellucid.explain.document import Document, document
from pellucid.explain.field import Field, receptive_fields
from pellucid.explain.part import Number, element_box
from pellucid.explain.proof import Proof, prove
from pellucid.explain.render import data, html, latex, mathml, speech, terminal, text
from pellucid.explain.render.words import Words
from pellucid.explain.trace import Reduction, Trace, Tracer, read_within
from pellucid.explain.values import Question, Source
from pellucid.layers.base import Layer
from pellucid.losses import Loss
from pellucid.optim import Optimizer

FORMATS = ("text", "terminal", "latex", "mathml", "speech", "json", "html")
"""What an explanation can be written as."""


@dataclass(frozen=True)
class Explanation:
    """One number of a network, opened.

    `trace` is the tree. Of a gradient, `scatter` is its other form and `proof` what stands beside it; of a number
    of the forward pass, `fields` are its receptive fields. `str()` is its text; a notebook shows it by itself.
    """

    trace: Trace
    scatter: Reduction | None = None
    proof: Proof | None = None
    fields: tuple[Field, ...] = ()
    digits: int = 6
    words: Words = field(default_factory=Words.of)

    @property
    def value(self) -> Number:
        """The number itself, computed in float64, or exactly as a fraction."""
        return self.trace.value

    @cached_property
    def document(self) -> Document:
        """The explanation laid out, with as many digits as each number needs."""
        return document(self.trace, self.digits, self.scatter, self.proof, self.fields)

    def text(self, digits: int | None = None) -> str:
        """Plain text, the result with that many significant digits."""
        if digits is None:
            return text.render(self.document, self.words)
        return text.render(document(self.trace, digits, self.scatter, self.proof, self.fields), self.words)

    def terminal(self, *, colours: bool = True) -> str:
        """Text for a terminal, with the receptive fields drawn."""
        return terminal.render(self.document, self.words, colours=colours)

    def latex(self) -> str:
        """A LaTeX file."""
        return latex.render(self.document, self.words)

    def mathml(self) -> str:
        """The formulas as `math` elements, one in a line."""
        return mathml.render(self.document, self.words)

    def speech(self) -> str:
        """Sentences to be heard."""
        return speech.render(self.document, self.words)

    def json(self) -> dict[str, Any]:
        """The tree as JSON's types."""
        return data.render(self.document, self.words)

    def html(self) -> str:
        """A page of its own."""
        return html.page(self.document, self.words)

    def __str__(self) -> str:
        return self.text().rstrip("\n")

    def _repr_html_(self) -> str:
        return html.notebook(self.document, self.words)

    def _repr_latex_(self) -> str:
        return latex.display(self.document)


def explain(
    model: Layer,
    x: npt.ArrayLike,
    what: str,
    target: npt.ArrayLike | None = None,
    loss: str | Loss = "cross_entropy",
    *,
    full: bool = False,
    depth: int = 0,
    digits: int = 6,
    fractions: bool = False,
    proof: bool = True,
    lang: str = "en",
    digit_style: str = "latin",
    training: bool = False,
    seed: int = 0,
    step: int = 0,
    optimizer: Optimizer | None = None,
    optimizer_state: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Explanation:
    """Open one number of a model on a batch x (N, C, H, W) into the arithmetic that gives it.

    `what` names it: "conv2[3,4,5]" a layer's output for image 0, "conv2[7,3,4,5]" for image 7 of the batch,
    "conv1.weight[2,0,1,1]" a parameter, "input[0,12,12]" a pixel, "loss" the loss, "d ..." the gradient of the
    loss by any of them, "update fc1.weight[0,3]" a parameter after the optimiser's next step, "predict" the class
    that is predicted. What concerns the loss needs the target: a label for each image, or what else the loss takes.

    Only what the number depends on is computed, in float64; with `fractions` exactly, where that is possible.
    Sums of more than 12 terms show their 8 largest and the sum of the others, unless `full`. The numbers in the
    arithmetic are opened `depth` levels further. A gradient is proved (`proof`) by the loss's central difference,
    and by collecting it from its readers.

    With `training` the layers behave as while training, at that seed and step. An update is that of `optimizer`,
    SGD unless given; `optimizer_state` is what it remembers, by the names of a training step's `state_dict`.

    Raises UsageError for a number that does not exist or an option that does not fit, ShapeError for coordinates
    outside their tensor.
    """
    if digits < 1 or depth < 0:
        raise UsageError(f"digits must be at least 1 and depth at least 0; got {digits} and {depth}")
    words = Words.of(lang, digit_style)
    labels = None if target is None else np.atleast_1d(np.asarray(target))
    question = Question(
        model,
        np.asarray(x),
        labels,
        losses.get(loss),
        training,
        seed,
        step,
        optimizer or optim.SGD(0.01),
        optimizer_state or {},
    )
    source = Source(question)
    name, coordinates = locate.parse(what)
    tensor = source.find(name)
    place = locate.element(tensor, coordinates, source.counts_images(tensor))
    parts = source.parts({tensor: element_box(place)}, read_within(tensor, depth), rational=fractions)
    tracer = Tracer(parts, full, RATIONALS if fractions else FLOATS)
    trace = tracer.trace(tensor, place, depth)
    by = source.differentiated(tensor)
    spread = evidence = None
    if proof and by is not None:
        spread = scatter.scatter(source, by, place, rational=fractions)
        computed = source.parts({tensor: element_box(place)}) if fractions else parts
        evidence = prove(source, trace, by, place, computed[tensor.name].element(place))
    return Explanation(trace, spread, evidence, receptive_fields(source, by or tensor, place), digits, words)
