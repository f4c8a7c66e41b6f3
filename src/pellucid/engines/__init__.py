"""Engines run programs: `native` is fast, `numpy` is the reference."""

from pellucid.engines.base import Engine, Executable
from pellucid.engines.registry import default, get, names

__all__ = ["Engine", "Executable", "default", "get", "names"]
