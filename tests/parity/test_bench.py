"""PyTorch's side of the benchmark computes what ours does; otherwise its speed would say nothing."""

from collections.abc import Iterator

import pytest

from pellucid.bench import compare, opponent, ours
from pellucid.bench.workloads import Convolution, Network, Workload

pytestmark = pytest.mark.parity

NETWORKS = [
    Network(name, 2, training) for name in ("notes-cnn", "lenet5", "resnet20") for training in (True, False)
] + [Network("googlenet", 2, False)]
LAYERS = [
    Convolution(2, 3, 5, 9, kernel, stride, direction)
    for kernel, stride in ((3, 1), (1, 1), (7, 2))
    for direction in ("forward", "input gradient", "weight gradient")
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    opponent.start(1)
    yield


@pytest.mark.parametrize("mode", ["eager", "channels_last"])
@pytest.mark.parametrize("workload", [*NETWORKS, *LAYERS], ids=lambda w: f"{w.name} {w.what}")
def test_both_sides_compute_the_same(workload: Workload, mode: str) -> None:
    mine, theirs = ours.prepare(workload, 1), opponent.prepare(workload, mode)
    distance, where = compare.disagreement(mine.first, theirs.first)
    assert distance < compare.TOLERANCE, where
    mine.close()


def test_a_training_step_goes_on_from_where_it_was() -> None:
    side = opponent.prepare(Network("lenet5", 4, True), "eager")
    losses = [side.run() for _ in range(30)]
    assert losses[-1] < side.first["loss"]
