"""Training: `fit`, what it returns and writes, and how to read it back."""

from pellucid.train import schedules
from pellucid.train.assemble import evaluate
from pellucid.train.fit import fit
from pellucid.train.interrupt import TrainingInterrupted
from pellucid.train.metrics import ClassScore, Evaluation, Mistake
from pellucid.train.run import Run, load_run

__all__ = [
    "ClassScore",
    "Evaluation",
    "Mistake",
    "Run",
    "TrainingInterrupted",
    "evaluate",
    "fit",
    "load_run",
    "schedules",
]
