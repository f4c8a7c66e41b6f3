"""Sheets of channels: what of this image excites them, and which images do so most."""

from __future__ import annotations

from pellucid.errors import UsageError
from pellucid.look import colours
from pellucid.look.gradients import deconvolution, strongest
from pellucid.look.receptive import Fields
from pellucid.look.sheet import Tile, sheet
from pellucid.look.subject import FEW, Subject
from pellucid.look.top import crop, top_images
from pellucid.look.view import View


def deconv(subject: Subject) -> list[View]:
    """Zeiler and Fergus' reconstruction of each channel, above the part of the image that the channel saw."""
    name, channels, maps = subject.layer, subject.channels, subject.maps[subject.layer]
    pixels = deconvolution(subject.network(len(channels)), subject.image, name, maps, channels)
    found, picture = Fields(subject.single.image), colours.grey(subject.image)
    above, below = [], []
    for channel, back in zip(channels, pixels, strict=True):
        place = strongest(maps[channel])
        region = found.of(subject.single.layer(name), (0, channel, *place))
        (top, bottom), (left, right) = (region.bounds(axis) for axis in found.axes())
        box = ((top, left, bottom, right),)
        above.append(Tile(colours.spread(back), f"{channel}: {maps[(channel, *place)]:.3g}", box))
        below.append(Tile(picture, f"at {place[0]},{place[1]}", box))
    title = f"Deconvolution from {name}"
    text = (
        f"The strongest element of each channel of {name}, all others set to 0, followed back to the pixels: max "
        "pooling by its switches, filters transposed, every ReLU passing what is positive. Light and red pixels excite "
        "it, dark and blue ones inhibit it."
    )
    note = "Channel and value; below, the place in its map. The box is what the element depends on."
    png = sheet(title, [*above, *below], columns=len(channels), side=96, note=note)
    return [View("deconv", "deconv", title, text, png, facts={"channels": channels}, arrays={"deconv": pixels})]


def top(subject: Subject) -> list[View]:
    """For each channel the images that excite it most, cut to what its strongest element sees."""
    if subject.images is None:
        raise UsageError("top needs images to search: name a run, or a model that fits the data set digits")
    name, channels = subject.layer, subject.channels
    best = top_images(subject.network(subject.several), name, subject.images, FEW)
    found, maps = Fields(subject.single.image), subject.single.layer(name)
    tiles = []
    for channel in channels:
        for number, value, place in zip(best.images[channel], best.values[channel], best.places[channel], strict=True):
            (pixels,), _ = subject.images.batch([int(number)])
            part = crop(found, maps, pixels, channel, tuple(int(k) for k in place))
            tiles.append(Tile(colours.grey(part), f"{channel}: {value:.3g}"))
    title = f"Images that excite {name} most"
    text = (
        f"One row for each of the channels {', '.join(map(str, channels))} of {name}: of {len(subject.images):,} "
        "images those with the largest value, and of these the part that the element with that value depends on."
    )
    rows = [
        {"channel": c, "images": ", ".join(map(str, best.images[c])), "largest value": f"{best.values[c, 0]:.4g}"}
        for c in channels
    ]
    facts = {"channels": channels, "images": best.images[channels], "values": best.values[channels]}
    png = sheet(title, tiles, columns=best.images.shape[1], side=84, note="Below each part the channel and its value.")
    arrays = {"top images": best.images, "top values": best.values, "top places": best.places}
    return [View("top", "top", title, text, png, rows, facts, arrays)]
