"""Experiments: several trainings that together answer a question."""

from pellucid.experiments.depth import Budget, Network, run

__all__ = ["Budget", "Network", "run"]
