"""What the three rules pass back, and Grad-CAM, against loops written from their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pellucid as pc
from pellucid.errors import UsageError
from pellucid.look import gradients
from pellucid.look.grad_cam import grad_cam
from pellucid.look.network import Network
from pellucid.notation import Index, Tensor, bracket, maximum
from pellucid.notation.derive import derive

Array = npt.NDArray[Any]
layers = pc.layers
CLASSES, CHANNELS, SIDE, KERNEL = 3, 4, 6, 3
IMAGE = np.random.default_rng(3).normal(size=(2, SIDE, SIDE)).astype(np.float32)


def network() -> pc.Graph:
    """Convolution, ReLU, max pooling, convolution, ReLU, dense."""
    blocks = [
        ("conv1", layers.Conv2d(2, CHANNELS, KERNEL, padding=1)), ("relu1", layers.ReLU()),
        ("pool", layers.MaxPool2d(2)), ("conv2", layers.Conv2d(CHANNELS, CHANNELS, 1)), ("relu2", layers.ReLU()),
        ("flatten", layers.Flatten()), ("fc", layers.Linear(CHANNELS * 9, CLASSES)),
    ]  # fmt: skip
    return pc.Sequential(blocks).init(seed=6)


class ByHand:
    """The same network in plain loops: forward, and back with one of the three rules at each ReLU."""

    def __init__(self, model: pc.Graph, image: Array) -> None:
        w = {name: np.asarray(value, np.float64) for name, value in model.parameters.items()}
        self.w = w
        padded = np.pad(image.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
        self.conv1 = np.zeros((CHANNELS, SIDE, SIDE))
        for o, i, j in np.ndindex(*self.conv1.shape):
            window = padded[:, i : i + KERNEL, j : j + KERNEL]
            self.conv1[o, i, j] = (window * w["conv1.weight"][o]).sum() + w["conv1.bias"][o]
        relu1 = np.maximum(self.conv1, 0)
        self.pool, self.switch = np.zeros((CHANNELS, 3, 3)), {}
        for c, i, j in np.ndindex(*self.pool.shape):
            window = relu1[c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            u, v = np.unravel_index(int(window.argmax()), (2, 2))
            self.pool[c, i, j], self.switch[c, i, j] = window[u, v], (2 * i + int(u), 2 * j + int(v))
        self.conv2 = np.einsum("oc,cij->oij", w["conv2.weight"][:, :, 0, 0], self.pool) + w["conv2.bias"][:, None, None]
        self.relu2 = np.maximum(self.conv2, 0)

    @staticmethod
    def through(rule: str, x: Array, dy: Array) -> Array:
        passes = {"gradient": x > 0, "guided": (x > 0) & (dy > 0), "deconv": dy > 0}[rule]
        return np.where(passes, dy, 0)

    def back(self, rule: str, d_relu2: Array) -> Array:
        d_conv2 = self.through(rule, self.conv2, d_relu2)
        d_pool = np.einsum("oc,oij->cij", self.w["conv2.weight"][:, :, 0, 0], d_conv2)
        d_relu1 = np.zeros_like(self.conv1)
        for (c, i, j), (row, column) in self.switch.items():
            d_relu1[c, row, column] += d_pool[c, i, j]
        d_conv1 = self.through(rule, self.conv1, d_relu1)
        padded = np.zeros((2, SIDE + 2, SIDE + 2))
        for o, i, j in np.ndindex(*d_conv1.shape):
            padded[:, i : i + KERNEL, j : j + KERNEL] += d_conv1[o, i, j] * self.w["conv1.weight"][o]
        return padded[:, 1:-1, 1:-1]


@pytest.mark.parametrize("rule", gradients.RULES)
def test_a_class_followed_back(rule: str, engine: str) -> None:
    model = network()
    hand = ByHand(model, IMAGE)
    for label in range(CLASSES):
        wanted = hand.back(rule, hand.w["fc.weight"][label].reshape(CHANNELS, 3, 3))
        got = gradients.of_class(Network(model, IMAGE.shape, engine=engine), IMAGE, label, rule)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradients.saliency(got), np.abs(wanted).max(axis=0), rtol=1e-5, atol=1e-6)


def test_the_rules_differ_here() -> None:
    found = [gradients.of_class(Network(network(), IMAGE.shape), IMAGE, 0, rule) for rule in gradients.RULES]
    assert all(np.abs(one - other).max() > 1e-3 for k, one in enumerate(found) for other in found[:k])


def test_deconvolution_starts_at_the_strongest_element_alone() -> None:
    model = network()
    hand = ByHand(model, IMAGE)
    channels = [k for k in range(CHANNELS) if hand.relu2[k].max() > 0]
    assert len(channels) >= 2
    got = gradients.deconvolution(Network(model, IMAGE.shape, len(channels)), IMAGE, "relu2", hand.relu2, channels)
    for channel, pixels in zip(channels, got, strict=True):
        start = np.where(hand.relu2 == hand.relu2[channel].max(), hand.relu2, 0)
        np.testing.assert_allclose(pixels, hand.back("deconv", start), rtol=1e-5, atol=1e-6)


def test_grad_cam() -> None:
    model = network()
    hand = ByHand(model, IMAGE)
    for label in range(CLASSES):
        weights = hand.w["fc.weight"][label].reshape(CHANNELS, 9).mean(axis=1)
        wanted = np.maximum(sum(a * maps for a, maps in zip(weights, hand.relu2, strict=True)), 0)
        got = grad_cam(Network(model, IMAGE.shape), IMAGE, "relu2", label)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_a_softmax_at_the_end_is_left_out() -> None:
    model, longer = network(), network()
    longer.add("softmax", layers.Softmax())
    one, other = (gradients.of_class(Network(m, IMAGE.shape), IMAGE, 1) for m in (model, longer))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_only_whole_relus_follow_the_rules() -> None:
    """A leaky ReLU contains max(x, 0), but is none."""
    leaky = pc.Sequential([("act", layers.LeakyReLU(0.2)), ("flatten", layers.Flatten())])
    image = np.array([[[-2.0, 3.0]]])
    network = Network(leaky, image.shape)
    assert not gradients.has_relu(network)
    for rule in gradients.RULES:
        back = gradients.passed_back(network, image[None], network.output, np.array([[-1.0, -1.0]]), rule)
        np.testing.assert_allclose(back, [[[[-0.2, -1.0]]]], rtol=1e-6)


def test_a_rule_in_place_of_a_derivative() -> None:
    x, incoming = Tensor("X", (5,), role="input"), Tensor("G", (5,), role="input")
    y, i = Tensor("Y"), Index("i")
    y[i] = maximum(x[i], 0)
    rules = {"maximum": lambda args, dy: (bracket(dy, ">", 0) * 2, None)}
    assert str(derive({y: incoming}, [x])[x].definition[0]) == "dX[i] = G[i] * [X[i] > 0]"
    assert str(derive({y: incoming}, [x], rules=rules)[x].definition[0]) == "dX[i] = 2 * G[i] * [G[i] > 0]"
    assert str(derive({y: incoming}, [x], rules={"maximum": lambda args, dy: None})[x].definition[0]) == (
        "dX[i] = G[i] * [X[i] > 0]"
    )


def test_networks_without_classes_or_maps() -> None:
    conv = pc.Sequential([layers.Conv2d(1, 2, 3)]).init(seed=0)
    with pytest.raises(UsageError, match="no score for each class of an image, but 2x4x4 numbers"):
        gradients.of_class(Network(conv, (1, 6, 6)), np.zeros((1, 6, 6)), 0)
    dense = pc.Sequential([layers.Flatten(), layers.Linear(36, 2)]).init(seed=0)
    with pytest.raises(UsageError, match="no layer that gives feature maps"):
        Network(dense, (1, 6, 6)).maps(None)
    with pytest.raises(UsageError, match=r"fc gives no feature maps\. These layers do: conv1, relu1, pool, conv2"):
        Network(network(), IMAGE.shape).maps("fc")
    assert Network(network(), IMAGE.shape).maps(None)[0] == "relu2"
