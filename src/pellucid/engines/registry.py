"""The engines by name."""

from __future__ import annotations

import warnings

from pellucid.engines.base import Engine
from pellucid.errors import ConfigError, UsageError


def names() -> tuple[str, ...]:
    """The names that `engine=` accepts."""
    return ("numpy", "native")


def default(dtype: str = "float32") -> str:
    """The engine used unless one is named: native, where it can compute in this dtype on this machine."""
    if dtype != "float32":
        return "numpy"
    try:
        from pellucid.engines.native.cpu import target

        target()
    except (ConfigError, ImportError) as error:
        warnings.warn(f"the native engine cannot run here, so the reference engine does: {error}", stacklevel=3)
        return "numpy"
    return "native"


def get(name: str | None, dtype: str = "float32") -> Engine:
    """The engine of that name, or the default one; UsageError if there is none of that name."""
    if name is None:
        name = default(dtype)
    if name == "numpy":
        from pellucid.engines.numpy.executable import NumpyEngine

        return NumpyEngine()
    if name == "native":
        from pellucid.engines.native.executable import NativeEngine

        return NativeEngine()
    raise UsageError(f"unknown engine {name!r}: choose one of {', '.join(names())}")
