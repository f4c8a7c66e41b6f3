"""`pellucid look`: pictures of trained and untrained networks, and what cannot be shown."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Command, draw


def test_a_trained_network(pellucid: Command, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "look"
    done = pellucid("look", trained, 1, "--out", out, "--what", "receptive,feature-maps,grad-cam,deconv,top", "--json")
    assert done.code == 0
    shown = {view["kind"]: view for view in done.json["views"]}
    assert list(shown) == ["receptive", "feature-maps", "grad-cam", "deconv", "top"]
    assert shown["grad-cam"]["class"] in ("lying", "upright") and 0.5 <= shown["grad-cam"]["probability"] <= 1
    fields = {field["layer"]: field for field in shown["receptive"]["fields"]}
    assert fields["conv2"]["size"] == [14, 14] and fields["conv2"]["jump"] == [2, 2]
    assert all((out / view["file"]).read_bytes().startswith(b"\x89PNG") for view in done.json["views"])
    html = (out / "report.html").read_text()
    assert "Image 1 of the test images: the network says " in html
    with np.load(out / "numbers.npz") as numbers:
        assert numbers["top images"].shape[0] == 6


def test_text_names_the_files_and_the_fields(pellucid: Command, trained: Path, tmp_path: Path) -> None:
    done = pellucid("look", trained, 0, "--out", tmp_path, "--what", "receptive,filters", "--layer", "conv1")
    assert done.code == 0
    assert "receptive.png" in done.out and "filters-conv1.png" in done.out
    assert [line.split() for line in done.out.splitlines() if line.startswith("conv1")] == [
        ["conv1", "4x24x24", "5x5", "1x1", "0,", "0"]
    ]
    assert f"Open {tmp_path / 'report.html'}" in done.err


def test_the_report_of_the_run_shows_the_sheets(pellucid: Command, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "my run"
    shutil.copytree(trained, run)
    before = (run / "report.html").read_text(encoding="utf-8")
    assert f"pellucid look {trained} 0" in before
    assert pellucid("look", run, 1, "--what", "filters", "--out", tmp_path / "elsewhere").code == 0
    assert (run / "report.html").read_text(encoding="utf-8") == before
    done = pellucid("look", run, 1, "--what", "receptive,filters")
    assert done.code == 0 and f"{run / 'report.html'} shows them, too" in done.err
    after = (run / "report.html").read_text(encoding="utf-8")
    assert 'href="look/report.html"' in after and "Image 1 of the test images: the network says" in after
    for name in ("receptive", "filters-conv1"):
        assert f'href="look/{name}.png"' in after and (run / "look" / f"{name}.png").is_file()
    embedded = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", after[after.index('id="inside"') :])]
    with Image.open(io.BytesIO(embedded[0])) as small, Image.open(run / "look" / "receptive.png") as whole:
        assert small.width == 320 < whole.width


def test_a_file_and_an_untrained_network(pellucid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("upright", 2).save("bar.png")
    done = pellucid("look", "lenet5", "bar.png", "--what", "saliency,guided,occlusion", "--class", "7", "--json")
    assert done.code == 0 and done.json["folder"] == "runs/look-lenet5"
    assert {view["class"] for view in done.json["views"]} == {"7"}
    html = Path("runs/look-lenet5/report.html").read_text()
    assert "The image bar.png: the network says " in html and "This network has no ReLU" in html


@pytest.mark.parametrize(
    ("arguments", "code", "phrases"),
    [
        (["lenet", "0"], 2, ["unknown model 'lenet'"]),
        (["lenet5", "0", "--what", "heat"], 2, ["no view 'heat'", "grad-cam"]),
        (["lenet5", "0", "--what", "deconv", "--layer", "conf2"], 2, ["Did you mean 'conv2'"]),
        (["lenet5", "0", "--what", "saliency", "--class", "ten"], 2, ["no class 'ten'"]),
        (["lenet5", "missing.png"], 3, ["missing.png"]),
        (["lenet5", "9999"], 2, ["there is no image 9999"]),
        (["textcnn", "0"], 2, ["not images"]),
        (["lenet5", "0", "--what", "receptive", "--out", "/dev/null/x"], 5, ["Could not write"]),
    ],
)
def test_mistakes(pellucid: Command, arguments: list[str], code: int, phrases: list[str]) -> None:
    pellucid("look", *arguments).failed_with(code, *phrases)
