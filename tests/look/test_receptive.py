"""Receptive fields: against what a NaN in one pixel reaches, and against the formula for chains of windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import pellucid as pc
from pellucid.layers.base import input_tensor
from pellucid.look.network import Network
from pellucid.look.receptive import Fields, fields
from pellucid.look.region import Region, boxes_of
from tests.cases import CASES
from tests.layers.harness import build

layers = pc.layers


def inception() -> pc.Graph:
    graph = pc.Graph()
    stem = graph.add("stem", layers.Conv2d(1, 2, 3, stride=2, padding=1))
    parts = [
        graph.add("one", layers.Conv2d(2, 1, 1), stem),
        graph.add("three", layers.Conv2d(2, 2, 3, padding=1), stem),
        graph.add("wide", layers.Conv2d(2, 1, 3, padding=2, dilation=2), stem),
        graph.add("pool", layers.MaxPool2d(3, 1, 1), stem),
    ]
    graph.add("concat", layers.Concat(), *parts)
    return graph


def residual() -> pc.Graph:
    graph = pc.Graph()
    stem = graph.add("stem", layers.Conv2d(1, 2, 3, padding=1))
    graph.add("conv1", layers.Conv2d(2, 3, 3, stride=2, padding=1), stem)
    graph.add("bn", layers.BatchNorm2d(3))
    graph.add("relu", layers.ReLU())
    body = graph.add("conv2", layers.Conv2d(3, 3, 3, padding=1))
    shortcut = graph.add("shortcut", layers.PaddedShortcut(3, stride=2), stem)
    graph.add("sum", layers.Add(), body, shortcut)
    return graph


def apart() -> pc.Graph:
    """Two branches whose fields lie apart: the union is no box."""
    graph = pc.Graph()
    graph.add("left", layers.Conv2d(1, 1, (1, 5), padding=(0, 2), dilation=1), "input")
    graph.add("down", layers.Conv2d(1, 1, (3, 1), padding=(3, 0), dilation=(3, 1)), "input")
    graph.add("sum", layers.Add(), "left", "down")
    return graph


NETWORKS: dict[str, Callable[[], pc.Layer]] = {
    "inception": inception,
    "residual": residual,
    "apart": apart,
    "adaptive": lambda: pc.Sequential([layers.Conv2d(1, 2, 2), layers.AdaptiveAvgPool2d((4, 3))]),
    "upsample": lambda: pc.Sequential([layers.Conv2d(1, 2, 3, stride=2), layers.ConvTranspose2d(2, 1, 3, stride=2)]),
    "normalised": lambda: pc.Sequential([layers.Conv2d(1, 6, 2, groups=1), layers.LocalResponseNorm(3)]),
    "grouped": lambda: pc.Sequential([layers.Conv2d(1, 4, 1), layers.Conv2d(4, 4, 3, groups=2, dilation=3)]),
    "dense": lambda: pc.Sequential(
        [layers.Conv2d(1, 2, 5, stride=2), layers.AvgPool2d(3, ceil_mode=True, padding=1), layers.Flatten()]
    ),
}
SIDE = 11


@pytest.mark.parametrize("name", NETWORKS)
def test_the_field_is_what_a_nan_in_a_pixel_reaches(name: str) -> None:
    model = NETWORKS[name]().init(seed=1)
    pixels = SIDE * SIDE
    images = np.random.default_rng(2).normal(size=(pixels, 1, SIDE, SIDE))
    images.reshape(pixels, pixels)[np.diag_indices(pixels)] = np.nan
    network = Network(model, (1, SIDE, SIDE))
    reached = np.isnan(pc.predict(model, images, engine="numpy", dtype="float64"))
    found = Fields(network.image)
    generator = np.random.default_rng(3)
    places = np.argwhere(np.ones(reached.shape[1:], bool))
    for place in places[generator.permutation(len(places))[:25]]:
        field = found.of(network.output, (0, *map(int, place)))
        wanted = reached[(slice(None), *place)].reshape(1, 1, SIDE, SIDE)
        assert np.array_equal(field.mask((1, 1, SIDE, SIDE)), wanted)


def test_every_layer_of_a_chain_follows_the_formula() -> None:
    windows = [(5, 1, 2, 1), (2, 2, 0, 1), (3, 1, 1, 2), (3, 2, 1, 1), (1, 1, 0, 1), (4, 3, 0, 1)]
    model = pc.Sequential([layers.Conv2d(1, 1, k, s, p, dilation=d) for k, s, p, d in windows])
    network = Network(model, (1, 96, 96))
    found = fields(network.image, network.layers.items())
    size, jump, start = 1, 1, 0
    for field, (kernel, stride, padding, dilation) in zip(found, windows, strict=True):
        size, start = size + dilation * (kernel - 1) * jump, start - padding * jump
        jump *= stride
        assert (field.size, field.jump, field.start) == ((size, size), (jump, jump), (start, start))


@pytest.mark.parametrize(
    ("name", "layer", "size", "jump"),
    # As the papers and later tables of them have it.
    [("alexnet", "features.12", 195, 32), ("vgg16", "features.28", 196, 16), ("vgg16", "features.30", 212, 32)],
)
def test_known_architectures(name: str, layer: str, size: int, jump: int) -> None:
    model = pc.models.create(name)
    network = Network(model, model.input_shape, engine="numpy")
    (field,) = fields(network.image, [(layer, network.layer(layer))])
    assert field.size == (size, size) and field.jump == (jump, jump)


def test_branches_count_all_channels() -> None:
    network = Network(inception(), (1, 24, 24))
    sizes = {field.layer: field.size for field in fields(network.image, network.layers.items())}
    assert sizes["one"] == (3, 3) and sizes["three"] == (7, 7) and sizes["wide"] == (11, 11)
    assert sizes["concat"] == (11, 11)


def test_dense_layers_see_everything_and_have_no_jump() -> None:
    model = pc.models.create("lenet5")
    network = Network(model, (1, 28, 28))
    found = {field.layer: field for field in fields(network.image, network.layers.items())}
    assert found["pool2"].jump == (4, 4)
    assert found["fc3"].jump is None and found["fc3"].size == (32, 32)


def test_sentences_have_fields_of_words() -> None:
    model = pc.models.create("textcnn")
    x = input_tensor(model, (1, *model.input_shape))
    values = model.values((x,), "", None)
    found = Fields(x)
    assert found.of(values["conv3"], (0, 0, 10, 0)).bounds(1) == (10, 12)
    field = found.field("conv5", values["conv5"])
    assert field is not None and field.size == (5,)


def test_what_does_not_depend_on_the_input_has_no_field() -> None:
    network = Network(pc.Sequential([layers.PaddedShortcut(3, stride=2)]), (1, 8, 8))
    assert Fields(network.image).of(network.output, (0, 2, 0, 0)).boxes == []


def test_regions_join_and_keep_holes() -> None:
    points = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [3, 0], [3, 1], [5, 5]])
    region = Region()
    for box in boxes_of(points):
        region.add(box)
    assert len(region.boxes) == 2
    mask = region.mask((6, 6))
    assert mask.sum() == len(points) and all(mask[r, c] for r, c in points)
    region.add((np.array([0]), np.array([1])))
    assert len(region.boxes) == 2


def test_the_engine_is_not_asked() -> None:
    """Fields come from equations alone: a network too large to run here still has them."""
    model = pc.models.create("lenet5")
    network = Network(model, (1, 28, 28), 1000)
    field = Fields(network.image).of(network.layer("conv2"), (999, 15, 0, 0))
    assert field.bounds(0) == (999, 999)
    assert field.bounds(2) == (0, 11)


KINDS = sorted({case.kind for case in CASES} - {"embedding"})
"""Every layer of the table but embeddings, whose inputs are no real numbers."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer(kind: str) -> None:
    """All outputs of a few cases of each kind, against what a NaN in each input element reaches."""
    cases = [case for case in CASES if case.kind == kind]
    for case in cases[:: max(1, len(cases) // 4)][:4]:
        model = build(case)
        images = np.random.default_rng(case.seed).uniform(0.5, 1, (size := int(np.prod(case.shape)), *case.shape))
        images.reshape(size, size)[np.diag_indices(size)] = np.nan
        reached = np.isnan(pc.predict(model, images, engine="numpy", dtype="float64"))
        x = input_tensor(model, (1, *case.shape))
        y = model.build((x,), "", None)
        found = Fields(x)
        places = np.argwhere(np.ones(reached.shape[1:], bool))
        for place in places[:: max(1, len(places) // 20)]:
            mask = found.of(y, (0, *map(int, place))).mask(x.extents)
            assert np.array_equal(mask.ravel(), reached[(slice(None), *place)]), (case.id, place)
