"""Engines run programs: `numpy` is the reference."""

from pellucid.engines.base import Engine, Executable
from pellucid.engines.registry import get, names

__all__ = ["Engine", "Executable", "get", "names"]
