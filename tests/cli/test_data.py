"""`pellucid data`."""

from pathlib import Path

from tests.cli.conftest import Command


def test_the_list(pellucid: Command) -> None:
    names = [row["name"] for row in pellucid("data", "--json").json]
    assert names == ["digits", "mnist", "fashion-mnist", "cifar10"]
    done = pellucid("data")
    assert all(name in done.out for name in names)
    assert "folder of images per class" in done.err


def test_a_description(pellucid: Command, pictures: Path) -> None:
    digits, bars = pellucid("data", "digits", pictures, "--json").json
    assert digits["splits"]["test"]["images"] == 359
    assert bars["classes"] == ["lying", "upright"]
    assert "bars" in pellucid("data", pictures).out


def test_a_name_that_does_not_exist(pellucid: Command) -> None:
    pellucid("data", "minst").failed_with(3, "'minst'", "Did you mean 'mnist'")
