"""The package as a whole: what importing it costs, and what its metadata promise."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

import pellucid

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

# Slow to import, or optional: needed by some functions, not by `import pellucid`.
LATE = (
    "tqdm",
    "click",
    "PIL",
    "safetensors",
    "tomli_w",
    "matplotlib",
    "llvmlite",
    "torch",
    "ssl",
    "http.client",
)


def in_new_process(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_import_brings_only_what_every_use_needs() -> None:
    program = f"import sys, pellucid; print(*[name for name in {LATE!r} if name in sys.modules])"
    assert in_new_process(program) == ""


def test_import_is_quick() -> None:
    program = "import time; t = time.process_time(); import pellucid; print(time.process_time() - t)"
    in_new_process(program)
    fastest = min(float(in_new_process(program)) for _ in range(5))
    assert fastest < 0.6  # 0.2 s; of processor time, because other tests run at the same time


def test_everything_public_exists() -> None:
    assert [name for name in pellucid.__all__ if not hasattr(pellucid, name)] == []
    assert len(set(pellucid.__all__)) == len(pellucid.__all__)


def test_one_version_everywhere() -> None:
    assert pellucid.__version__ == PROJECT["version"]


def test_types_are_part_of_the_package() -> None:
    assert (ROOT / "src" / "pellucid" / "py.typed").exists()


def test_the_core_stays_small() -> None:
    names = {re.split(r"[^\w-]", requirement, maxsplit=1)[0] for requirement in PROJECT["dependencies"]}
    assert names == {"numpy", "llvmlite", "pillow", "safetensors", "tqdm", "click", "tomli-w"}
    assert "torch" not in str(PROJECT)


def test_the_core_takes_less_than_300_megabytes() -> None:
    """Counted from what the installer wrote down, with compiled Python files; no dependency brings further ones."""
    sizes = {}
    for requirement in PROJECT["dependencies"]:
        package = distribution(re.split(r"[^\w-]", requirement, maxsplit=1)[0])
        places = [Path(str(package.locate_file(file))) for file in package.files or ()]
        sizes[package.name] = sum(place.stat().st_size for place in places if place.exists())
        further = [text for text in package.requires or () if "extra ==" not in text and "platform_system" not in text]
        assert further == [], f"{package.name} brings more"
    own = sum(path.stat().st_size for path in (ROOT / "src").rglob("*") if path.is_file())
    assert sizes["llvmlite"] > 100e6, "the sizes are known"
    assert sum(sizes.values()) + own < 300e6, sizes


def test_every_dependency_has_a_range() -> None:
    open_ended = [text for text in PROJECT["dependencies"] if not re.search(r">=[\d.]+,<[\d.]+$", text)]
    assert open_ended == []


@pytest.mark.parametrize("forbidden", ["pickle", "eval", "exec", "marshal", "shelve"])
def test_data_never_becomes_code(forbidden: str) -> None:
    """No module imports an unsafe reader, and none calls eval or exec."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == forbidden
            imported = isinstance(node, ast.Import) and forbidden in {alias.name for alias in node.names}
            taken = isinstance(node, ast.ImportFrom) and node.module == forbidden
            if called or imported or taken:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_arrays_are_read_without_pickle() -> None:
    """`numpy.load` reads pickles only when allowed to, and nothing here allows it."""
    allowed = [path for path in SOURCES if re.search(r"allow_pickle\s*=\s*True", path.read_text(encoding="utf-8"))]
    assert allowed == []
