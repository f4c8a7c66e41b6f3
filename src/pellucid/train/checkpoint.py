"""A checkpoint: a folder from which training continues as if it had never stopped, or which is refused.

    last/model.safetensors   the network's parameters and layer state, under PyTorch's names
    last/state.safetensors   the optimiser's state and counters
    last/state.json          position, history, settings; size and SHA-256 of both files and of itself

Replacing `last` takes two renames, because no portable call exchanges two folders. The order makes every
instant safe, also when the process is killed or the power fails there:

    1. `.last.writing` is filled, every file and the folder flushed.   `last` is untouched.
    2. `.last.writing` becomes `.last.complete`, flushed.              Both can be loaded.
    3. `last` becomes `.last.previous`.                                `.last.complete` can be loaded.
    4. `.last.complete` becomes `last`, flushed.                       The new `last` can be loaded.
    5. `.last.previous` is removed.

So a folder named complete is complete, and is the newest there is. `settle` finishes an exchange that was
cut off in the middle; a reader that may not write (`load` while another process trains) takes
`.last.complete` if it is there. Nothing else ever stands in for `last`: if it is damaged, that is an error,
because silently going back to older numbers would hide the loss.
"""

import datetime
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from pellucid.errors import CheckpointError
from pellucid.formats import safetensors
from pellucid.formats.files import resource_errors, sync_folder, write_file
from pellucid.train.environment import pellucid_version
from pellucid.train.pinned import PinnedFolder
from pellucid.train.state import TrainingState

Array = NDArray[Any]
Result = TypeVar("Result")

FORMAT = 1
WEIGHTS, STATE, POSITION = "model.safetensors", "state.safetensors", "state.json"
_ATTEMPTS = 100  # to read a checkpoint that another process keeps replacing
_REMEDY = " Restore the folder from a copy, or start a new run."


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on. `settings` are compared before continuing."""

    weights: dict[str, Array]
    state: dict[str, Array]
    position: TrainingState
    settings: dict[str, Any]
    spec: dict[str, Any] | None = None


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint at `folder` by this one.

    Raises ResourceError when the disk refuses; what was there before can then still be loaded.
    """
    intact = f"The checkpoint saved before in {folder} is intact." if exists(folder) else ""
    with resource_errors(f"save the checkpoint {folder}", intact):
        folder.parent.mkdir(parents=True, exist_ok=True)
        settle(folder)
        writing = _beside(folder, "writing")
        try:
            os.mkdir(writing)
            _write(writing, checkpoint)
        except BaseException:
            _remove(writing)
            raise
        _exchange(folder, writing)


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint, checking every byte.

    Works while another process replaces it: then the older or the newer one is returned.
    Raises CheckpointError naming the file that is missing or damaged.
    """
    return _undisturbed(folder, _read)


def load_position(folder: Path) -> TrainingState:
    """Read only how far the run has come. Raises CheckpointError as `load` does."""
    return _undisturbed(folder, lambda place: _read_position(_read_content(place), place.path))


def exists(folder: Path) -> bool:
    """Say whether there is a checkpoint at `folder`, sound or damaged."""
    return _current(folder).is_dir()


def settle(folder: Path) -> None:
    """Finish a replacement that was cut off and remove its leftovers. Only for the owner of the run."""
    complete, previous = _beside(folder, "complete"), _beside(folder, "previous")
    if complete.is_dir():
        if folder.is_dir():
            _remove(previous)
            os.rename(folder, previous)
        os.rename(complete, folder)
        sync_folder(folder.parent)
    _remove(previous)
    _remove(_beside(folder, "writing"))


def _exchange(folder: Path, writing: Path) -> None:
    complete = _beside(folder, "complete")
    os.rename(writing, complete)
    sync_folder(folder.parent)
    settle(folder)


def _beside(folder: Path, role: str) -> Path:
    return folder.with_name(f".{folder.name}.{role}")


def _current(folder: Path) -> Path:
    """Return the folder that holds the newest complete checkpoint."""
    complete = _beside(folder, "complete")
    return complete if complete.is_dir() else folder


def _remove(folder: Path) -> None:
    """Remove what is no longer needed; if that fails, it only takes space, and the next save tries again."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(writing: Path, checkpoint: Checkpoint) -> None:
    files = {}
    parts: list[tuple[str, Mapping[str, Array], dict[str, Any] | None]] = [
        (WEIGHTS, checkpoint.weights, checkpoint.spec),
        (STATE, checkpoint.state, None),
    ]
    for name, tensors, spec in parts:
        data = safetensors.encode(tensors, spec)
        write_file(writing / name, data)
        files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    content = {
        "format": FORMAT,
        "pellucid": pellucid_version(),
        "saved": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": files,
        "model": checkpoint.spec,
        "settings": checkpoint.settings,
        "position": checkpoint.position.to_json(),
    }
    write_file(writing / POSITION, _sealed(content))
    sync_folder(writing)


def _sealed(content: Mapping[str, Any]) -> bytes:
    """Return the text of state.json: the content and the SHA-256 of its canonical form."""
    seal = hashlib.sha256(_canonical(content)).hexdigest()
    return _canonical({"content": content, "sha256": seal}) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode()


def _undisturbed(folder: Path, read: Callable[[PinnedFolder], Result]) -> Result:
    """Read from the newest complete folder; again if it was replaced, and so removed, in the meantime."""
    for _ in range(_ATTEMPTS - 1):
        with PinnedFolder(_current(folder)) as place:
            try:
                return read(place)
            except CheckpointError:
                if place.is_still(_current(folder)):
                    raise
    with PinnedFolder(_current(folder)) as place:
        return read(place)


def _read(place: PinnedFolder) -> Checkpoint:
    content = _read_content(place)
    tensors = {}
    for name in (WEIGHTS, STATE):
        data = _read_verified(place, name, content)
        tensors[name] = safetensors.decode(data, place.path / name).tensors
    position = _read_position(content, place.path)
    settings, spec = content.get("settings"), content.get("model")
    if not isinstance(settings, dict) or not isinstance(spec, (dict, type(None))):
        path = place.path / POSITION
        raise CheckpointError(f"{path} is not a checkpoint's state: its settings are not a table.")
    return Checkpoint(tensors[WEIGHTS], tensors[STATE], position, settings, spec)


def _read_position(content: Mapping[str, Any], place: Path) -> TrainingState:
    try:
        return TrainingState.from_json(content["position"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{place / POSITION} is not a checkpoint's state: {error}.") from error


def _read_content(place: PinnedFolder) -> dict[str, Any]:
    path, data = place.path / POSITION, place.read(POSITION)
    try:
        sealed = json.loads(data)
        content = sealed["content"]
        intact = _sealed(content) == data
        known = content["format"] == FORMAT
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: it cannot be read ({error}).{_REMEDY}") from error
    if not intact:
        raise CheckpointError(f"{path} is damaged: it does not match its own checksum.{_REMEDY}")
    if not known:
        raise CheckpointError(
            f"{path} has format {content['format']!r}; this version of Pellucid reads format {FORMAT}."
            " Use the version that wrote it."
        )
    return dict(content)


def _read_verified(place: PinnedFolder, name: str, content: Mapping[str, Any]) -> bytes:
    path = place.path / name
    try:
        size, checksum = content["files"][name]["bytes"], content["files"][name]["sha256"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{place.path / POSITION} says nothing about {name}.") from error
    data = place.read(name)
    if len(data) != size:
        raise CheckpointError(f"{path} is damaged: it has {len(data):,} bytes instead of {size:,}.{_REMEDY}")
    if hashlib.sha256(data).hexdigest() != checksum:
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum.{_REMEDY}")
    return data
