"""What a training takes from earlier ones: the weights it starts from, and its teachers."""

from pathlib import Path
from typing import Any

from pellucid.errors import UsageError


def start_from(model: Any, init: str | None) -> None:
    """Give the model the weights of a file or of a run's best epoch.

    Raises CheckpointError unless they all fit and are sound, UsageError for a folder that holds no run.
    """
    from pellucid.formats.safetensors import load_into
    from pellucid.train import load_run

    if init is None:
        return
    if Path(init).is_dir():
        load_run(init, model=model)
    else:
        load_into(model, init)


def folders(teacher: str) -> list[Path]:
    """The run folders that the setting names; UsageError for a name left empty."""
    names = [name.strip() for name in teacher.split(",")]
    if not all(names):
        raise UsageError(f"--teacher {teacher!r}: a folder is missing at a comma.")
    return [Path(name) for name in names]


def load_teachers(teacher: str | None, splits: Any) -> list[Any]:
    """The networks of the runs to learn from; UsageError when one of them was trained to see other images."""
    from pellucid.train import load_run

    runs = [] if teacher is None else [load_run(folder) for folder in folders(teacher)]
    now = splits.to_json()
    for run in runs:
        different = [key for key in ("classes", "image_shape", "normalisation") if run.data.get(key) != now[key]]
        if different:
            raise UsageError(
                f"{run.folder} cannot teach here: it was trained on data with other {', '.join(different)}."
                " Its data, their size and their share for validation must be those of this training."
            )
    return [run.model for run in runs]
