"""Imports run one way: each room of the house may use only the rooms named in this table.

The sources are parsed, not imported, so imports inside functions and under TYPE_CHECKING count as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "pellucid"

MATHEMATICS = {"errors", "notation", "initializers", "layers", "losses", "optim", "models"}
RUNNING = MATHEMATICS | {"engines", "execution", "training"}

# room: the rooms of Pellucid it may import (its own always; `pellucid` itself only where named)
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "notation": {"errors"},
    "initializers": {"errors"},
    "languages": {"errors"},
    "layers": {"errors", "notation", "initializers"},
    "losses": {"errors", "notation", "initializers", "layers"},
    "optim": {"errors", "notation", "initializers", "layers"},
    "models": {"errors", "notation", "initializers", "layers"},
    "engines": {"errors", "notation"},
    "execution": MATHEMATICS | {"engines"},
    "training": MATHEMATICS | {"engines", "execution"},
    "data": {"errors"},
    "train": RUNNING | {"data", "formats"},
    "explain": RUNNING | {"languages"},
    "look": RUNNING | {"explain", "formats", "train"},
    "formats": RUNNING,
    "lessons": RUNNING | {"explain", "languages"},
    "derivation": MATHEMATICS | {"languages"},
    "bench": RUNNING | {"data", "train"},
    "experiments": RUNNING | {"data", "formats", "train"},
    "cli": RUNNING
    | {
        "bench",
        "derivation",
        "data",
        "experiments",
        "train",
        "explain",
        "formats",
        "languages",
        "lessons",
        "look",
        "pellucid",
    },
    "__init__": RUNNING | {"derivation", "data", "train", "explain", "formats", "lessons"},
    "__main__": {"cli"},
}

# package that is not the standard library's: where it may be imported (prefixes of module names)
THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "numpy": ("pellucid",),
    "llvmlite": ("pellucid.engines.native",),
    "PIL": ("pellucid.data", "pellucid.train", "pellucid.explain", "pellucid.look"),
    "safetensors": ("pellucid.train", "pellucid.formats"),
    "tqdm": ("pellucid.train",),
    "click": ("pellucid.cli",),
    "tomli_w": ("pellucid.cli", "pellucid.train"),
    "matplotlib": ("pellucid.train", "pellucid.explain"),
    "sklearn": ("pellucid.formats",),
    "onnx": ("pellucid.formats",),
    "onnxruntime": ("pellucid.formats",),
    "torch": ("pellucid.bench.opponent",),  # what `pellucid bench` compares with, where it is installed
}

# These belong to extras: importing them when a module loads would make the extra a requirement.
ONLY_INSIDE_FUNCTIONS = {"matplotlib", "sklearn", "onnx", "onnxruntime", "torch"}


def imported_names(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Every module the source imports, as (line, absolute dotted name); `from a import b` counts as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = (argument for argument in node.args if isinstance(argument, ast.Constant))
            yield from ((node.lineno, name.value) for name in names if isinstance(name.value, str))


def room_of(module: str) -> str:
    """The room a dotted name below `pellucid` belongs to; `pellucid` for names of the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else "pellucid"


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a module imports against the tables, one sentence each."""
    tree = ast.parse(source)
    room = "__init__" if module == "pellucid" else room_of(module)
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for line, name in imported_names(tree, package):
        top = name.split(".")[0]
        if top == "pellucid":
            if room_of(name) not in ALLOWED[room] | {room}:
                found.append(f"{module}:{line}: {room} must not import {room_of(name)} ({name})")
        elif top in THIRD_PARTY and not f"{module}.".startswith(tuple(f"{p}." for p in THIRD_PARTY[top])):
            found.append(f"{module}:{line}: {top} is not for {room}")
    for node in tree.body:
        for line, name in imported_names(node, package) if isinstance(node, ast.Import | ast.ImportFrom) else ():
            if name.split(".")[0] in ONLY_INSIDE_FUNCTIONS:
                found.append(f"{module}:{line}: import {name} inside the function that needs it: it is an extra")
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


def test_every_module_keeps_the_direction() -> None:
    found = []
    for module, path in modules():
        found += violations(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    assert not found, "\n".join(found)


def test_every_room_is_in_the_table() -> None:
    rooms = {module.split(".")[1] for module, _ in modules() if module.count(".")}
    assert rooms <= ALLOWED.keys(), f"say in ALLOWED what these may import: {sorted(rooms - ALLOWED.keys())}"


def test_the_table_has_no_circle() -> None:
    placed: set[str] = set()
    while waiting := {room for room in ALLOWED if room not in placed}:
        ready = {room for room in waiting if ALLOWED[room] - {"pellucid"} <= placed}
        assert ready, f"these rooms import each other in a circle: {sorted(waiting)}"
        placed |= ready


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("pellucid.notation.index", "from pellucid.layers import Conv2d", "notation must not import layers"),
        (
            "pellucid.notation.index",
            "def f():\n    from ..models import graph",
            "notation must not import models",
        ),
        ("pellucid.engines.numpy.run", "from ... import layers", "engines must not import layers"),
        ("pellucid.layers.conv", "import pellucid", "layers must not import pellucid"),
        ("pellucid.train.fit", "from pellucid import predict", "train must not import pellucid"),
        (
            "pellucid.train.fit",
            "import importlib\nimportlib.import_module('pellucid.cli')",
            "train must not import cli",
        ),
        ("pellucid.engines.numpy.run", "import llvmlite.binding", "llvmlite is not for engines"),
        ("pellucid.cli.train", "import torch", "torch is not for cli"),
        ("pellucid.bench.measure", "def f():\n    import torch", "torch is not for bench"),
        ("pellucid.bench.opponent", "import torch", "it is an extra"),
        ("pellucid.train.plots", "import matplotlib.pyplot as plt", "it is an extra"),
    ],
)
def test_a_forbidden_import_is_reported(module: str, source: str, complaint: str) -> None:
    assert any(complaint in sentence for sentence in violations(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pellucid.layers.conv", "from ..notation import Index\nfrom .base import Layer\nimport numpy"),
        ("pellucid.engines.native.loops", "def f():\n    import llvmlite.ir"),
        ("pellucid.train.plots", "def f():\n    import matplotlib"),
        ("pellucid.cli.train", "import pellucid as pc\nimport click"),
    ],
)
def test_a_proper_import_passes(module: str, source: str) -> None:
    assert violations(source, module) == []
