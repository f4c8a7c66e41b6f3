"""`pellucid explain`: numbers of trained and untrained networks, and numbers that do not exist."""

from pathlib import Path

import numpy as np
import pytest

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
