"""Sheets of layers: receptive fields, feature maps, filters."""

from __future__ import annotations

import numpy as np

from pellucid.errors import UsageError
from pellucid.layers import ConvTranspose2d
from pellucid.look import colours
from pellucid.look.gradients import strongest
from pellucid.look.receptive import Field, Fields
from pellucid.look.sheet import Tile, sheet
from pellucid.look.subject import Subject
from pellucid.look.view import View

SHOWN = 64
"""So many feature maps stand on a sheet, and about so many filters."""


def receptive(subject: Subject) -> list[View]:
    """What the strongest element of each layer sees, drawn on the image; size, jump and start of every field."""
    network = subject.single
    found, picture = Fields(network.image), colours.grey(subject.image)
    layers = [f for f in (found.field(name, tensor) for name, tensor in network.distinct().items()) if f]
    by_name = {name: f for f in layers for name, t in network.layers.items() if t is network.layers[f.layer]}
    tiles, facts = [], []
    for name, tensor in subject.shown_layers().items():
        channel, *place = _strongest(subject, name)
        region = found.of(tensor, (0, channel, *place))
        (top, bottom), (left, right) = (region.bounds(axis) for axis in found.axes())
        where = f"[{channel},{place[0]},{place[1]}]"
        size, whole = f"{bottom - top + 1}x{right - left + 1}", "x".join(map(str, by_name[name].size))
        caption = f"{name}{where}\nsees {size}" + ("" if size == whole else f" of {whole}")
        tiles.append(Tile(picture, caption, ((top, left, bottom, right),)))
        facts.append({"element": f"{name}{where}", "rows": [top, bottom], "columns": [left, right]})
    note = "The box is what the layer's strongest element depends on; at the border less of it is inside."
    png = sheet("Receptive fields", tiles, side=150, note=note)
    text = "Everything that the strongest element of each layer depends on, through every branch, lies in its box."
    table = [_row(f) for f in layers]
    data = {"elements": facts, "fields": [f.to_json() for f in layers]}
    return [View("receptive", "receptive", "Receptive fields", text, png, table, data)]


def _strongest(subject: Subject, name: str) -> tuple[int, ...]:
    """The largest value of a layer's maps, or of the channel that was named."""
    if subject.choice.channel is None:
        return strongest(subject.maps[name])
    (channel,) = subject.channels
    return channel, *strongest(subject.maps[name][channel])


def _row(field: Field) -> dict[str, str]:
    def shown(numbers: tuple[int, ...] | None) -> str:
        return "–" if numbers is None else "x".join(map(str, numbers)) if min(numbers) >= 0 else str(list(numbers))

    return {
        "layer": field.layer,
        "output": "x".join(map(str, field.shape)),
        "size": shown(field.size),
        "jump": shown(field.jump),
        "start": "–" if field.jump is None else ", ".join(map(str, field.start)),
    }


def feature_maps(subject: Subject) -> list[View]:
    """A sheet for each layer: its maps, all on one scale."""
    views = []
    for name in subject.shown_layers():
        maps = subject.maps[name]
        numbers = list(range(len(maps)))[:SHOWN] if subject.choice.channel is None else subject.channels
        low, high = float(maps.min()), float(maps.max())
        reach = max(-low, high)
        tiles = [
            Tile(colours.signed(maps[k], reach) if low < 0 else colours.amount(maps[k], high), str(k)) for k in numbers
        ]
        size = "x".join(map(str, maps.shape))
        scale = "blue is negative, red positive" if low < 0 else "dark is 0, light is large"
        some = f" The first {SHOWN} of them are shown." if len(maps) > len(numbers) > 1 else ""
        note = f"{size}, from {low:.3g} to {high:.3g}: {scale}.{some}"
        title = f"Feature maps of {name}"
        text = f"What {name} gives for this image, channel by channel, on one scale: {scale}."
        png = sheet(title, tiles, note=note)
        views.append(
            View("feature-maps", f"feature-maps-{name}", title, text, png, arrays={f"feature-maps {name}": maps})
        )
    return views


def with_filters(subject: Subject) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """The kernels (outputs, inputs, rows, columns) of the layers that have such; transposed ones begin with inputs."""
    found = {}
    for name, layer in subject.single.kinds.items():
        weight = layer.tensors().get("weight")
        if isinstance(layer, ConvTranspose2d) or weight is None:
            continue
        if len(weight.extents) == 4 and max(weight.extents[2:]) > 1:
            found[name] = np.asarray(layer.parameters["weight"])
    return found


def filters(subject: Subject) -> list[View]:
    """The kernels of the layer named, or of the first layer with any: in colour if it reads three channels."""
    known = with_filters(subject)
    name = subject.choice.layer or next(iter(known), "")
    if name not in known:
        raise UsageError(f"{name or 'this network'} has no filters of rows and columns. These have: {', '.join(known)}")
    kernels = known[name]
    outputs, inputs = kernels.shape[:2]
    channel = None if subject.choice.layer is None else subject.choice.channel
    if channel is not None and not 0 <= channel < outputs:
        raise UsageError(f"{name} has the channels 0 to {outputs - 1}, not {channel}")
    chosen = range(outputs) if channel is None else [channel]
    reach = float(np.abs(kernels).max())
    if inputs == 3:
        tiles = [Tile(colours.spread(kernels[o]), str(o)) for o in list(chosen)[:SHOWN]]
        columns, scale = None, "grey is 0"
    else:
        columns = min(inputs, 16)
        rows = list(chosen)[: max(1, SHOWN // columns)]
        pairs = [(o, c) for o in rows for c in range(columns)]
        tiles = [Tile(colours.signed(kernels[o, c], reach), f"{o},{c}" if inputs > 1 else str(o)) for o, c in pairs]
        columns, scale = columns if inputs > 1 else None, "blue is negative, red positive"
    some = "" if len(tiles) == len(chosen) * (1 if inputs == 3 else inputs) else " Not all of them are shown."
    names = "output and input channel" if inputs not in (1, 3) else "output channel"
    note = f"{'x'.join(map(str, kernels.shape))}, at most {reach:.3g}: {scale}; below each its {names}.{some}"
    title = f"Filters of {name}"
    png = sheet(title, tiles, note=note, columns=columns)
    text = f"The weights of {name}, one kernel for each {names}: {scale}."
    return [View("filters", f"filters-{name}", title, text, png, arrays={f"filters {name}": kernels})]
