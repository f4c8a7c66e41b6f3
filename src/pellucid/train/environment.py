"""On what a run was made: versions and the machine, for env.json."""

import datetime
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "llvmlite", "safetensors", "pillow")


def pellucid_version() -> str:
    """Return the installed version, or "unknown" when the sources are used without having been installed."""
    return _version("pellucid")


def describe_environment(engine: str, threads: int | None) -> dict[str, Any]:
    """Return versions, machine, engine and threads (None: the engine's choice) as a table."""
    return {
        "pellucid": pellucid_version(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "processor": _processor(),
        "processors_usable": _usable_processors(),
        "engine": engine,
        "threads": threads,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str:
    from importlib import metadata  # slow to import, and only training asks

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _processor() -> str:
    """Return the processor's trade name; `platform.processor` gives only the architecture on Linux."""
    if platform.system() == "Linux":
        try:
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return platform.machine()
        for line in text.splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
