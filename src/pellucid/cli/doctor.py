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

# The vector instructions that decide how fast a network runs, of all that LLVM knows of, by its names.
VECTOR_FEATURES = (
    "sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni",
    "avx512bf16", "avxvnni", "amx-tile", "amx-bf16", "amx-int8",
    "neon", "dotprod", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip

# extra: the package that shows whether it is installed
EXTRAS = {"plots": "matplotlib"}


@click.command()
@click.option("--quick", is_flag=True, help="Do not measure the processor's and the memory's speed.")
@json_option
def command(quick: bool, as_json: bool) -> int:
    """Report the machine, the installation and what runs here.

    The exit code is 6 when something that Pellucid needs is missing or does not run.
    """
    report = examine(measured=not quick)
    if as_json:
        json_result(report)
    else:
        result(as_text(report))
    return 6 if report["problems"] else 0


def examine(measured: bool = True) -> dict[str, Any]:
    """Everything the command reports, as tables; with measured speeds, which takes about a second."""
    from pellucid import engines
    from pellucid.data.places import cache_folder
    from pellucid.train.environment import describe_environment

    machine = describe_environment(engine="", threads=None)
    cache = cache_folder().parent  # beside the data, it keeps the native engine's code
    report = {
        "pellucid": installed("pellucid"),
        "python": machine["python"],
        "executable": sys.executable,
        "platform": platform.platform(),
        "processor": {
            "name": machine["processor"],
            "machine": machine["machine"],
            **native_target(),
            "cores": os.cpu_count(),
            "cores_usable": machine["processors_usable"],
        },
        "speed": speed() if measured else None,
        "memory_bytes": memory(),
        "packages": {name: installed(name) for name in required_packages()},
        "extras": {name: installed(package) for name, package in EXTRAS.items()},
        "engines": {name: try_engine(name) for name in engines.names()},
        "cache": {
            "folder": str(cache),
            "writable": writable(cache),
            "free_bytes": free_bytes(cache),
            "bytes": size(cache),
            "code_bytes": size(cache / "native"),
        },
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


def native_target() -> dict[str, Any]:
    """What the native engine compiles for, and the processor's vector instructions, as LLVM sees them."""
    from pellucid.errors import PellucidError

    try:
        from pellucid.engines.native import cpu

        target: str | None = str(cpu.target())
    except (PellucidError, ImportError, OSError):  # why, `try_engine` tells
        return {"target": None, "vector_features": []}
    return {"target": target, "vector_features": [name for name in VECTOR_FEATURES if cpu.host_features().get(name)]}


def speed() -> dict[str, float] | None:
    """The measured peak of one core's multiply-adds, and the rate at which one thread reads memory."""
    from pellucid.errors import PellucidError

    try:
        from pellucid.engines.native import cpu

        return {"peak_flops_per_core": cpu.peak_flops(), "memory_bytes_per_second": cpu.memory_bandwidth()}
    except (PellucidError, ImportError, OSError, MemoryError):
        return None


def described_speed(measured: dict[str, float] | None) -> str:
    """The measured speeds in words."""
    if measured is None:
        return "not measured"
    peak, bandwidth = measured["peak_flops_per_core"] / 1e9, measured["memory_bytes_per_second"] / 1e9
    return f"{peak:.0f} GFLOP/s at most per core (float32 multiply-adds); {bandwidth:.1f} GB/s read from memory"


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


def size(folder: Path) -> int:
    """Bytes of all files below a folder; 0 if there is none, and without what cannot be looked at."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def megabytes(number: int) -> str:
    """A size in words."""
    return f"{number / 1e6:.1f} MB"


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
        ("target", processor["target"] or "none: the native engine does not run here"),
        ("speed", described_speed(report["speed"])),
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
        used = f"{megabytes(place['bytes'])}, {megabytes(place['code_bytes'])} of it code; " if "bytes" in place else ""
        note = "" if place["writable"] else ", CANNOT BE WRITTEN"
        lines.append((name, f"{place['folder']} ({used}{place['free_bytes'] / GIB:.1f} GiB free{note})"))
    lines.append(("verdict", "; ".join(report["problems"]) or "everything Pellucid needs is here"))
    return "\n".join(f"{name:<10} {text}" for name, text in lines)
