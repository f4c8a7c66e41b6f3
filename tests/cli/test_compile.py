"""`pellucid compile`: every stage, for models, runs and layers."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command

LAYER = ("conv2d", "--option", "in_channels=3", "--option", "out_channels=4", "--option", "kernel_size=3")


@pytest.mark.parametrize(
    ("stage", "phrase"),
    [
        ("equations", "sum(c,u,v) X[n,c,i+u,j+v] * W[o,c,u,v]"),
        ("layout", "layout "),
        ("loops", "multiply-adds: "),
        ("llvm", "define void @kernel0"),
        ("asm", "kernel0:"),
        ("report", "GFLOP/s"),
    ],
)
def test_every_stage_of_a_layer(stage: str, phrase: str, pellucid: Command) -> None:
    done = pellucid("compile", *LAYER, "--input-shape", "3,8,8", "--show", stage)
    assert done.code == 0, done.err
    assert phrase in done.out


def test_a_model_for_training(pellucid: Command) -> None:
    done = pellucid("compile", "notes-cnn", "--batch-size", "32", "--training", "--show", "loops")
    assert done.code == 0, done.err
    assert "updated conv1.weight" in done.out
    assert "updated" not in pellucid("compile", "notes-cnn", "--batch-size", "32", "--show", "loops").out


def test_a_trained_run(trained: Path, pellucid: Command) -> None:
    done = pellucid("compile", trained, "--show", "equations")
    assert done.code == 0, done.err
    assert "X 1x1x28x28 input" in done.out


def test_a_layer_of_vectors(pellucid: Command) -> None:
    options = ("--option", "in_features=5", "--option", "out_features=2")
    done = pellucid("compile", "linear", *options, "--input-shape", "5", "--training", "--show", "equations")
    assert "dW[o,k] = sum(n) dY[n,o] * X[n,k]" in done.out


def test_the_layout_can_be_chosen(pellucid: Command) -> None:
    for layout in ("images", "batch", "channels"):
        done = pellucid("compile", *LAYER, "--input-shape", "3x8x8", "--show", "layout", "--layout", layout)
        assert done.out.startswith(f"layout {layout}")


def test_foreign_assembly(pellucid: Command) -> None:
    arguments = ("compile", *LAYER, "--input-shape", "3,8,8", "--target", "aarch64", "--layout", "images")
    assert "# target aarch64: 4 lanes" in pellucid(*arguments, "--show", "asm", "--kernel", "0").out


def test_json(pellucid: Command) -> None:
    done = pellucid("compile", *LAYER, "--input-shape", "3,8,8", "--show", "layout", "--json")
    assert done.json["stage"] == "layout"
    report = pellucid("compile", *LAYER, "--input-shape", "3,8,8", "--show", "report", "--json").json
    assert report["peak"] > 1e8
    assert {"equations", "schedule", "tasks", "seconds", "flops", "bytes", "share_of_peak"} <= report["rows"][0].keys()


def test_one_kernel_of_the_report(pellucid: Command) -> None:
    done = pellucid("compile", "notes-cnn", "--show", "report", "--kernel", "1", "--json")
    assert [row["number"] for row in done.json["rows"]] == [1]


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["conv3d"], ["conv3d"]),
        (["conv2d", "--input-shape", "3,8,8"], ["Conv2d: missing a required argument: 'in_channels'", "--option"]),
        ([*LAYER, "--option", "stried=2", "--input-shape", "3,8,8"], ["'stried'", "kernel_size, stride"]),
        (LAYER, ["conv2d takes inputs of many shapes", "--input-shape"]),
        ([*LAYER, "--input-shape", "3,0,8"], ["'3,0,8' is not a shape"]),
        ([*LAYER, "--input-shape", "5,8,8"], ["expects 3 channels"]),
        ([*LAYER, "--input-shape", "3,8,8", "--target", "mmx"], ["unknown target 'mmx'"]),
        ([*LAYER, "--input-shape", "3,8,8", "--kernel", "50"], ["there is no kernel 50"]),
        ([*LAYER, "--input-shape", "3,8,8", "--kernel", "50", "--show", "report"], ["there is no kernel 50"]),
        ([*LAYER, "--input-shape", "3,8,8", "--show", "wasm"], ["wasm"]),
    ],
)
def test_what_cannot_be_compiled(arguments: list[str], phrases: list[str], pellucid: Command) -> None:
    pellucid("compile", *arguments).failed_with(2, *phrases)
