"""`pellucid doctor`: the machine, the installation, and what runs here."""

import contextlib
import os
import platform
import re
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import click

from pellucid.cli.output import json_option, json_result, result

GIB = 1024**3

# The vector instructions that decide how fast a network runs, of all the flags a processor lists.
VECTOR_FEATURES = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip

# extra: the package that shows whether it is installed
EXTRAS = {"plots": "matplotlib"}


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Report the machine, the installation and what runs here.

    The exit code is 6 when something that Pellucid needs is missing or does not run.
    """
    report = examine()
    if as_json:
        json_result(report)
    else:
        result(as_text(report))
    return 6 if report["problems"] else 0


def examine() -> dict[str, Any]:
    """Everything the command reports, as tables."""
    from pellucid import engines
    from pellucid.data.places import cache_folder
    from pellucid.train.environment import describe_environment

    machine = describe_environment(engine="", threads=None)
    cache = cache_folder()
    report = {
        "pellucid": installed("pellucid"),
        "python": machine["python"],
        "executable": sys.executable,
        "platform": platform.platform(),
        "processor": {
            "name": machine["processor"],
            "machine": machine["machine"],
            "vector_features": vector_features(),
            "cores": os.cpu_count(),
            "cores_usable": machine["processors_usable"],
        },
        "memory_bytes": memory(),
        "packages": {name: installed(name) for name in required_packages()},
        "extras": {name: installed(package) for name, package in EXTRAS.items()},
        "engines": {name: try_engine(name) for name in engines.names()},
        "cache": {"folder": str(cache), "writable": writable(cache), "free_bytes": free_bytes(cache)},
        "here": {
            "folder": str(Path.cwd()),
            "writable": writable(Path.cwd()),
            "free_bytes": free_bytes(Path.cwd()),
        },
    }
    return report | {"problems": problems(report)}


def problems(report: dict[str, Any]) -> list[str]:
    """What keeps Pellucid from working here; a folder one cannot write to is only worth a look."""
    found = [f"{name} is not installed" for name, state in report["packages"].items() if state is None]
    return found + [f"engine {name}: {state}" for name, state in report["engines"].items() if state != "runs"]


def installed(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def required_packages() -> list[str]:
    """The distributions that Pellucid requires, by its own metadata."""
    try:
        stated = requires("pellucid") or []
    except PackageNotFoundError:
        return []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in stated if "extra ==" not in line]


def vector_features() -> list[str]:
    """The processor's vector instructions, as far as the system tells."""
    text = ""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    listed = set(flags.group(1).split()) if flags else set()
    return [flag for flag in VECTOR_FEATURES if flag in listed]


def memory() -> int | None:
    """The machine's memory in bytes, where the system tells."""
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in [folder, *folder.parents] if place.exists())


def free_bytes(folder: Path) -> int:
    """Free space on the disk that holds the folder, or would hold it."""
    return shutil.disk_usage(existing(folder)).free


def writable(folder: Path) -> bool:
    """Whether a file can be made in the folder, or in the one above it that exists."""
    try:
        with tempfile.TemporaryFile(dir=existing(folder)):
            return True
    except OSError:
        return False


def try_engine(name: str) -> str:
    """Have the engine compute a convolution whose result is known: "runs", or why it does not."""
    import numpy as np

    from pellucid.errors import PellucidError
    from pellucid.execution import predict
    from pellucid.layers import Conv2d
    from pellucid.models import Sequential

    model = Sequential([("conv", Conv2d(1, 1, 2, bias=False))])
    model.load({"conv.weight": np.ones((1, 1, 2, 2), np.float32)})
    try:
        sums = predict(model, np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3), engine=name)
    except (PellucidError, ImportError, OSError) as error:
        return f"does not run: {error}"
    expected = [[8, 12], [20, 24]]
    return "runs" if sums[0, 0].tolist() == expected else f"computes {sums[0, 0].tolist()}, not {expected}"


def as_text(report: dict[str, Any]) -> str:
    """The report for people: one line for each thing."""
    processor = report["processor"]
    total = report["memory_bytes"]
    lines = [
        ("pellucid", report["pellucid"] or "running from sources, not installed"),
        ("python", f"{report['python']} ({report['executable']})"),
        ("platform", report["platform"]),
        ("processor", f"{processor['name']} ({processor['machine']})"),
        ("vectors", " ".join(processor["vector_features"]) or "not known"),
        ("cores", f"{processor['cores_usable']} usable of {processor['cores']}"),
        ("memory", f"{total / GIB:.1f} GiB" if total else "not known"),
        ("packages", ", ".join(f"{name} {state or 'MISSING'}" for name, state in report["packages"].items())),
    ]
    for name, state in report["extras"].items():
        missing = f'not installed (pip install "pellucid[{name}]")'
        lines.append(("extra", f"{name}: {f'{EXTRAS[name]} {state}' if state else missing}"))
    for name, state in report["engines"].items():
        lines.append(("engine", f"{name}: {state}"))
    for name in ("cache", "here"):
        place = report[name]
        note = "" if place["writable"] else ", CANNOT BE WRITTEN"
        lines.append((name, f"{place['folder']} ({place['free_bytes'] / GIB:.1f} GiB free{note})"))
    lines.append(("verdict", "; ".join(report["problems"]) or "everything Pellucid needs is here"))
    return "\n".join(f"{name:<10} {text}" for name, text in lines)
