"""`pellucid why-nan` and `pellucid why-zero`: chains of a trained network, and questions that have no answer."""

from pathlib import Path

import numpy as np
import pytest

import pellucid as pc
from tests.cli.conftest import Command, draw


def test_zeros_of_a_trained_network(pellucid: Command, trained: Path) -> None:
    done = pellucid("why-zero", trained, 1, "act1", "--json")
    assert done.code == 0
    assert done.json["cause"] == "relu" and done.json["at"].startswith("act1[0,")
    text = pellucid("why-zero", trained, 1, "d conv1")
    assert text.code == 0
    assert text.out.startswith("d conv1[0,") and "The first number at fault is " in text.out


def test_a_nan_in_a_weight(pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    model = pc.models.create("lenet5").init(seed=0)
    weight = model.tensors()["conv2.weight"].value
    assert weight is not None
    weight[3, 1, 2, 2] = np.nan
    monkeypatch.setattr(pc.models, "create", lambda name: model)
    done = pellucid("why-nan", "lenet5", 0, "loss", "--json")
    assert done.code == 0
    assert (done.json["cause"], done.json["at"]) == ("weight", "conv2.weight[3,1,2,2]")
    assert done.json["chain"][0]["value"] == "nan"
    assert "The first number at fault is conv2.weight[3,1,2,2]" in pellucid("why-nan", "lenet5", 0, "d fc1.bias").out


def test_a_file_needs_its_class_for_the_loss(pellucid: Command, trained: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    draw("upright", 1).save(image)
    pellucid("why-nan", trained, image, "loss").failed_with(2, "--target")
    pellucid("why-nan", trained, image, "loss", "--target", "upright").failed_with(2, "loss is ", "not NaN or infinite")


@pytest.mark.parametrize(
    ("arguments", "code", "phrases"),
    [
        (["why-zero", "lenet", "0", "conv1"], 2, ["unknown model 'lenet'"]),
        (["why-zero", "lenet5", "0", "conf1"], 2, ["no tensor 'conf1'", "Did you mean 'conv1'"]),
        (["why-zero", "lenet5", "0", "conv1[9,0,0]"], 2, ["must be 0 to 5, not 9"]),
        (["why-nan", "lenet5", "0", "conv1[0,0,0]"], 2, ["not NaN or infinite"]),
        (["why-nan", "lenet5", "0", "conv1[x]"], 2, ["names no number"]),
        (["why-nan", "lenet5", "no.png", "conv1"], 3, ["no.png"]),
        (["why-nan", "lenet5", "5000", "conv1"], 2, ["there is no image 5000"]),
    ],
)
def test_mistakes(pellucid: Command, arguments: list[str], code: int, phrases: list[str]) -> None:
    pellucid(*arguments).failed_with(code, *phrases)
