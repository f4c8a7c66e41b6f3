"""Sheets of a class: which pixels its score comes from, by four methods."""

from __future__ import annotations

import numpy as np

from pellucid.look import colours, gradients
from pellucid.look.colours import Array, Pixels
from pellucid.look.grad_cam import grad_cam as heat_of
from pellucid.look.occlusion import occlusion as drops_of
from pellucid.look.occlusion import patch_for, spread
from pellucid.look.sheet import Tile, sheet, smooth
from pellucid.look.subject import Subject
from pellucid.look.view import View

SIDE = 200
"""The side of the large pictures, in pixels."""


def saliency(subject: Subject) -> list[View]:
    """The gradient of the class's score by each pixel, signed and as Simonyan's map."""
    gradient = gradients.of_class(subject.single, subject.image, subject.label)
    amounts = gradients.saliency(gradient)
    tiles = [
        Tile(colours.grey(subject.image), "image"),
        Tile(colours.spread(gradient), "gradient"),
        Tile(colours.amount(amounts), "saliency"),
        _over(subject, amounts / (float(amounts.max()) or 1), "saliency on the image"),
    ]
    text = "How fast the class's score rises or falls with each pixel; the saliency is the slope without its sign."
    arrays = {"gradient": gradient, "saliency": amounts}
    return [_view(subject, "saliency", "Gradient saliency", text, tiles, arrays)]


def guided(subject: Subject) -> list[View]:
    """Guided backpropagation of the class's score."""
    back = gradients.of_class(subject.single, subject.image, subject.label, "guided")
    tiles = [
        Tile(colours.grey(subject.image), "image"),
        Tile(colours.spread(back), "guided backpropagation"),
        Tile(colours.amount(np.maximum(back, 0).max(axis=0)), "its positive part"),
    ]
    text = "The gradient, of which every ReLU lets only the positive part pass, and only where it is itself open."
    if not gradients.has_relu(subject.single):
        text += " This network has no ReLU, so that it is the gradient."
    return [_view(subject, "guided", "Guided backpropagation", text, tiles, {"guided": back})]


def grad_cam(subject: Subject) -> list[View]:
    """Grad-CAM at the layer looked at."""
    heat = heat_of(subject.single, subject.image, subject.layer, subject.label)
    height, width = subject.image.shape[1:]
    most = float(heat.max())
    fine = np.clip(smooth(heat, height, width) / (most or 1), 0, 1)
    tiles = [
        Tile(colours.grey(subject.image), "image"),
        Tile(colours.amount(heat), f"{subject.layer}: {heat.shape[0]}x{heat.shape[1]}"),
        _over(subject, fine, "on the image"),
    ]
    text = (
        f"The feature maps of {subject.layer}, each weighted by the mean gradient of the class's score in it, "
        "added up; what speaks for the class is light."
    )
    if not most:
        text += " Nothing does here: all of the map is 0."
    return [_view(subject, "grad-cam", f"Grad-CAM at {subject.layer}", text, tiles, {"grad-cam": heat})]


def occlusion(subject: Subject) -> list[View]:
    """How much of the class's probability a patch takes away, wherever it is."""
    patch, step = patch_for(subject.image.shape)
    drops = drops_of(subject.network(subject.several), subject.image, subject.label, patch, step)
    height, width = subject.image.shape[1:]
    lost = spread(drops, (height, width), patch, step)
    tiles = [
        Tile(colours.grey(subject.image), "image"),
        Tile(colours.signed(lost), "lost probability"),
        _over(subject, np.clip(lost / (float(lost.max()) or 1), 0, 1), "on the image"),
    ]
    text = (
        f"The probability that the class loses while a patch of {patch}x{patch} pixels covers the image, its values 0, "
        f"moved by {step}: red where covering costs it, blue where covering helps. The most lost is {drops.max():.3g}."
    )
    return [_view(subject, "occlusion", "Occlusion", text, tiles, {"occlusion": drops})]


def _over(subject: Subject, strength: Array, caption: str) -> Tile:
    picture: Pixels = colours.grey(subject.image)
    # A grey, half-dark image leaves the colours to the layer above it.
    return Tile(colours.over((picture * 0.55).astype(np.uint8), colours.amount(strength, 1.0), strength**0.7), caption)


def _view(subject: Subject, name: str, title: str, text: str, tiles: list[Tile], arrays: dict[str, Array]) -> View:
    about = subject.description
    note = f"Class {about['class']}, probability {about['probability']:.1%}."
    return View(name, name, title, text, sheet(title, tiles, side=SIDE, note=note), facts=about, arrays=arrays)
