"""Check the documentation: links lead somewhere, and what it shows is what happens.

In README.md, CONTRIBUTING.md, SECURITY.md and docs/**/*.md

* every relative link leads to a file, and to a heading where it names one;
* every ```python block runs, those of one file one after the other in one namespace (as a doctest where
  it has >>>);
* every `$ pellucid ...` line of a ```console block runs, and prints the lines shown below it, in that order.
  Spaces count as one; `...` stands for anything, in a line or as whole lines.

A block that begins with `# name.toml` is first written to that file. A block whose fence says `no-run` is only
read. All blocks of a file run in one temporary folder.
"""

import doctest
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIME_LIMIT = 300  # seconds for one command or one file's Python blocks


@dataclass(frozen=True)
class Block:
    """A fenced block: the file and line of its first line, what its fence says, its text."""

    file: Path
    line: int
    info: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.file.name}:{self.line}"


def documents() -> list[Path]:
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [path for path in top if path.exists()] + sorted((ROOT / "docs").rglob("*.md"))


def blocks(file: Path) -> Iterator[Block]:
    inside: list[str] | None = None
    info, start = "", 0
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if inside is None and (opening := re.match(r"^```\s*(\S.*)?$", line)):
            inside, info, start = [], (opening.group(1) or "").strip(), number + 1
        elif inside is not None and line.strip() == "```":
            yield Block(file, start, info, "\n".join(inside))
            inside = None
        elif inside is not None:
            inside.append(line)


def slug(heading: str) -> str:
    """The anchor a code host gives a heading."""
    text = re.sub(r"[`*_]|\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(file: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+\s+(.+?)\s*$", text, re.MULTILINE)}


def check_links(file: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (file.parent / name).resolve() if name else file
        if not goal.exists():
            yield f"{file.name}: the link {target} leads nowhere"
        elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
            yield f"{file.name}: {goal.name} has no heading #{anchor}"


def run(command: list[str], folder: str) -> tuple[int, str]:
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "110"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=TIME_LIMIT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def python_program(parts: list[Block]) -> str:
    """The Python blocks of a file as one program whose errors name the block's own line."""
    lines = [
        "import doctest",
        "space = {'__name__': 'documentation'}",
        f"runner = doctest.DocTestRunner(optionflags={doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE})",
    ]
    for block in parts:
        if ">>>" in block.text:
            arguments = f"{block.text!r}, space, {block.place!r}, {block.file.name!r}, {block.line - 1}"
            lines += [
                f"test = doctest.DocTestParser().get_doctest({arguments})",
                "if runner.run(test, clear_globs=False).failed: raise SystemExit(1)",
                "space = test.globs",
            ]
        else:
            source = "\n" * (block.line - 1) + block.text
            lines.append(f"exec(compile({source!r}, {block.file.name!r}, 'exec'), space)")
    return "\n".join(lines)


def same_output(shown: str, printed: str) -> str | None:
    """None if every shown line occurs in the output, in order; otherwise the first that does not."""
    rest = [" ".join(line.split()) for line in printed.splitlines()]
    for line in shown.splitlines():
        wanted = " ".join(line.split())
        if wanted in ("", "..."):
            continue
        pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
        found = next((i for i, have in enumerate(rest) if re.fullmatch(pattern, have)), None)
        if found is None:
            return line
        rest = rest[found + 1 :]
    return None


def console_commands(block: Block) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        # Lines of the command that end in a backslash go on; lines that are shown may end as they like.
        command = re.match(r"(?:.*\\\n)*.*", part)
        assert command is not None
        yield command[0].replace("\\\n", " "), part[command.end() :]


def check_console(block: Block, folder: str) -> Iterator[str]:
    for command, shown in console_commands(block):
        words = shlex.split(command, comments=True)
        if words[:1] != ["pellucid"]:
            continue
        print(f"  $ {command}", flush=True)
        code, printed = run([sys.executable, "-m", *words], folder)
        told = re.search(r"^\[exit code (\d+)\]$", shown, re.MULTILINE)
        if code != (int(told.group(1)) if told else 0):
            yield f"{block.place}: `{command}` left with exit code {code}:\n{printed}"
            continue
        missing = same_output(re.sub(r"^\[exit code \d+\]$", "", shown, flags=re.MULTILINE), printed)
        if missing is not None:
            yield f"{block.place}: `{command}` does not print\n    {missing}\nbut\n{printed}"


def check_blocks(file: Path) -> Iterator[str]:
    runnable = [block for block in blocks(file) if "no-run" not in block.info]
    with tempfile.TemporaryDirectory() as folder:
        for block in runnable:
            if named := re.match(r"# (\w+\.toml)\n", block.text):
                (Path(folder) / named.group(1)).write_text(block.text + "\n", encoding="utf-8")
        for block in runnable:
            if block.info.startswith("console"):
                yield from check_console(block, folder)
        parts = [block for block in runnable if block.info.split(" ")[0] == "python"]
        if parts:
            print(f"  {len(parts)} Python blocks", flush=True)
            code, printed = run([sys.executable, "-c", python_program(parts)], folder)
            if code:
                yield f"{file.name}: its Python blocks do not run:\n{printed}"


def main() -> int:
    problems = []
    for file in documents():
        print(file.relative_to(ROOT), flush=True)
        problems += [*check_links(file), *check_blocks(file)]
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    print(f"{len(documents())} documents, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
