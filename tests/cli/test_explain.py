"""`pellucid explain`: numbers of trained and untrained networks, and numbers that do not exist."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import pellucid as pc
from pellucid.train import load_run
from tests.cli.conftest import Command, draw


def test_a_number_of_a_trained_network(pellucid: Command, trained: Path) -> None:
    run = load_run(trained)
    image = pc.data.restore(run.data).test.image(3)
    expected = pc.predict(run.model, image[None])[0, 1]
    done = pellucid("explain", trained, 3, "fc2[1]", "--json")
    assert done.code == 0
    assert done.json["value"] == pytest.approx(float(expected), rel=1e-5)
    assert done.json["text"].startswith("fc2[0,1] = ")
    assert pellucid("explain", trained, 3, "fc2[1]").out.strip() == done.json["text"].strip()


def test_a_gradient_uses_the_label_of_the_image(pellucid: Command, trained: Path) -> None:
    done = pellucid("explain", trained, 0, "d fc2.bias[0]", "--json")
    label = done.json["label"]
    run = load_run(trained)
    logits = pc.predict(run.model, pc.data.restore(run.data).test.image(0)[None])[0].astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert done.json["value"] == pytest.approx(probabilities[0] - (label == 0), abs=1e-6)
    other = "lying" if label == 1 else "upright"
    turned = pellucid("explain", trained, 0, "d fc2.bias[0]", "--target", other, "--json")
    assert turned.json["label"] == 1 - label


def test_a_file_and_its_class(pellucid: Command, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "bar.png"
    draw("upright", 2).save(file)
    assert pellucid("explain", trained, file, "input[0,0,0]").code == 0
    assert pellucid("explain", trained, file, "loss", "--target", "upright", "--json").json["value"] > 0
    pellucid("explain", trained, file, "loss").failed_with(2, '"loss" depends on the right class', "--target")
    done = pellucid("explain", trained, file, "d conv1[0,0,0]", "--target", "uprite")
    done.failed_with(2, "There is no class 'uprite'. Did you mean upright?")


def test_an_untrained_network_by_name(pellucid: Command, tmp_path: Path) -> None:
    done = pellucid("explain", "notes-cnn", 0, "conv1[1,2,3]", "--full", "--option", "activation=tanh")
    assert done.code == 0
    assert done.out.count("conv1.weight[1,0,") == 25
    file = tmp_path / "bar.png"
    draw("lying", 2).save(file)
    assert pellucid("explain", "lenet5", file, "fc3[0]").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "phrases"),
    [
        (["lenet", "0", "conv1[0,0,0]"], 2, ["unknown model 'lenet'"]),
        (["lenet5", "0", "conf1[0,0,0]"], 2, ["no tensor 'conf1'", "Did you mean 'conv1'"]),
        (["lenet5", "0", "conv1[6,0,0]"], 2, ["must be 0 to 5, not 6"]),
        (["lenet5", "0", "conv1[0,0"], 2, ["names no number"]),
        (["lenet5", "359", "conv1[0,0,0]"], 2, ["no image 359: the data have 359 test images"]),
        (["lenet5", "none.png", "conv1[0,0,0]"], 3, ["none.png"]),
        (["notes-mlp", "0", "fc1[0]"], 2, ["takes 3 numbers, not images"]),
        (["lenet5", "0"], 2, ["missing argument 'WHAT'"]),
    ],
)
def test_what_cannot_be_opened(arguments: list[str], code: int, phrases: list[str], pellucid: Command) -> None:
    pellucid("explain", *arguments).failed_with(code, *phrases)


def test_every_form_is_written(pellucid: Command, trained: Path, tmp_path: Path) -> None:
    what = "d conv1.weight[1,0,2,3]"
    starts = {"latex": "\\documentclass", "mathml": "<math", "speech": "gradient by conv1.weight at 1, 0, 2, 3"}
    for form, start in starts.items():
        assert pellucid("explain", trained, 0, what, "--as", form).out.startswith(start)
    tree = pellucid("explain", trained, 0, what, "--as", "json", "--digits", 9).json
    assert tree["index"] == [1, 0, 2, 3] and tree["shown"] == f"{tree['value']:.9g}"
    assert tree["scatter"]["value"] == pytest.approx(tree["value"], rel=1e-9)
    file = tmp_path / "page.html"
    done = pellucid("explain", trained, 0, what, "--as", "html", "--out", file, "--lang", "fa")
    assert (done.code, done.out) == (0, "") and "Written to" in done.err
    page = file.read_text(encoding="utf-8")
    assert page.startswith('<!DOCTYPE html>\n<html lang="fa" dir="rtl">') and "http" not in page.replace(
        "http://www.w3.org/1998/Math/MathML", ""
    )


def test_an_update_uses_the_runs_optimizer_and_what_it_remembers(pellucid: Command, trained: Path) -> None:
    done = pellucid("explain", trained, 0, "update fc2.bias[0]", "--depth", 1)
    assert "W' " not in done.out and "b'[o] = b[o] - lr * V'[o]" in done.out
    assert "updated optimizer.momentum.fc2.bias[0]" in done.out
    assert "This is the parameter's value after the optimiser's next step" in done.out


def test_an_update_uses_the_rate_that_the_schedule_has_come_to(
    pellucid: Command, pictures: Path, tmp_path: Path
) -> None:
    out, settings = tmp_path / "a", ["--model", "notes-cnn", "--epochs", 2, "--batch-size", 8, "--lr", 0.05]
    pellucid("train", pictures, *settings, "--momentum", 0.9, "--schedule", "step", "--out", out)
    state = load_file(out / "ckpt/best/state.safetensors")
    weights = load_file(out / "ckpt/best/model.safetensors")
    step, data = int(state["counter.step"]), json.loads((out / "data.json").read_text())
    total = 2 * -(-data["splits"]["train"]["images"] // 8)
    rate = 0.05 * 0.1 ** (step // -(-total // 3))
    assert rate <= 0.005
    gradient = pellucid("explain", out, 0, "d fc2.bias[0]", "--json").json["value"]
    velocity = 0.9 * state["optimizer.momentum.fc2.bias"][0] + gradient
    updated = pellucid("explain", out, 0, "update fc2.bias[0]", "--json").json["value"]
    assert float(weights["fc2.bias"][0]) - updated == pytest.approx(rate * velocity, rel=1e-4)


def test_an_update_is_that_of_the_weights_behind_the_averages(
    pellucid: Command, pictures: Path, tmp_path: Path
) -> None:
    out, settings = tmp_path / "a", ["--model", "notes-cnn", "--epochs", 1, "--batch-size", 8, "--lr", 0.05]
    pellucid("train", pictures, *settings, "--momentum", 0.9, "--ema-decay", 0.9, "--out", out)
    state = load_file(out / "ckpt/last/state.safetensors")
    weight = float(state["current.fc2.bias"][0])
    average = float(load_file(out / "ckpt/last/model.safetensors")["fc2.bias"][0])
    assert average != weight
    opened = pellucid("explain", out, 0, "update fc2.bias[0]", "--weights", "last", "--depth", 1)
    assert "the update below is of the weights themselves" in opened.err
    assert f"{weight:.6g}" in opened.out and f"{average:.6g}" not in opened.out


def test_options_of_the_prose_and_the_proof(pellucid: Command, trained: Path) -> None:
    done = pellucid("explain", trained, 0, "d fc2.bias[0]", "--lang", "tr", "--no-proof")
    assert "denklem" in done.out and "kanıt" not in done.out
    assert "kanıt" in pellucid("explain", trained, 0, "d fc2.bias[0]", "--lang", "tr").out
    deep = pellucid("explain", trained, 0, "fc2[0]", "--depth", 5).out
    assert "opened further" in deep and "more numbers are not opened" in deep


def test_a_file_that_cannot_be_written(pellucid: Command, tmp_path: Path) -> None:
    done = pellucid("explain", "notes-cnn", 0, "conv1[1,2,3]", "--out", tmp_path / "none" / "page.txt")
    done.failed_with(5, "cannot be written")
