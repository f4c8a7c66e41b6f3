"""The engines by name."""

from __future__ import annotations

from pellucid.engines.base import Engine
from pellucid.errors import UsageError


def names() -> tuple[str, ...]:
    """The names that `engine=` accepts."""
    return ("numpy", "native")


def get(name: str) -> Engine:
    """The engine of that name; UsageError if there is none."""
    if name == "numpy":
        from pellucid.engines.numpy.executable import NumpyEngine

        return NumpyEngine()
    if name == "native":
        from pellucid.engines.native.executable import NativeEngine

        return NativeEngine()
    raise UsageError(f"unknown engine {name!r}: choose one of {', '.join(names())}")
