"""`pellucid check`: exit codes and what is printed."""

from pathlib import Path

from tests.cli.conftest import Command

FILE = 'input = [[2]]\n[[layer]]\ntype = "conv2d"\nweight = [[3]]\n[stated]\nconv1 = {}\n'


def test_right_is_0_wrong_is_6_broken_is_3(pellucid: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(FILE.format(6))
    assert pellucid("check", file).code == 0
    file.write_text(FILE.format(7))
    done = pellucid("check", file)
    assert done.code == 6 and "1 of 1 numbers are wrong; the first is conv1[0,0,0]" in done.err
    assert "it is 6" in done.out
    file.write_text("input = ")
    pellucid("check", file).failed_with(3, "mine.toml: must be a readable TOML file")
    pellucid("check", tmp_path / "gone.toml").failed_with(3, "gone.toml")


def test_json_and_language(pellucid: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(FILE.format(7))
    done = pellucid("check", file, "--json", "--lang", "tr").json
    assert done["all_right"] is False
    assert done["numbers"][0]["verdict"] == "wrong" and done["numbers"][0]["says"] == "hata burada başlıyor"
