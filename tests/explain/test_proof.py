"""What stands beside a gradient: its slope as the loss shows it, and bounds that hold."""

from fractions import Fraction

import numpy as np
import pytest

import pellucid as pc
from pellucid.explain.proof import ROUNDOFF, rounding_bound
from pellucid.explain.trace import Node, Read, Reduction, Trace, traced
from pellucid.layers import Conv2d, Flatten, Linear, ReLU
from pellucid.notation import Index, Tensor, sqrt, sum_over
from tests.explain.networks import Network

N, K = Index("n", 1), Index("k", 30)
X = Tensor("X", (1, 30), role="input", name="x")


def opened(values: np.ndarray) -> Trace:
    tensor = Tensor("Y", (1,), name="y")
    tensor[N] = sum_over([K], X[N, K] * X[N, 3]) / (sqrt(X[N, 2] ** 2) + X[N, 1]) - X[N, 0]
    return traced({"x": values}, tensor, (0,), full=True)


def exactly(x: list[Fraction]) -> float:
    """The same formula in fractions: the root of a square is the absolute value."""
    return float(sum(v * x[3] for v in x) / (abs(x[2]) + x[1]) - x[0])


@pytest.mark.parametrize("seed", range(20))
def test_a_number_computed_in_float32_keeps_within_its_rounding_bound(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(1, 30)).astype(np.float32)
    found = opened(x.astype(np.float64))
    assert found.tree is not None
    total = np.float32(0)
    for value in x[0]:
        total = np.float32(total + np.float32(value * x[0, 3]))
    denominator = np.float32(np.sqrt(np.float32(x[0, 2] ** 2)) + x[0, 1])
    computed = np.float32(np.float32(total / denominator) - x[0, 0])
    error = abs(float(computed) - exactly([Fraction(float(v)) for v in x[0]]))
    bound = rounding_bound(found.tree, ROUNDOFF["float32"])
    assert error <= bound * (1 + 1e-3)
    size, below = np.abs(x[0] * x[0, 3]).sum(), abs(abs(x[0, 2]) + x[0, 1])
    assert bound < 1e-5 * (size / below * (1 + (abs(x[0, 2]) + abs(x[0, 1])) / below) + abs(x[0, 0]))


def test_nothing_is_rounded_where_nothing_is_computed() -> None:
    proof = Network("notes-cnn").explain("d flatten[0,3]", proof=True).proof
    assert proof is not None and proof.bounds["float32"] > proof.bounds["float64"] > 0
    tensor = Tensor("Y", (1,), name="y")
    tensor[N] = X[N, 4] * 1
    copied = traced({"x": np.ones((1, 30))}, tensor, (0,)).tree
    assert copied is not None and all(rounding_bound(n, 1e-7) == 0 for n in leaves(copied))


def leaves(node: Node) -> list[Node]:
    return [node] if isinstance(node, Read | Reduction) else [leaf for part in node.operands for leaf in leaves(part)]


def test_where_a_relu_changes_sides_a_smaller_step_is_taken() -> None:
    model = pc.Sequential([Conv2d(1, 1, 1), ReLU(), Flatten(), Linear(2, 2)])
    weights = {"conv1.weight": [[[[1.0]]]], "conv1.bias": [0.0], "fc1.weight": [[1, 2], [3, -4]], "fc1.bias": [0, 0]}
    model.load({name: np.array(value, np.float32) for name, value in weights.items()})
    x = np.array([[[[2.0, 2.0**-18]]]])
    found = pc.explain(model, x, "d conv1[0,0,1]", target=[1])
    assert found.proof is not None
    assert found.proof.difference.step == 1e-7
    assert found.proof.slope == pytest.approx(found.value, rel=1e-5)


def test_a_gradient_too_small_for_the_losses_says_so() -> None:
    model = pc.Sequential([Flatten(), Linear(2, 2)])
    model.load({"fc1.weight": np.array([[40, 0], [0, 0]]), "fc1.bias": np.zeros(2)})
    found = pc.explain(model, np.array([[[[1.0, 0.0]]]]), "d fc1.bias[1]", target=[0])
    assert 0 < found.value < 1e-16
    assert "which is too small for the losses to show" in str(found)
