"""What a finished training leaves to look at: plots/*.png and report.html, made with the best weights."""

from collections.abc import Callable
from typing import Any

from pellucid.errors import MissingExtraError
from pellucid.formats.files import resource_errors
from pellucid.train import checkpoint, inside, plots
from pellucid.train.environment import describe_environment
from pellucid.train.folder import RunFolder
from pellucid.train.loop import Plan
from pellucid.train.metrics import Evaluation, measure
from pellucid.train.page import Picture
from pellucid.train.progress import Progress
from pellucid.train.protocols import Dataset, Machinery, Model, Splits
from pellucid.train.report import Report, render
from pellucid.train.state import TrainingState


def write_outcome(
    folder: RunFolder,
    machinery: Machinery,
    model: Model,
    splits: Splits,
    plan: Plan,
    state: TrainingState,
    progress: Progress,
) -> None:
    """Evaluate the best weights on the validation images (if none, the training images); describe the run.

    The test images are not touched: they are for the user's own, last question.
    """
    part = "training" if splits.validation is None else "validation"
    dataset: Dataset = splits.train if splits.validation is None else splits.validation
    evaluation = _evaluate_best(folder, machinery, model, splits, dataset)
    pictures, notice = _draw(folder, state, dataset, evaluation)
    if notice:
        folder.log(notice)
        progress.message(notice)
    rows, totals = _summary(model, dataset)
    fixed, changeable = plan.settings.get("fixed", {}), plan.settings.get("changeable", {})
    report = Report(
        title=f"Training run {folder.path.name}",
        history=state.history,
        best=state.best,
        evaluation=evaluation,
        part=part,
        summary=rows,
        totals=totals,
        data_text=splits.description(),
        config=plan.config,
        environment=describe_environment(str(fixed.get("engine", "")), changeable.get("threads")),
        pictures=pictures,
        notice=notice,
        # What was drawn before is of earlier weights. Only a network that can be built again can be looked into.
        inside=inside.not_yet(folder.path) if plan.spec and _has_pictures(dataset) else "",
    )
    folder.write_bytes("report.html", render(report).encode())


def _evaluate_best(
    folder: RunFolder, machinery: Machinery, model: Model, splits: Splits, dataset: Dataset
) -> Evaluation:
    model.load(checkpoint.load(folder.best).weights)
    machinery.refresh()
    try:
        return measure(machinery.batches(dataset, None, 0), machinery.predict, machinery.loss_value, splits.classes)
    finally:
        machinery.step.write_back()  # the model keeps its last weights
        machinery.refresh()


def _draw(
    folder: RunFolder, state: TrainingState, dataset: Dataset, evaluation: Evaluation
) -> tuple[dict[str, Picture], str]:
    """Draw and store the pictures; without matplotlib return none, and a notice of what to install."""
    accuracy = f"accuracy {evaluation.accuracy:.2%}"
    drawings: dict[str, tuple[Callable[[], bytes], str]] = {
        "curves": (
            lambda: plots.draw_curves(state.history),
            "Loss and accuracy over the epochs, for training and validation; the table has the numbers.",
        ),
        "confusion": (
            lambda: plots.draw_confusion(evaluation),
            f"Confusion matrix of {evaluation.images} images, {accuracy}; the table has the numbers.",
        ),
    }
    if _has_pictures(dataset):
        drawings["worst"] = (
            lambda: plots.draw_worst(dataset, evaluation),
            "The images most clearly mistaken: " + (_mistakes(evaluation) or "none."),
        )
    try:
        plots.require_matplotlib()
    except MissingExtraError as error:
        return {}, f"The pictures were not drawn. {error}"
    with resource_errors(f"create {folder.plots}"):
        folder.plots.mkdir(exist_ok=True)
    pictures = {}
    for name, (draw, description) in drawings.items():
        picture = Picture(draw(), description)
        folder.write_bytes(f"plots/{name}.png", picture.png)
        pictures[name] = picture
    return pictures, ""


def _has_pictures(dataset: Dataset) -> bool:
    """Whether the data are images; sentences are not drawn."""
    return dataset.image(0).ndim == 3


def _mistakes(evaluation: Evaluation) -> str:
    names = evaluation.classes
    return ", ".join(f"{names[m.true]} read as {names[m.predicted]}" for m in evaluation.worst)


def _summary(model: Any, dataset: Dataset) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return the table of layers and the totals, as texts."""
    described = model.summary(tuple(dataset.image(0).shape)).to_json()
    rows = [
        {
            "layer": layer["name"],
            "kind": layer["kind"],
            "output shape": "x".join(map(str, layer["output_shape"])),
            "parameters": f"{layer['parameters']:,}",
            "multiply-adds": f"{layer['multiply_adds']:,}",
            "operations": f"{layer['flops']:,}",
        }
        for layer in described["layers"]
    ]
    totals = {
        "input": "x".join(map(str, described["input_shape"])),
        "parameters": f"{described['parameters']:,}",
        "multiply-adds per image": f"{described['multiply_adds']:,}",
        "floating-point operations per image": f"{described['flops']:,}",
    }
    return rows, totals
