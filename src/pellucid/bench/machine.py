"""On what was measured."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any

from pellucid.engines.native import cpu
from pellucid.train.environment import describe_environment


def describe(threads: int, torch: str | None) -> dict[str, Any]:
    """Processor, versions, threads and how busy the machine is."""
    found = describe_environment("native", threads)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": found["processor"],
        "target": str(cpu.target()),
        "threads": threads,
        "load": load,
        "pellucid": found["pellucid"],
        "python": found["python"],
        "numpy": metadata.version("numpy"),
        "llvmlite": metadata.version("llvmlite"),
        "torch": torch,
    }


def lines(machine: dict[str, Any]) -> list[str]:
    """The same for people, with a warning where other programs disturb the measurement."""
    found = [
        f"{machine['processor']}, {machine['target']}, {machine['threads']} threads",
        f"Pellucid {machine['pellucid']}, Python {machine['python']}, PyTorch {machine['torch'] or 'not measured'}",
    ]
    load = machine["load"]
    if load is not None and load > 1.5:
        found.append(f"the machine is busy (load {load:.1f}): times are too long and ratios uncertain")
    return found
