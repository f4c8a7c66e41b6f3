"""`pellucid notes`: the list, a lesson, and its JSON."""

from tests.cli.conftest import Command


def test_the_list(pellucid: Command) -> None:
    assert "training (tr): " in pellucid("notes").out
    listed = pellucid("notes", "--lang", "en", "--json").json
    assert [entry["name"] for entry in listed] == ["channels", "training", "architecture", "exercise", "slides"]
    assert listed[3]["examples"]["backward"] == "The whole backward pass by hand"


def test_a_lesson_speaks_its_own_language_unless_told_otherwise(pellucid: Command) -> None:
    assert "verilen" in pellucid("notes", "training", "error").out
    done = pellucid("notes", "training", "error", "--lang", "en")
    assert done.code == 0
    assert "it comes out with a base-10" in done.out


def test_json(pellucid: Command) -> None:
    done = pellucid("notes", "architecture", "parameters", "--json").json
    assert done["language"] == "en"
    assert [(cause["name"], cause["stated"], cause["true"]) for cause in done["causes"]] == [
        ("parameters", "6170", "6070")
    ]


def test_unknown_names(pellucid: Command) -> None:
    pellucid("notes", "trainin").failed_with(2, 'no notes called "trainin"')
    pellucid("notes", "training", "errors").failed_with(2, 'no example "errors"', "forward")
