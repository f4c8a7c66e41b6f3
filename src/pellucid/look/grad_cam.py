"""Grad-CAM: where a class comes from, as a map over a layer's pixels."""

from __future__ import annotations

import numpy as np

from pellucid.look.network import Array, Network
from pellucid.notation import Tensor, indices, maximum, sum_over
from pellucid.notation.derive import derive


def equations(maps: Tensor, gradient: Tensor) -> Tensor:
    """The heat map of feature maps A and the gradient dA of a class's score.

        a[n,k] = sum(i,j) dA[n,k,i,j] / (H*W)
        L[n,i,j] = max(sum(k) a[n,k] * A[n,k,i,j], 0)

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
    ICCV 2017.
    """
    height, width = maps.extents[2:]
    n, k, i, j = indices("n k i j")
    weight, total, heat = Tensor("a", name="cam.weight"), Tensor("T", name="cam.total"), Tensor("L", name="cam")
    weight[n, k] = sum_over([i, j], gradient[n, k, i, j]) / (height * width)
    total[n, i, j] = sum_over([k], weight[n, k] * maps[n, k, i, j])
    heat[n, i, j] = maximum(total[n, i, j], 0)
    return heat


def grad_cam(network: Network, image: Array, name: str, label: int) -> Array:
    """The heat map (H', W') of a class for one image (C, H, W), at a layer with feature maps."""
    maps, scores = network.layer(name), network.scores
    incoming = Tensor("S", scores.extents, role="input", name="incoming")
    gradient = derive({scores: incoming}, [maps])[maps]
    seed = np.zeros(scores.extents)
    seed[0, label] = 1
    (heat,) = network.values([equations(maps, gradient)], image[None], incoming=seed)
    return np.asarray(heat[0])
