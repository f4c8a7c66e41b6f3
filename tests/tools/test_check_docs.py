"""The check of the documentation finds what is wrong, and nothing else."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parent.parent.parent / "tools" / "check_docs.py"


@pytest.fixture
def tool() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("check_docs", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_docs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_docs"]


def write(folder: Path, text: str) -> Path:
    file = folder / "page.md"
    file.write_text(text, encoding="utf-8")
    return file


def test_links(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# The `pool` layer, twice\n```\n# no heading\n```\n")
    text = """# Top
[a](other.md) [b](other.md#the-pool-layer-twice) [c](#top) [d](https://example.org/x) `[e](none)`
[f](missing.md) [g](other.md#no-heading) [h](#bottom)
"""
    assert list(tool.check_links(write(tmp_path, text))) == [
        "page.md: the link missing.md leads nowhere",
        "page.md: other.md has no heading #no-heading",
        "page.md: page.md has no heading #bottom",
    ]


def test_a_block_with_a_file_name_is_written_first(tool: ModuleType, tmp_path: Path) -> None:
    text = "```toml\n# mine.toml\na = 1\n```\n```python\nassert 'a = 1' in open('mine.toml').read()\n```\n"
    assert list(tool.check_blocks(write(tmp_path, text))) == []
    (problem,) = tool.check_blocks(write(tmp_path, text.replace("# mine", "# other")))
    assert "No such file" in problem


def test_python_blocks_share_a_namespace(tool: ModuleType, tmp_path: Path) -> None:
    text = "```python\na = 1\n```\n```python\n>>> a + 1\n2\n>>> b = 3\n```\n```python\nassert a + b == 4\n```\n"
    assert list(tool.check_blocks(write(tmp_path, text))) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("```python\na = 1\n\nraise ValueError('no')\n```\n", 'File "page.md", line 4'),
        ("```python\n>>> 1 + 1\n3\n```\n", "Expected:\n    3\nGot:\n    2"),
    ],
)
def test_python_blocks_that_fail(text: str, phrase: str, tool: ModuleType, tmp_path: Path) -> None:
    (problem,) = tool.check_blocks(write(tmp_path, text))
    assert "page.md: its Python blocks do not run" in problem
    assert phrase in problem


def test_blocks_that_are_only_read(tool: ModuleType, tmp_path: Path) -> None:
    text = "```python no-run\n1 / 0\n```\n```console\n$ make demo\n$ rm -rf /none\n```\n```text\nx\n```\n"
    assert list(tool.check_blocks(write(tmp_path, text))) == []


def test_commands_and_what_they_print(tool: ModuleType, tmp_path: Path) -> None:
    mistyped = "$ pellucid trian\n... Did you mean 'train'?\n[exit code 2]\n"
    text = f"```console\n$ pellucid --version\npellucid ...\n{mistyped}```\n"
    assert list(tool.check_blocks(write(tmp_path, text))) == []
    (problem,) = tool.check_blocks(write(tmp_path, "```console\n$ pellucid --version\nversion 99\n```\n"))
    assert "page.md:2: `pellucid --version` does not print\n    version 99\nbut\npellucid " in problem
    (problem,) = tool.check_blocks(write(tmp_path, "```console\n$ pellucid trian\n```\n"))
    assert "left with exit code 2" in problem


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ("a  1\nc", None),
        ("a 1\n...\nlast line", None),
        ("a ...\n... line", None),
        ("b\na 1", "a 1"),
        ("last", "last"),
    ],
)
def test_shown_lines_come_in_order(shown: str, missing: str | None, tool: ModuleType) -> None:
    assert tool.same_output(shown, "a   1\nb\nc\nlast line\n") == missing
