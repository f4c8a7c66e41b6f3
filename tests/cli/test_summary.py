"""`pellucid summary` and `pellucid models`."""

from pathlib import Path

from tests.cli.conftest import Command


def test_a_model_by_name(pellucid: Command) -> None:
    done = pellucid("summary", "lenet5", "--json")
    assert done.code == 0
    assert done.json["parameters"] == 61_706
    assert [row["name"] for row in done.json["layers"]][:3] == ["conv1", "act1", "pool1"]
    text = pellucid("summary", "lenet5").out
    assert "61,706" in text
    assert "multiply-adds" in text
    assert "FLOPs" in text


def test_options_and_input_shape(pellucid: Command) -> None:
    done = pellucid("summary", "notes-cnn", "--option", "classes=26", "--input-shape", "1x28x28", "--json")
    assert done.json["parameters"] == 6_070 + 16 * 51
    assert done.json["input_shape"] == [1, 28, 28]


def test_a_run(pellucid: Command, trained: Path) -> None:
    done = pellucid("summary", trained, "--json")
    assert done.json["parameters"] == 6_070 - 8 * 51
    pellucid("summary", trained, "--option", "classes=3").failed_with(2, "leave out --option")


def test_what_does_not_fit(pellucid: Command, tmp_path: Path) -> None:
    pellucid("summary", "lenet").failed_with(2, "unknown model 'lenet'", "Did you mean 'lenet5'")
    pellucid("summary", tmp_path).failed_with(2, "holds no run")
    pellucid("summary", tmp_path / "run").failed_with(2, "run does not exist: give the name of a model, a run folder")
    (tmp_path / "weights.pth").touch()
    pellucid("summary", tmp_path / "weights.pth").failed_with(2, "weights.pth is a file: give the name of a model")
    pellucid("summary", "lenet5", "--input-shape", "1,64,64").failed_with(2, '"fc1"', "400")
    pellucid("summary", "lenet5", "--input-shape", "28").failed_with(2, "'28' is not channels, height and width")


def test_the_list_of_models(pellucid: Command) -> None:
    listed = {row["name"]: row for row in pellucid("models", "--json").json}
    assert listed["notes-cnn"]["parameters"] == 6_070
    assert listed["notes-cnn"]["input_shape"] == [1, 28, 28]
    assert "LeCun" in listed["lenet5"]["paper"] and listed["lenet5"]["multiply_adds"] == 416_520
    assert listed["lenet5"]["options"]["activation"] == "tanh"
    assert listed["lenet5"]["defaults"]["optimizer"] == "sgd"
    text = pellucid("models").out
    assert all(name in text for name in listed)
