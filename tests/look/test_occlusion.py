"""Occlusion, and the images that excite a channel most, against one prediction at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pellucid as pc
from pellucid.errors import UsageError
from pellucid.formats.onnx import export_onnx, import_onnx
from pellucid.look.network import Network
from pellucid.look.occlusion import occlusion, patch_for, spread
from pellucid.look.receptive import Fields
from pellucid.look.top import crop, top_images
from pellucid.models.output import probabilities

Array = npt.NDArray[Any]
layers = pc.layers
IMAGES = np.random.default_rng(5).normal(size=(23, 1, 9, 8)).astype(np.float32)


def model(last: pc.Layer | None = None) -> pc.Graph:
    blocks = [("conv", layers.Conv2d(1, 3, 3, stride=2)), ("relu", layers.ReLU()), ("flatten", layers.Flatten())]
    tail = [("fc", layers.Linear(36, 4)), *([("last", last)] if last else [])]
    return pc.Sequential([*blocks, *tail]).init(seed=2)


class Data:
    """Images by number, and a count of how many were taken at once."""

    def __init__(self) -> None:
        self.most = 0

    def __len__(self) -> int:
        return len(IMAGES)

    def batch(self, indices: npt.ArrayLike) -> tuple[Array, Array]:
        chosen = np.asarray(indices)
        self.most = max(self.most, chosen.size)
        return IMAGES[chosen], np.zeros(chosen.size, np.int64)


def chance(network: pc.Graph, image: Array, label: int) -> float:
    scores = pc.predict(network, image[None], engine="numpy", dtype="float64")[0]
    return float(np.exp(scores)[label] / np.exp(scores).sum())


def test_every_position_of_the_patch() -> None:
    network, image, label, patch, step = model(), IMAGES[0], 2, 4, 2
    got = occlusion(Network(network, image.shape, 5), image, label, patch, step, fill=0.25)
    whole = chance(network, image, label)
    assert got.shape == (6, 5)
    for (r, c), drop in np.ndenumerate(got):
        covered = image.copy()
        for row in range(r * step - step, r * step - step + patch):
            for column in range(c * step - step, c * step - step + patch):
                if 0 <= row < 9 and 0 <= column < 8:
                    covered[0, row, column] = 0.25
        assert drop == pytest.approx(whole - chance(network, covered, label), abs=1e-6)


def test_spread_is_the_mean_over_the_patches_that_cover_a_pixel() -> None:
    drops = np.arange(30.0).reshape(6, 5)
    lost = spread(drops, (9, 8), 4, 2)
    assert lost.shape == (9, 8)
    assert lost[0, 0] == np.mean([drops[0, 0], drops[0, 1], drops[1, 0], drops[1, 1]])
    assert lost[4, 3] == np.mean([drops[2, 1], drops[2, 2], drops[3, 1], drops[3, 2]])


def test_probabilities_of_every_ending() -> None:
    plain = model()
    (scores,) = Network(plain, (1, 9, 8)).values([Network(plain, (1, 9, 8)).output], IMAGES[:1])
    wanted = [chance(plain, IMAGES[0], k) for k in range(4)]
    np.testing.assert_allclose(probabilities(plain, scores)[0], wanted, rtol=1e-5)
    for last in (layers.Softmax(), layers.LogSoftmax()):
        ended = model(last)
        network = Network(ended, (1, 9, 8))
        (output,) = network.values([network.output], IMAGES[:1])
        np.testing.assert_allclose(probabilities(ended, output)[0], wanted, rtol=1e-5)


@pytest.mark.parametrize("last", [layers.Softmax, layers.LogSoftmax])
def test_probabilities_of_a_model_in_an_onnx_file(last: type[layers.Layer], tmp_path: Path) -> None:
    """Its last node is an operator of that name; the scores are what it reads."""
    pytest.importorskip("onnx")
    plain, ended = model(), model(last())
    export_onnx(ended, tmp_path / "m.onnx", (1, 9, 8))
    graph = import_onnx(tmp_path / "m.onnx")
    output = pc.predict(graph, IMAGES[:1])
    wanted = [chance(plain, IMAGES[0], k) for k in range(4)]
    np.testing.assert_allclose(probabilities(graph, output)[0], wanted, rtol=1e-5)
    network = Network(graph, (1, 9, 8))
    (scores,) = network.values([network.scores], IMAGES[:1])
    np.testing.assert_allclose(scores, pc.predict(plain, IMAGES[:1]), rtol=1e-5, atol=1e-6)


def test_a_patch_must_have_a_size() -> None:
    assert patch_for((1, 28, 28)) == (6, 3) and patch_for((3, 5, 5)) == (2, 1)
    with pytest.raises(UsageError, match="at least 1 pixel; got 0 and 1"):
        occlusion(Network(model(), (1, 9, 8)), IMAGES[0], 0, 0, 1)


def test_the_images_that_excite_a_channel_most(engine: str) -> None:
    network, data = model(), Data()
    best = top_images(Network(network, (1, 9, 8), 4, engine=engine), "relu", data, 5)
    assert data.most == 4
    conv = network.parameters
    for channel in range(3):
        found = []
        for number, image in enumerate(IMAGES):
            values = [
                (max(0.0, float((image[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * conv["conv.weight"][channel, 0]).sum()
                      + conv["conv.bias"][channel])), -i, -j)
                for i in range(4) for j in range(3)
            ]  # fmt: skip
            value, i, j = max(values)
            found.append((value, -number, -i, -j))
        found = sorted(found, reverse=True)[:5]
        np.testing.assert_allclose(best.values[channel], [f[0] for f in found], rtol=1e-5)
        assert best.images[channel].tolist() == [-f[1] for f in found]
        assert best.places[channel].tolist() == [[f[2], f[3]] for f in found]


def test_fewer_images_than_asked_for_and_crops() -> None:
    network = Network(model(), (1, 9, 8), 64)
    best = top_images(network, "conv", Data(), 40)
    assert best.values.shape == (3, 23)
    part = crop(Fields(network.image), network.layer("conv"), IMAGES[7], 1, (2, 1))
    assert np.array_equal(part, IMAGES[7][:, 4:7, 2:5])
    with pytest.raises(UsageError, match="at least 1 image"):
        top_images(network, "conv", Data(), 0)
