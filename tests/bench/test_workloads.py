"""What is measured, and how much arithmetic it stands for."""

import numpy as np
import pytest

from pellucid.bench.workloads import Convolution, Network, convolutions, networks
from pellucid.errors import UsageError


def test_operations_of_a_convolution() -> None:
    # 4 images, 256 outputs, sums over 256 inputs; 56 rows of 3 kernel rows, less one at either edge; columns alike.
    forward = Convolution(4, 256, 256, 56, 3, 1, "forward")
    assert forward.out_shape == (4, 256, 56, 56)
    assert forward.flops == 2 * 4 * 256 * 256 * (56 * 3 - 2) ** 2
    assert Convolution(4, 3, 64, 224, 7, 2, "weight gradient").out_shape == (4, 64, 112, 112)
    plain = Convolution(8, 512, 128, 28, 1, 1, "forward")
    assert plain.out_shape == (8, 128, 28, 28)
    assert plain.flops == 2 * 8 * 28 * 28 * 512 * 128


@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 1), (9, 5, 2), (8, 7, 2), (5, 1, 2)])
def test_products_with_padding_do_not_count(size: int, kernel: int, stride: int) -> None:
    """Counted by convolving ones with ones."""
    workload = Convolution(2, 3, 5, size, kernel, stride, "forward")
    padded = np.pad(np.ones((size, size)), kernel // 2)
    outputs = range(workload.out_shape[2])
    windows = [
        padded[stride * i : stride * i + kernel, stride * j : stride * j + kernel] for i in outputs for j in outputs
    ]
    assert workload.flops == 2 * 2 * 3 * 5 * sum(int(window.sum()) for window in windows)


def test_operations_of_a_network() -> None:
    # LeNet-5: 28x28x6x25 (less the padding by 2) + 10x10x16x150 + 400x120 + 120x84 + 84x10 products for an image.
    first = (28 * 5 - 2 * (2 + 1)) ** 2 * 6
    later = 100 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert Network("lenet5", 3, training=False).flops == 2 * 3 * (first + later)
    # A layer that reads the images needs no gradient by its input.
    assert Network("lenet5", 3, training=True).flops == 2 * 3 * (2 * first + 3 * later)


def test_data_and_weights_are_the_same_every_time() -> None:
    for workload in (Network("notes-cnn", 2, True), Convolution(1, 2, 3, 5, 3, 1, "forward")):
        assert np.array_equal(workload.images(), workload.images())
        first, second = workload.build().parameters, workload.build().parameters
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_usual_networks_and_those_named() -> None:
    usual = networks((), None, None)
    assert Network("lenet5", 64, True) in usual
    assert Network("notes-cnn", 128, False) in usual
    assert networks(("lenet5",), 7, True) == [Network("lenet5", 7, True)]
    assert {n.batch for n in networks(("notes-mlp",), None, False)} == {1, 32}
    with pytest.raises(UsageError, match="unknown model 'lenet6'"):
        networks(("lenet6",), None, None)


def test_the_first_layer_needs_no_input_gradient() -> None:
    every = convolutions()
    assert len(every) == 3 * 7 - 1
    assert [c.direction for c in convolutions(2, "7x7")] == ["forward", "weight gradient"]
    assert {c.batch for c in convolutions(2)} == {2}
    with pytest.raises(UsageError, match=r"no layer's name contains '9x9'; there are 3x3 56x56 256->256"):
        convolutions(None, "9x9")
