"""All sheets of one image, written into a folder with a page that shows them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pellucid.errors import UsageError
from pellucid.formats.files import replace_file, resource_errors
from pellucid.look import channel_views, class_views, layer_views
from pellucid.look.page import page
from pellucid.look.subject import Subject
from pellucid.look.view import View

KINDS: dict[str, Callable[[Subject], list[View]]] = {
    "receptive": layer_views.receptive,
    "feature-maps": layer_views.feature_maps,
    "filters": layer_views.filters,
    "saliency": class_views.saliency,
    "guided": class_views.guided,
    "grad-cam": class_views.grad_cam,
    "occlusion": class_views.occlusion,
    "deconv": channel_views.deconv,
    "top": channel_views.top,
}


def fitting(subject: Subject) -> list[str]:
    """The kinds of sheets that make sense for a network and what was chosen of it, where none are asked for."""
    left_out = set()
    try:
        subject.single.check_classes()
    except UsageError:
        left_out |= {"saliency", "guided", "grad-cam", "occlusion"}
    known = layer_views.with_filters(subject)
    if not known or (subject.choice.layer is not None and subject.choice.layer not in known):
        left_out.add("filters")
    if subject.images is None:
        left_out.add("top")
    return [kind for kind in KINDS if kind not in left_out]


def look(subject: Subject, kinds: Sequence[str] | None = None) -> list[View]:
    """The sheets of these kinds, in the order of `KINDS`; without any, all that fit.

    Raises UsageError for a kind that does not exist or does not fit the network.
    """
    wanted = fitting(subject) if kinds is None else kinds
    for kind in wanted:
        if kind not in KINDS:
            raise UsageError(f"there is no view {kind!r}. There are: {', '.join(KINDS)}")
    return [view for kind in KINDS if kind in wanted for view in KINDS[kind](subject)]


def write(views: Sequence[View], title: str, lead: str, folder: Path) -> list[Path]:
    """Write every sheet, `numbers.npz` with what they show, and `report.html`; the files, the page last.

    Files of these names are replaced. Raises ResourceError when the disk refuses.
    """
    files = {f"{view.name}.png": view.png for view in views}
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **{k: a for view in views for k, a in view.arrays.items()})
    files |= {"numbers.npz": stream.getvalue(), "report.html": page(views, title, lead).encode()}
    with resource_errors(f"write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            replace_file(folder / name, data)
    return [folder / name for name in files]
