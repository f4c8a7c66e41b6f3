"""A command line to call, pictures to train on, and one trained run that all tests share."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The result, which must be JSON and nothing else."""
        return json.loads(self.out)

    def failed_with(self, code: int, *phrases: str) -> None:
        """Check the exit code, the message, and that neither a traceback nor a result came with it."""
        assert self.code == code, f"exit code {self.code}: {self.err}"
        assert "pellucid: error: " in self.err
        for phrase in phrases:
            assert phrase in self.err
        assert "Traceback" not in self.err
        assert self.out == ""


Command = Callable[..., Outcome]


@pytest.fixture
def pellucid(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in this process, as the shell would."""
    monkeypatch.delenv("PELLUCID_DEBUG", raising=False)

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(int(left.value.code or 0), out, err)

    return call


def draw(kind: str, number: int) -> Image.Image:
    """A bright bar, upright or lying, somewhere in a dark 28x28 picture."""
    pixels = np.full((28, 28), 20 + number % 5, np.uint8)
    start = 4 + number % 16
    if kind == "upright":
        pixels[4:24, start : start + 4] = 230
    else:
        pixels[start : start + 4, 4:24] = 230
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes with 32 pictures each; do not change it."""
    folder = tmp_path_factory.mktemp("data") / "bars"
    for kind in ("lying", "upright"):
        (folder / kind).mkdir(parents=True)
        for number in range(32):
            draw(kind, number).save(folder / kind / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a small, finished training; do not change it."""
    out = tmp_path_factory.mktemp("runs") / "bars"
    settings = ["--model", "notes-cnn", "--epochs", "6", "--batch-size", "8", "--lr", "0.05"]
    with pytest.raises(SystemExit) as left:
        main.main(["train", str(pictures), *settings, "--out", str(out)])
    assert left.value.code == 0
    return out
