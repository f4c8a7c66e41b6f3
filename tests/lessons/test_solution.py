"""Files of hand-worked solutions: read with their digits, refused with a reason."""

from pathlib import Path

import pytest

from pellucid.errors import DataError
from pellucid.lessons.marking import mark
from pellucid.lessons.solution import load

GOOD = """
input = [[1, 2], ["1/4", 0.10]]

[[layer]]
type = "conv2d"
weight = [[1, 0], [0, -1]]
bias = 3

[stated]
conv1 = 4
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_shapes_and_arguments_follow_from_the_numbers(tmp_path: Path) -> None:
    solution = load(write(tmp_path, GOOD))
    assert solution.x.tolist() == [[[[1.0, 2.0], [0.25, 0.1]]]]
    assert solution.single
    assert {name: values.shape for name, values in solution.parameters.items()} == {
        "conv1.weight": (1, 1, 2, 2), "conv1.bias": (1,),
    }  # fmt: skip


def test_digits_are_kept(tmp_path: Path) -> None:
    solution = load(write(tmp_path, GOOD.replace("conv1 = 4", '"conv1[0,0,0]" = 3.90')))
    assert solution.stated == {"conv1[0,0,0]": "3.90"}


def test_layers_have_names_inputs_and_arguments(tmp_path: Path) -> None:
    two = '[[layer]]\ntype = "conv2d"\nname = "a"\npadding = [1, 0]\nweight = [[2]]\n'
    two += '[[layer]]\ntype = "add"\nname = "sum"\ninputs = ["a", "a"]\n[stated]\nsum = 4'
    model = load(write(tmp_path, f"input = [[1]]\n{two}")).model
    assert model.nodes["sum"].inputs == ("a", "a")
    assert getattr(model["a"], "padding") == (1, 0)  # noqa: B009  a layer's own attribute


def test_any_parameter_or_state_of_a_layer_may_be_given(tmp_path: Path) -> None:
    norm = 'input = [[[1, 2], [3, 4]]]\n[[layer]]\ntype = "batchnorm2d"\nnum_features = 1\neps = 0\n'
    norm += "weight = [2]\nbias = [1]\nrunning_mean = [2.5]\nrunning_var = [0.25]\n[stated]\n"
    # (x - 2.5) / 0.5 * 2 + 1
    assert mark(write(tmp_path, f"{norm}batchnorm2d1 = [[-5, -1], [3, 7]]")).all_right


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("input =", "image =", 'unknown key "image"; known are'),
        ("input =", "inputs = [[[[1]]]]\ninput =", 'either "input", one example, or "inputs"'),
        ("conv1 = 4", "", r"needs a table \[stated\]"),
        ('"conv2d"', '"conv3d"', "the type 'conv3d'; known are conv2d"),
        ("weight = [[1, 0], [0, -1]]\n", "kernel_size = 2\n", "missing 2 required|conv1.weight"),
        ("[[1, 0], [0, -1]]", "[[1, 0], [0]]", "equally long rows"),
        ("bias = 3", "bias = [3, 4]", r"conv1.bias has the shape 2, must have 1"),
        ("bias = 3", "bias = 3\nstried = 2", "stried"),
        ("conv1 = 4", "conv2 = 4", 'has "conv2", but there is no such number; there are'),
        ("conv1 = 4", '"conv1[0,1,0]" = 4', r'has "conv1\[0, 1, 0\]", but conv1 has the shape 1x1x1'),
        ("conv1 = 4", "conv1 = [4, 5]", r"gives conv1 the shape \(2,\); it has \(1, 1, 1, 1\)"),
        ("conv1 = 4", 'conv1 = "four"', "must be a printed number"),
        ("conv1 = 4", 'conv1 = 4\n"d conv1" = 1', 'has "d conv1", but there is no such number'),
        ("[stated]", "[update]\nlr = 0.1\n[stated]", "an .update. needs gradients"),
        ("[stated]", "[update]\nmomentum = 0.1\n[stated]", "takes one number, lr"),
        ("[stated]", '[loss]\ntype = "mse"\n[stated]', 'needs a "target"'),
        ("[stated]", '[loss]\ntype = "hinge"\ntarget = 1\n[stated]', "the type 'hinge'"),
        ("input = [[1, 2], [", "input = [[1], [", "must hold numbers in equally long rows"),
        ("[[1, 0], [0, -1]]", "[[1, 0, 2, 4]]", "conv1"),
        ("[[layer]]", "[[layer", "must be a readable TOML file"),
    ],
)
def test_what_is_no_solution_is_refused(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(DataError, match=complaint) as refused:
        mark(write(tmp_path, GOOD.replace(old, new)))
    assert str(refused.value).startswith("mine.toml: ")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.toml"):
        load(tmp_path / "gone.toml")
