"""`pellucid exercise`: sheets, grading from files, from stdin and by asking."""

import io
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_a_sheet_and_its_answers(pellucid: Command) -> None:
    asked = pellucid("exercise", "--kind", "stride", "--seed", "4")
    assert asked.code == 0 and "at stride 2" in asked.out
    assert pellucid("exercise", "--kind", "stride", "--seed", "4", "--answers").out.startswith(asked.out.rstrip("\n"))
    assert "adım aralığı" in pellucid("exercise", "--kind", "stride", "--lang", "tr").out


def test_grading_a_file(pellucid: Command, tmp_path: Path) -> None:
    answers = pellucid("exercise", "--kind", "parameters", "--seed", "1", "--answers", "--json").json["answers"]
    file = tmp_path / "mine.toml"
    file.write_text(f'kind = "parameters"\nseed = 1\nconv = {answers["conv"]:.0f}\nfc = {answers["fc"]:.0f}\n')
    done = pellucid("exercise", "--grade", file)
    assert done.code == 0 and "Everything is right." in done.out
    file.write_text('kind = "parameters"\nseed = 1\nconv = 1\n')
    done = pellucid("exercise", "--grade", file)
    assert done.code == 6 and "fc: no answer." in done.out
    file.write_text("conv = ")
    pellucid("exercise", "--grade", file).failed_with(3, "mine.toml: must be TOML")
    pellucid("exercise", "--grade", tmp_path / "gone.toml").failed_with(3, "gone.toml")


def test_grading_stdin(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "rows = 1000"
    monkeypatch.setattr("sys.stdin", io.StringIO(wrong))
    done = pellucid("exercise", "--kind", "sizes", "--grade", "-", "--json")
    assert done.code == 6 and done.json["answers"][0]["mistake"] is None


def test_asking(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = pellucid("exercise", "--kind", "pooling", "--answers", "--json").json["answers"]["Y"][0]
    rows = "".join(" ".join(map(str, row)) + "\n" for row in answer)
    monkeypatch.setattr("sys.stdin", io.StringIO(rows))
    done = pellucid("exercise", "--kind", "pooling", "--ask")
    assert done.code == 0 and done.out.startswith("Y: right.")
    assert "row 2 of 2" in done.err


def test_two_sources_of_answers(pellucid: Command) -> None:
    pellucid("exercise", "--ask", "--grade", "x").failed_with(2, "--ask and --grade")
