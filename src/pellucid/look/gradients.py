"""From a number back to the pixels: the gradient, guided backpropagation and the deconvnet.

All three are the derived backward pass of one and the same network. They differ only in what a ReLU, Y = max(X, 0),
passes back:

    the gradient             dX = dY * [X > 0]
    guided backpropagation   dX = dY * [X > 0] * [dY > 0]
    the deconvnet            dX = dY * [dY > 0]

The other parts of the deconvnet, max pooling's switches and the transposed filters, are what the gradient does anyway.

Sources: Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks", ICLR workshop 2014 (the gradient, and that
they differ there only); Springenberg et al., "Striving for simplicity", ICLR workshop 2015 (guided backpropagation);
Zeiler, Fergus, "Visualizing and understanding convolutional networks", ECCV 2014 (the deconvnet).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pellucid.look.network import Array, Network
from pellucid.notation import Tensor, bracket
from pellucid.notation.derive import derive
from pellucid.notation.expression import Call, Const, Expression
from pellucid.notation.rules import Backward

Factors = tuple[Expression | None, ...]


def _is_relu(args: tuple[Expression, ...]) -> bool:
    return args[1] == Const(0)


def _guided(args: tuple[Expression, ...], incoming: Expression) -> Factors | None:
    return (bracket(args[0], ">", 0) * bracket(incoming, ">", 0), None) if _is_relu(args) else None


def _deconvnet(args: tuple[Expression, ...], incoming: Expression) -> Factors | None:
    return (bracket(incoming, ">", 0), None) if _is_relu(args) else None


RULES: dict[str, Mapping[str, Backward]] = {
    "gradient": {},
    "guided": {"maximum": _guided},
    "deconv": {"maximum": _deconvnet},
}


def has_relu(network: Network) -> bool:
    """Whether the rules differ for this network at all."""
    values = (equation.value for equation in network.program)
    return any(isinstance(v, Call) and v.function == "maximum" and _is_relu(v.args) for v in values)


def passed_back(network: Network, images: Array, start: Tensor, seed: Array, rule: str = "gradient") -> Array:
    """What comes back to the pixels (N, C, H, W) when `seed` comes in at the tensor `start`, by one of `RULES`."""
    incoming = Tensor("S", start.extents, role="input", name="incoming")
    back = derive({start: incoming}, [network.image], rules=RULES[rule])[network.image]
    (pixels,) = network.values([back], images, incoming=seed)
    return pixels


def of_class(network: Network, image: Array, label: int, rule: str = "gradient") -> Array:
    """The score of a class, followed back to the pixels of one image (C, H, W)."""
    seed = np.zeros(network.scores.extents)
    seed[0, label] = 1
    return np.asarray(passed_back(network, image[None], network.scores, seed, rule)[0])


def saliency(gradient: Array) -> Array:
    """Simonyan's saliency map (H, W): for each pixel the largest slope, as an absolute value, of its channels."""
    return np.asarray(np.abs(gradient).max(axis=0))


def strongest(values: Array) -> tuple[int, ...]:
    """The place of the largest value, the first of equals."""
    return tuple(int(k) for k in np.unravel_index(int(values.argmax()), values.shape))


def deconvolution(network: Network, image: Array, name: str, maps: Array, channels: list[int]) -> Array:
    """Zeiler and Fergus' reconstructions (channels, C, H, W): what of the image excites each channel most.

    `maps` (C', H', W') are the layer's values for the image. Of each channel only its strongest element is kept and
    followed back; the network must be one for as many images as there are channels.
    """
    seed = np.zeros(network.layer(name).extents)
    for number, channel in enumerate(channels):
        place = strongest(maps[channel])
        seed[(number, channel, *place)] = maps[(channel, *place)]
    images = np.repeat(image[None], len(channels), axis=0)
    return passed_back(network, images, network.layer(name), seed, "deconv")
